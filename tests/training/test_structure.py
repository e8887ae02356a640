"""Chains of small rows against all their labellings, one by one; the layout is that of packed sentences."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.finite_differences import gradient
from helpers.made_paths import GAP, enumerate_paths, log_sum_exp, packed, random_transitions, sentences

from kd_jax.models import crf
from kd_jax.models.constraint import FORBIDDEN_TRANSITION
from kd_jax.models.crf import Transitions
from kd_jax.training import structure
from kd_jax.training.structure import Chain

ROWS = [
    pytest.param([[4]], id="one sentence"),
    pytest.param([[1], [1]], id="one token"),
    pytest.param([[3, 2], [1, 1, 2], [2]], id="several sentences a row, padding at the end"),
    pytest.param([[3, GAP, GAP, 2], [GAP, 4, GAP], [GAP]], id="padding anywhere, one row of nothing else"),
]
chain_divergence = jax.jit(structure.chain_divergence)
posteriors = jax.jit(structure.posteriors)


def chain(rows, k, seed, scale=2.0):
    emissions, _, starts, mask = packed(rows, k, seed=seed, scale=scale)
    return Chain(jnp.asarray(emissions), random_transitions(seed, k, scale)), starts, mask


def enumerated(p, q, rows):
    """KL(p || q) of each sentence over all its labellings, at its last token."""
    found = np.zeros(p.emissions.shape[:2])
    for r, a, b in sentences(rows):
        log_p, log_q = (
            scores - log_sum_exp(scores)
            for _, scores in (enumerate_paths(np.asarray(of.emissions)[r, a:b], of.transitions) for of in (p, q))
        )
        found[r, b - 1] = (np.exp(log_p) * (log_p - log_q)).sum()
    return found


def by_sentence(shares, rows):
    found = np.zeros(shares.shape)
    for r, a, b in sentences(rows):
        found[r, b - 1] = np.asarray(shares)[r, a:b].sum()
    return found


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("k", [1, 2, 4])
def test_divergence_equals_enumeration_of_all_labellings(rows, k):
    (p, starts, mask), (q, *_) = chain(rows, k, 1), chain(rows, k, 2)
    unread = np.where(mask[..., None], 0.0, np.nan).astype(np.float32)
    shares = chain_divergence(
        p._replace(emissions=p.emissions + unread), q._replace(emissions=q.emissions + unread), starts, mask
    )
    np.testing.assert_allclose(by_sentence(shares, rows), enumerated(p, q, rows), rtol=5e-6, atol=2e-6)
    assert not np.any(shares[~mask])
    assert np.all(shares >= -1e-6)


@pytest.mark.parametrize("rows", ROWS)
def test_no_divergence_and_no_gradient_where_the_chains_are_equal(rows):
    p, starts, mask = chain(rows, 3, 1)
    assert not np.any(chain_divergence(p, p, starts, mask))
    for which in (0, 1):
        slope = jax.grad(lambda *both: chain_divergence(*both, starts, mask).sum(), which)(p, p)
        for leaf in jax.tree.leaves(slope):
            np.testing.assert_allclose(leaf, 0.0, atol=2e-6)


@pytest.mark.parametrize("learner", ["second", "first"])
def test_gradients_equal_finite_differences_of_the_enumeration(learner):
    rows = [[3, 1], [2, GAP, 1]]
    (p, starts, mask), (q, *_) = chain(rows, 3, 1, 1.0), chain(rows, 3, 2, 1.0)
    which = learner == "second"
    found = jax.grad(lambda *both: chain_divergence(*both, starts, mask).sum(), int(which))(p, q)
    leaves, tree = jax.tree.flatten(q if which else p)
    for number, slope in enumerate(jax.tree.leaves(found)):

        def reference(leaf, number=number):
            moved = tree.unflatten([*leaves[:number], leaf, *leaves[number + 1 :]])
            return enumerated(*((p, moved) if which else (moved, q)), rows).sum()

        expected = gradient(reference, leaves[number])
        assert np.abs(expected).max() > 0.1
        np.testing.assert_allclose(slope, expected, atol=3e-6)


def test_gradient_is_the_difference_of_marginals():
    """What moves the student: where its marginals are not the teacher's, token by token and in expected transitions."""
    rows = [[6, 3], [9]]
    (p, starts, mask), (q, *_) = chain(rows, 4, 1), chain(rows, 4, 2)
    found = jax.grad(lambda both: chain_divergence(p, both, starts, mask).sum())(q)
    expected = jax.tree.map(jnp.subtract, *(jax.grad(crf.log_partition, (0, 1))(*of, starts, mask) for of in (q, p)))
    np.testing.assert_allclose(found.emissions, expected[0], atol=3e-6)
    for name in Transitions._fields:
        np.testing.assert_allclose(getattr(found.transitions, name), getattr(expected[1], name), atol=1e-5)


def test_without_transitions_it_is_the_divergence_of_soft_labels():
    rows = [[4, 2], [1, GAP, 3]]
    (p, starts, mask), (q, *_) = chain(rows, 3, 1), chain(rows, 3, 2)
    p, q = (of._replace(transitions=Transitions.zeros(3)) for of in (p, q))
    log_p, log_q = (jax.nn.log_softmax(of.emissions) for of in (p, q))
    expected = np.where(mask, (jnp.exp(log_p) * (log_p - log_q)).sum(-1), 0.0)
    np.testing.assert_allclose(chain_divergence(p, q, starts, mask), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(posteriors(p, starts, mask)[mask], log_p[mask], atol=2e-6)


def test_for_a_softmax_student_the_chain_and_its_posteriors_have_one_gradient():
    rows = [[5, 3], [8]]
    (p, starts, mask), (q, *_) = chain(rows, 4, 1), chain(rows, 4, 2)
    log_p = posteriors(p, starts, mask)

    def of_chain(emissions):
        return chain_divergence(p, Chain(emissions, Transitions.zeros(4)), starts, mask).sum()

    def of_posteriors(emissions):
        return -jnp.where(mask, (jnp.exp(log_p) * jax.nn.log_softmax(emissions)).sum(-1), 0.0).sum()

    np.testing.assert_allclose(jax.grad(of_chain)(q.emissions), jax.grad(of_posteriors)(q.emissions), atol=2e-6)


def test_a_shift_of_a_tokens_emissions_changes_nothing():
    rows = [[4, 2], [5]]
    (p, starts, mask), (q, *_) = chain(rows, 3, 1), chain(rows, 3, 2)
    shift = 5 * jax.random.normal(jax.random.key(0), (*mask.shape, 1))
    moved = chain_divergence(p, q._replace(emissions=q.emissions + shift), starts, mask)
    np.testing.assert_allclose(moved, chain_divergence(p, q, starts, mask), atol=5e-6)


def test_a_shift_that_float32_holds_changes_no_bit():
    """However large: emissions near 1,000 have posteriors as exact as those near 0."""
    rows = [[4, 2], [5]]
    (p, starts, mask), (q, *_) = (chain(rows, 3, seed) for seed in (1, 2))
    p, q = (of._replace(emissions=jnp.round(of.emissions * 1024) / 1024) for of in (p, q))
    far = [of._replace(emissions=of.emissions + 1024.0) for of in (p, q)]
    np.testing.assert_array_equal(posteriors(far[0], starts, mask), posteriors(p, starts, mask))
    np.testing.assert_array_equal(chain_divergence(*far, starts, mask), chain_divergence(p, q, starts, mask))


def test_neighbours_and_padding_have_exactly_no_influence():
    rows = [[4, 1, 4], [4, 1, GAP, 3]]
    (p, starts, mask), (q, *_) = chain(rows, 3, 1), chain(rows, 3, 2)
    shares, log_p = chain_divergence(p, q, starts, mask), posteriors(p, starts, mask)
    for r, a, b in sentences(rows):
        own = np.zeros(mask.shape, bool)
        own[r, a:b] = True
        others = [of._replace(emissions=jnp.where(own[..., None], of.emissions, 9 - 7 * of.emissions)) for of in (p, q)]
        np.testing.assert_array_equal(chain_divergence(*others, starts, mask)[own], shares[own])
        np.testing.assert_array_equal(posteriors(others[0], starts, mask)[own], log_p[own])
        np.testing.assert_array_equal(chain_divergence(p, q, starts, mask & own)[own], shares[own])
        alone = [of._replace(emissions=of.emissions[r : r + 1, a:b]) for of in (p, q)]
        layout = starts[r : r + 1, a:b], mask[r : r + 1, a:b]
        np.testing.assert_allclose(chain_divergence(*alone, *layout)[0], shares[r, a:b], rtol=1e-5, atol=1e-6)


def test_what_both_rule_out_adds_nothing():
    """A label that the task lacks and a transition that is forbidden: as if they were not there."""
    rows = [[3, 2], [4]]
    (p, starts, mask), (q, *_) = chain(rows, 3, 1), chain(rows, 3, 2)
    narrow = chain_divergence(p, q, starts, mask)

    def widened(of):
        emissions = jnp.pad(of.emissions, ((0, 0), (0, 0), (0, 1)), constant_values=-1e9)
        return Chain(emissions, Transitions(*(jnp.pad(x, (0, 1)) for x in of.transitions)))

    np.testing.assert_allclose(chain_divergence(widened(p), widened(q), starts, mask), narrow, rtol=1e-5, atol=1e-6)
    ruled_out = [
        of._replace(
            transitions=of.transitions._replace(
                start=of.transitions.start.at[2].set(FORBIDDEN_TRANSITION),
                pairs=of.transitions.pairs.at[0, 2].set(FORBIDDEN_TRANSITION),
            )
        )
        for of in (p, q)
    ]
    shares = chain_divergence(*ruled_out, starts, mask)
    np.testing.assert_allclose(by_sentence(shares, rows), enumerated(*ruled_out, rows), rtol=5e-6, atol=2e-6)
    slope = jax.grad(lambda of: chain_divergence(ruled_out[0], of, starts, mask).sum())(ruled_out[1])
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert slope.transitions.start[2] == 0.0


def test_temperature_divides_every_score():
    rows = [[3]]
    p, starts, mask = chain(rows, 2, 1)
    found = np.exp(posteriors(p.softened(2.0), starts, mask))[0]
    paths, scores = enumerate_paths(np.asarray(p.emissions)[0], p.transitions)
    weights = np.exp(scores / 2 - log_sum_exp(scores / 2))
    expected = [[weights[paths[:, t] == k].sum() for k in range(2)] for t in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_lanes_equal_one_at_a_time():
    rows = [[3, 4], [6]]
    p, starts, mask = chain(rows, 4, 0)
    lanes = [chain(rows, 4, seed)[0] for seed in range(1, 4)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes)
    together = jax.jit(jax.vmap(structure.chain_divergence, (None, 0, None, None)))(p, stacked, starts, mask)
    for found, lane in zip(together, lanes, strict=True):
        np.testing.assert_allclose(found, chain_divergence(p, lane, starts, mask), rtol=2e-5, atol=1e-6)


def test_long_confident_sentences_stay_exact():
    """400 tokens of scores near 1,000 and a divergence of a few nats, against double precision."""
    rows = [[400]]
    (p, starts, mask), (q, *_) = chain(rows, 3, 1), chain(rows, 3, 2)
    q = q._replace(emissions=p.emissions + 0.1 * q.emissions, transitions=p.transitions)
    shift = np.float32(1000.0) * np.ones((1, 400, 1), np.float32)
    far = [np.asarray(of.emissions + shift) for of in (p, q)]  # rounded to what float32 holds near 1,000

    def precise(emissions):
        """log p(y_t | y_t-1) by the backward recursion, and log p(y_t)."""
        start, stop, pairs = (np.asarray(x, np.float64) for x in p.transitions)
        e, rest = emissions[0].astype(np.float64), stop
        conditional = np.zeros((400, 3, 3))
        for t in range(399, -1, -1):
            scores = (np.tile(start, (3, 1)) if t == 0 else pairs) + e[t] + rest
            rest = np.logaddexp.reduce(scores, axis=1)
            conditional[t] = scores - rest[:, None]
        marginal = np.exp(conditional[0][0])
        marginals = [np.array([1.0, 0.0, 0.0])]
        for t in range(399):
            marginals.append(marginal)
            marginal = marginal @ np.exp(conditional[t + 1])
        return conditional, np.array(marginals)

    (log_p, before), (log_q, _) = precise(far[0]), precise(far[1])
    expected = np.einsum("ti,tij->t", before, np.exp(log_p) * (log_p - log_q))
    found = chain_divergence(*(Chain(e, p.transitions) for e in far), starts, mask)[0]
    assert 0.5 < expected.sum() < 50
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-6)
    np.testing.assert_allclose(found.sum(), expected.sum(), rtol=1e-5)


def test_pairwise_marginals_equal_enumeration():
    rows = [[3, 2], [4]]
    p, starts, mask = chain(rows, 3, 1)
    log_c, log_m = crf.log_conditionals(*p, starts, mask), posteriors(p, starts, mask)
    for r, a, b in sentences(rows):
        paths, scores = enumerate_paths(np.asarray(p.emissions)[r, a:b], p.transitions)
        weights = np.exp(scores - log_sum_exp(scores))
        for t in range(a + 1, b):
            found = np.exp(log_m[r, t - 1][:, None] + log_c[r, t])
            for i, j in itertools.product(range(3), range(3)):
                both = (paths[:, t - 1 - a] == i) & (paths[:, t - a] == j)
                np.testing.assert_allclose(found[i, j], weights[both].sum(), rtol=2e-5, atol=1e-7)
