import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.made_paths import GAP, enumerate_paths, log_sum_exp, packed, random_transitions, sentences

from kd_jax.models import crf
from kd_jax.models.crf import Transitions

log_partitions = jax.jit(crf.log_partitions)
log_partition = jax.jit(crf.log_partition)
sequence_score = jax.jit(crf.sequence_score)
negative_log_likelihood = jax.jit(crf.negative_log_likelihood)
loss_and_gradient = jax.jit(jax.value_and_grad(crf.negative_log_likelihood, (0, 2)))
marginals = jax.jit(crf.marginals)
log_marginals = jax.jit(crf.log_marginals)
viterbi = jax.jit(crf.viterbi)


def enumerated(emissions, labels, transitions, rows):
    """Log-partitions, scores, marginals and best paths of a batch."""
    log_z, gold, probability = np.zeros(labels.shape), np.zeros(labels.shape), np.zeros(emissions.shape)
    best, best_score = np.zeros(labels.shape, int), 0.0
    for r, a, b in sentences(rows):
        paths, scores = enumerate_paths(emissions[r, a:b], transitions)
        log_z[r, b - 1] = log_sum_exp(scores)
        gold[r, b - 1] = scores[(paths == labels[r, a:b]).all(1)].item()
        weights = np.exp(scores - log_z[r, b - 1])
        for t in range(b - a):
            probability[r, a + t] = np.bincount(paths[:, t], weights, emissions.shape[-1])
        best[r, a:b] = paths[scores.argmax()]
        best_score += scores.max()
    return log_z, gold, probability, best, best_score


ROWS = [
    pytest.param([[4]], id="one sentence"),
    pytest.param([[1], [1]], id="one token"),
    pytest.param([[1, 1, 1], [2, 1], [3]], id="one-token sentences beside others"),
    pytest.param([[3, 4], [5, 1, 2], [2]], id="several sentences a row, padding at the end"),
    pytest.param([[3, GAP, GAP, 2], [GAP, 4, GAP], [GAP]], id="padding anywhere, one row of nothing else"),
]


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_equals_enumeration_of_all_paths(rows, k):
    emissions, labels, starts, mask = packed(rows, k, seed=k, scale=2.0)
    transitions = random_transitions(k, k, scale=4.0)
    log_z, gold, probability, best, best_score = enumerated(emissions, labels, transitions, rows)
    emissions = np.where(mask[..., None], emissions, np.nan)  # padding is never read, not even to be multiplied by 0
    layout = transitions, starts, mask

    close = {"rtol": 2e-6, "atol": 2e-6}
    np.testing.assert_allclose(log_partitions(emissions, *layout), log_z, **close)
    np.testing.assert_allclose(log_partition(emissions, *layout), log_z.sum(), **close)
    np.testing.assert_allclose(sequence_score(emissions, labels, *layout), gold.sum(), **close)
    np.testing.assert_allclose(marginals(emissions, *layout), probability, **close)
    log_p = log_marginals(emissions, *layout)
    np.testing.assert_allclose(np.exp(log_p[mask]), probability[mask], **close)
    assert not np.any(log_p[~mask])
    loss = negative_log_likelihood(emissions, labels, *layout)
    np.testing.assert_allclose(loss, (log_z - gold).sum(), **close)
    path, score = viterbi(emissions, *layout)
    assert path.dtype == jnp.int32
    np.testing.assert_array_equal(path, best)
    np.testing.assert_allclose(score, best_score, **close)


def test_gradients_equal_finite_differences_of_the_enumeration():
    rows = [[3, 1], [2, GAP, 1]]
    emissions, labels, starts, mask = packed(rows, 3, seed=5)
    transitions = random_transitions(6, 3)
    weights = np.random.default_rng(7).normal(size=mask.shape)  # sentences may count differently

    def loss(emissions, transitions):
        values = log_partitions(emissions, transitions, starts, mask)
        return (values * weights).sum() + negative_log_likelihood(emissions, labels, transitions, starts, mask)

    def reference(emissions, transitions):
        log_z, gold, *_ = enumerated(emissions, labels, transitions, rows)
        return (log_z * weights + log_z - gold).sum()

    found = jax.tree.leaves(jax.grad(loss, (0, 1))(emissions, transitions))
    leaves, tree = jax.tree.flatten((emissions, transitions))
    leaves = [np.asarray(leaf, np.float64) for leaf in leaves]
    for leaf, gradient in zip(leaves, found, strict=True):
        expected = np.zeros(leaf.shape)
        for at in np.ndindex(leaf.shape):
            value, sides = leaf[at], []
            for step in (1e-5, -1e-5):
                leaf[at] = value + step
                sides.append(reference(*tree.unflatten(leaves)))
            leaf[at] = value
            expected[at] = (sides[0] - sides[1]) / 2e-5
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(gradient, expected, atol=2e-6)


def test_neighbours_and_padding_have_exactly_no_influence():
    rows = [[4, 1, 4], [4, 1, GAP, 4]]
    emissions, labels, starts, mask = packed(rows, 3, seed=1)
    transitions = random_transitions(2, 3)
    gradient = jax.jit(jax.jacobian(crf.log_partitions))(emissions, transitions, starts, mask)
    values = log_partitions(emissions, transitions, starts, mask)
    posterior = marginals(emissions, transitions, starts, mask)
    path, _ = viterbi(emissions, transitions, starts, mask)
    total = 0.0
    for r, a, b in sentences(rows):
        own = np.zeros(mask.shape, bool)
        own[r, a:b] = True
        assert not np.any(gradient[r, b - 1][~own])
        assert np.all(gradient[r, b - 1][own] > 0)
        disturbed = np.where(own[..., None], emissions, 1e3 * emissions[::-1] - 7.0).astype(np.float32)
        for other in (disturbed, np.where(own[..., None], emissions, np.float32(0))):
            again = log_partitions(other, transitions, starts, mask)
            assert again[r, b - 1] == values[r, b - 1]
            np.testing.assert_array_equal(marginals(other, transitions, starts, mask)[own], posterior[own])
            np.testing.assert_array_equal(viterbi(other, transitions, starts, mask)[0][own], path[own])
        alone = emissions[r : r + 1, a:b], transitions, starts[r : r + 1, a:b], mask[r : r + 1, a:b]
        np.testing.assert_allclose(log_partition(*alone), values[r, b - 1], rtol=1e-6)
        np.testing.assert_allclose(marginals(*alone)[0], posterior[r, a:b], rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(viterbi(*alone)[0][0], path[r, a:b])
        total += negative_log_likelihood(alone[0], labels[r : r + 1, a:b], *alone[1:])
    np.testing.assert_allclose(total, negative_log_likelihood(emissions, labels, transitions, starts, mask), rtol=1e-6)
    assert not np.any(values[~mask])
    assert not np.any(posterior[~mask])
    assert not np.any(path[~mask])


def test_masked_equals_deleted():
    emissions, labels, starts, mask = packed([[5, 4, 3]], 4, seed=3)
    transitions = random_transitions(3, 4)
    masked = mask.copy()
    masked[0, 5:9] = False
    kept = masked[0]
    deleted = emissions[:, kept], labels[:, kept], transitions, starts[:, kept], mask[:, kept]
    np.testing.assert_allclose(
        negative_log_likelihood(emissions, labels, transitions, starts, masked),
        negative_log_likelihood(*deleted),
        rtol=1e-6,
    )
    found = marginals(emissions, transitions, starts, masked)
    np.testing.assert_allclose(found[:, kept], marginals(deleted[0], *deleted[2:]), rtol=1e-5)
    assert not np.any(found[:, ~kept])
    found = viterbi(emissions, transitions, starts, masked)[0]
    np.testing.assert_array_equal(found[:, kept], viterbi(deleted[0], *deleted[2:])[0])


def test_a_gap_in_a_sentence_makes_two():
    emissions, _, starts, mask = packed([[5]], 3, seed=6)
    transitions = random_transitions(6, 3)
    mask[0, 2] = False
    found = log_partitions(emissions, transitions, starts, mask)
    starts = starts.copy()
    starts[0, 3] = True
    np.testing.assert_array_equal(found, log_partitions(emissions, transitions, starts, mask))
    assert np.flatnonzero(found).tolist() == [1, 4]


def test_lanes_equal_one_at_a_time():
    _, labels, starts, mask = packed([[3, 4], [6]], 5)
    emissions = jax.random.normal(jax.random.key(0), (4, *mask.shape, 5))
    lanes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(random_transitions(lane, 5) for lane in range(4)))

    def everything(emissions, transitions):
        loss = loss_and_gradient(emissions, labels, transitions, starts, mask)
        return (
            loss,
            marginals(emissions, transitions, starts, mask),
            viterbi(emissions, transitions, starts, mask),
        )

    together = jax.jit(jax.vmap(everything))(emissions, lanes)
    for lane in range(4):
        alone = everything(emissions[lane], jax.tree.map(lambda x, lane=lane: x[lane], lanes))
        jax.tree.map(
            lambda a, b, lane=lane: np.testing.assert_allclose(a[lane], b, rtol=2e-5, atol=1e-6), together, alone
        )


@pytest.mark.parametrize("scale", [1e3, 1e-3])
def test_long_sentences_of_large_emissions_stay_exact(scale):
    """A row of 400 tokens against the same recursion in double precision."""
    emissions, labels, starts, mask = packed([[400]], 5, seed=8, scale=scale)
    transitions = random_transitions(9, 5)
    layout = transitions, starts, mask
    start, stop, pairs = (np.asarray(x, np.float64) for x in transitions)
    e = emissions[0].astype(np.float64)
    forward, backward = np.zeros(e.shape), np.zeros(e.shape)
    forward[0], backward[-1] = start + e[0], stop
    for t in range(1, 400):
        forward[t] = np.logaddexp.reduce(forward[t - 1][:, None] + pairs, axis=0) + e[t]
        backward[-1 - t] = np.logaddexp.reduce(pairs + e[-t] + backward[-t], axis=1)
    log_z = np.logaddexp.reduce(forward[-1] + stop)

    np.testing.assert_allclose(log_partition(emissions, *layout), log_z, rtol=1e-6)
    posterior = marginals(emissions, *layout)
    np.testing.assert_allclose(posterior, [np.exp(forward + backward - log_z)], atol=1e-6 * max(1, scale))
    np.testing.assert_allclose(posterior.sum(-1), 1.0, atol=5e-5)
    log_p = forward + backward - log_z  # down to -10,000 nats, where the probabilities themselves are 0
    np.testing.assert_allclose(log_marginals(emissions, *layout)[0], log_p, rtol=1e-5, atol=1e-6 * max(1, scale))
    _, gradient = loss_and_gradient(emissions, labels, *layout)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_a_confident_model_has_an_exact_loss():
    """-log p of a labelling that wins by 12 nats a token, every score near 1e3: a difference of sums would be noise."""
    _, labels, starts, mask = packed([[50], [30, 20]], 3, seed=4)
    emissions = np.float32(1e3) + np.float32(12) * np.eye(3, dtype=np.float32)[labels]
    found = negative_log_likelihood(emissions, labels, Transitions.zeros(3), starts, mask)
    np.testing.assert_allclose(found, 100 * np.log1p(2 * np.exp(-12.0)), rtol=0.02)


def test_labels_that_a_task_lacks_get_no_probability():
    emissions, labels, starts, mask = packed([[4, 2], [3]], 3, seed=2)
    transitions = random_transitions(4, 5)
    wide = np.concatenate([emissions, np.full((*mask.shape, 2), -1e9, np.float32)], -1)
    narrow = Transitions(transitions.start[:3], transitions.stop[:3], transitions.pairs[:3, :3])
    loss, (gradient, _) = loss_and_gradient(wide, labels, transitions, starts, mask)
    expected = loss_and_gradient(emissions, labels, narrow, starts, mask)
    np.testing.assert_allclose(loss, expected[0], rtol=1e-6)
    np.testing.assert_allclose(gradient[..., :3], expected[1][0], rtol=1e-5, atol=1e-6)
    assert not np.any(gradient[..., 3:])
    found = viterbi(wide, transitions, starts, mask)[0]
    np.testing.assert_array_equal(found, viterbi(emissions, narrow, starts, mask)[0])


def test_ties_go_to_the_lowest_label():
    _, _, starts, mask = packed([[3, 1], [2]], 4)
    nothing = jnp.zeros((*mask.shape, 4))
    assert not np.any(viterbi(nothing, Transitions.zeros(4), starts, mask)[0])
    pairs = jnp.zeros((4, 4)).at[0, 0].set(-1.0)
    path, score = viterbi(nothing, Transitions.zeros(4)._replace(pairs=pairs), starts, mask)
    np.testing.assert_array_equal(path, [[0, 1, 0, 0], [1, 0, 0, 0]])
    assert score == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_equals_pytorch_crf(seed):
    torchcrf = pytest.importorskip("torchcrf", reason="compared with the pytorch-crf package, which is not installed")
    torch = pytest.importorskip("torch", reason="compared with the pytorch-crf package, which needs torch")
    rng = np.random.default_rng(seed)
    k, lengths = 6, [1, 20, *rng.integers(1, 20, 6).tolist()]
    emissions, labels, starts, mask = packed([[n] for n in lengths], k, seed=seed, scale=3.0)
    transitions = random_transitions(seed, k)
    layout = transitions, starts, mask

    peer = torchcrf.CRF(k, batch_first=True).double()
    with torch.no_grad():
        for parameter, value in zip(
            (peer.start_transitions, peer.end_transitions, peer.transitions), transitions, strict=True
        ):
            parameter.copy_(torch.tensor(np.asarray(value)))
    inputs = torch.tensor(emissions, dtype=torch.float64, requires_grad=True)
    loss = -peer(inputs, torch.tensor(labels), torch.tensor(mask))
    loss.backward()
    found = loss_and_gradient(emissions, labels, *layout)
    np.testing.assert_allclose(found[0], loss.item(), rtol=1e-5)
    gradients = inputs, peer.start_transitions, peer.end_transitions, peer.transitions
    for mine, theirs in zip(jax.tree.leaves(found[1]), gradients, strict=True):
        np.testing.assert_allclose(mine, theirs.grad.numpy(), rtol=5e-6, atol=1e-5)
    path = viterbi(emissions, *layout)[0]
    for r, expected in enumerate(peer.decode(inputs, torch.tensor(mask))):
        np.testing.assert_array_equal(path[r, : lengths[r]], expected)


def test_one_compilation_a_shape():
    before = negative_log_likelihood._cache_size()
    for seed, rows in enumerate([[[5, 4], [9]], [[9], [1, 3, GAP, 4]]]):
        emissions, labels, starts, mask = packed(rows, 3, seed=seed)
        negative_log_likelihood(emissions, labels, random_transitions(seed, 3), starts, mask)
    assert negative_log_likelihood._cache_size() == before + 1
