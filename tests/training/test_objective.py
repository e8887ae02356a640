"""A student's loss as the settings ask for it: equations (2) to (5) and their standardised forms, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from helpers.made_paths import packed, random_transitions

from kd_jax.settings import DistillConfig as Distill
from kd_jax.structs import LossWeights, Outputs
from kd_jax.training import losses
from kd_jax.training.losses import Term
from kd_jax.training.objective import Knowledge, Sentences, loss_terms
from kd_jax.training.structure import Chain, chain_divergence

ROWS = [[4, 2], [5], [1, 3]]
K = 4
SCALE = Outputs(jnp.float32(7.0), jnp.float32(0.3), jnp.float32(0.2))
NO_GOLD = Term(jnp.float32(0.0), jnp.int32(0))
PRINTED = Distill(equations="printed")
MATCHES = [
    PRINTED,
    Distill(equations="printed", match="soft"),
    Distill(),
    *(Distill(match=m, divergence=d) for m in ("soft", "posteriors") for d in ("kl", "reverse-kl", "jensen-shannon")),
    *(Distill(match="structure", divergence=d) for d in ("kl", "reverse-kl")),
]


@pytest.fixture
def case():
    """Student, its transitions, teacher, sentences and labels."""
    _, labels, starts, mask = packed(ROWS, K)
    keys = jax.random.split(jax.random.key(0), 6)
    shape = mask.shape
    student, teacher = (
        Outputs(*(jax.random.normal(key, (*shape, width)) for key, width in zip(three, (K, 6, 8), strict=True)))
        for three in (keys[:3], keys[3:])
    )
    known = Knowledge(teacher, SCALE, random_transitions(1, K))
    return student, random_transitions(2, K), known, Sentences(mask, starts, jnp.ones(K, bool)), labels


compiled = jax.jit(loss_terms, static_argnums=6)


def terms(case, how, *, gold=NO_GOLD, tau=1.0):
    student, transitions, teacher, sentences, _ = case
    return compiled(gold, student, transitions, teacher, sentences, tau, how)


def double(case):
    student, _, teacher, sentences, _ = case
    mask = np.asarray(sentences.matched)
    return [[np.asarray(x, np.float64)[mask] for x in of] for of in (student, teacher.outputs)]


def test_printed_is_the_papers_letter_by_letter(case):
    ours, theirs = double(case)
    found = terms(case, PRINTED)
    for term, s, t in zip(found[1:], ours, theirs, strict=True):
        np.testing.assert_allclose(term.mean, np.square(s - t).mean(), rtol=1e-5)  # (2), (3), (4)
    found = terms(case, Distill(equations="printed", match="soft"), tau=3.0).logits.mean
    q, p = (scipy.special.log_softmax(of[0] / 3.0, -1) for of in (ours, theirs))
    np.testing.assert_allclose(found, -(np.exp(p) * q).sum(-1).mean(), rtol=1e-5)  # (5)


def test_standardised_by_hand(case):
    ours, theirs = double(case)
    found = terms(case, Distill())
    s, t = (of[0] - of[0].mean(-1, keepdims=True) for of in (ours, theirs))
    np.testing.assert_allclose(found.logits.mean, np.square(s - t).mean() / 7.0, rtol=1e-5)
    np.testing.assert_allclose(found.task_hidden.mean, np.square(ours[1] - theirs[1]).mean() / 0.3, rtol=1e-5)
    np.testing.assert_allclose(found.shared_hidden.mean, np.square(ours[2] - theirs[2]).mean() / 0.2, rtol=1e-5)
    found = terms(case, Distill(match="soft"), tau=3.0).logits.mean
    q, p = (scipy.special.softmax(of[0] / 3.0, -1) for of in (ours, theirs))
    np.testing.assert_allclose(found, 9.0 * scipy.special.rel_entr(p, q).sum(-1).mean(), rtol=1e-5)


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_a_hot_gradient_keeps_its_size_where_there_is_tau_squared(case, how):
    student, *rest = case

    def size(tau):
        def of(logits):
            return terms((student._replace(logits=logits), *rest), how, tau=tau).logits.mean

        return float(jnp.abs(jax.grad(of)(student.logits)).max())

    if how.match == "mse":
        assert size(100.0) == size(1.0)
    elif how.equations == "printed":
        assert size(100.0) < 0.02 * size(1.0)
    else:
        assert 0.02 < size(100.0) / size(1.0) < 5


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_zero_with_no_gradient_where_student_equals_teacher(case, how):
    _, _, teacher, *rest = case

    def of(outputs):
        return terms((outputs, teacher.transitions, teacher, *rest), how, tau=2.0)

    found = of(teacher.outputs)
    for term in found[1:]:
        if (how.equations, how.match) != ("printed", "soft") or term is not found.logits:  # a cross-entropy is above 0
            np.testing.assert_allclose(term.summed, 0.0, atol=2e-5)
    slope = jax.grad(lambda outputs: sum(term.summed for term in of(outputs)[1:]))(teacher.outputs)
    for leaf in slope:
        np.testing.assert_allclose(leaf, 0.0, atol=5e-6)


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_a_shift_of_a_tokens_logits_is_seen_by_the_printed_error_only(case, how):
    student, transitions, teacher, *rest = case
    shifts = jax.random.normal(jax.random.key(9), (2, *student.logits.shape[:2], 1))
    outputs = teacher.outputs._replace(logits=teacher.outputs.logits + shifts[1])
    moved = student._replace(logits=student.logits + shifts[0]), transitions, teacher._replace(outputs=outputs), *rest
    a, b = (terms(of, how, tau=2.0).logits.mean for of in (case, moved))
    if how == PRINTED:
        assert abs(a - b) > 0.1
    else:
        np.testing.assert_allclose(a, b, rtol=2e-5)


def test_standardised_errors_do_not_know_the_teachers_scale(case):
    student, transitions, teacher, *rest = case
    larger, outputs = (Outputs(*(10 * x for x in of)) for of in (student, teacher.outputs))
    known = teacher._replace(outputs=outputs, scale=Outputs(*(100 * x for x in SCALE)))
    for a, b in zip(terms(case, Distill())[1:], terms((larger, transitions, known, *rest), Distill())[1:], strict=True):
        np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5)


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_labels_that_the_task_lacks_are_as_if_not_there(case, how):
    student, transitions, teacher, sentences, labels = case

    def padded(outputs, value):
        return outputs._replace(logits=jnp.pad(outputs.logits, ((0, 0), (0, 0), (0, 2)), constant_values=value))

    def wide(of):
        return type(of)(*(jnp.pad(x, (0, 2), constant_values=5.0) for x in of))

    known = teacher._replace(outputs=padded(teacher.outputs, -3.0), transitions=wide(teacher.transitions))
    valid = sentences._replace(valid=jnp.arange(K + 2) < K)

    def of(outputs):
        return terms((outputs, wide(transitions), known, valid, labels), how, tau=2.0).logits.mean

    value, slope = jax.value_and_grad(of)(padded(student, 8.0))
    np.testing.assert_allclose(value, terms(case, how, tau=2.0).logits.mean, rtol=1e-5, atol=1e-7)
    assert not np.any(slope.logits[..., K:])


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_masked_equals_deleted(case, how):
    """Row 0, and the last tokens of the others, are left out: as if the batch had never had them."""
    student, transitions, teacher, sentences, labels = case
    keep = np.asarray(sentences.matched).copy()
    keep[0] = False
    keep[:, 5:] = False
    masked = terms((student, transitions, teacher, sentences._replace(matched=keep), labels), how)

    def cut(x):
        return x[1:, :5]

    deleted = (
        Outputs(*map(cut, student)),
        transitions,
        teacher._replace(outputs=Outputs(*map(cut, teacher.outputs))),
        Sentences(cut(keep), cut(sentences.starts), sentences.valid),
        cut(labels),
    )
    for a, b in zip(masked[1:], terms(deleted, how)[1:], strict=True):
        assert a.tokens == b.tokens == 9
        np.testing.assert_allclose(a.summed, b.summed, rtol=1e-5)


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_alpha_one_is_the_single_task_model_to_the_bit(case, how):
    student, transitions, teacher, sentences, labels = case
    only_gold = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)
    mask = sentences.matched

    def loss(outputs, known):
        gold = Term(losses.cross_entropy(outputs.logits, labels, mask), mask.sum())
        return losses.total(terms((outputs, transitions, known, sentences, labels), how, gold=gold), only_gold)

    expected = jax.value_and_grad(lambda z: losses.cross_entropy(z, labels, mask) / mask.sum())(student.logits)
    for known in (teacher, None):
        value, slope = jax.value_and_grad(loss)(student, known)
        np.testing.assert_array_equal(value, expected[0])
        np.testing.assert_array_equal(slope.logits, expected[1])
        assert not np.any(slope.task_hidden)


def test_a_field_that_is_not_there_has_no_term(case):
    student, transitions, teacher, *rest = case
    only_task = teacher._replace(outputs=teacher.outputs._replace(logits=None, shared_hidden=None))
    found = terms((student, transitions, only_task, *rest), Distill())
    assert (found.logits, found.shared_hidden) == (None, None)
    np.testing.assert_allclose(found.task_hidden.mean, terms(case, Distill()).task_hidden.mean)
    assert terms((student, transitions, None, *rest), Distill())[1:] == (None, None, None)


def test_posteriors_of_softmax_models_are_soft_labels(case):
    student, _, teacher, *rest = case
    softmax = student, None, teacher._replace(transitions=None), *rest
    for divergence in ("kl", "reverse-kl", "jensen-shannon"):
        a, b = (terms(softmax, Distill(match=m, divergence=divergence), tau=2.0) for m in ("posteriors", "soft"))
        np.testing.assert_allclose(a.logits.mean, b.logits.mean, rtol=1e-5)


def test_structure_is_the_divergence_of_both_chains_in_the_direction_asked_for(case):
    student, transitions, teacher, sentences, _ = case
    rows = sentences.starts, sentences.matched
    ours, theirs = (
        Chain(z / 2, jax.tree.map(lambda x: x / 2, of))
        for z, of in ((student.logits, transitions), (teacher.outputs.logits, teacher.transitions))
    )
    for divergence, order in (("kl", (theirs, ours)), ("reverse-kl", (ours, theirs))):
        found = terms(case, Distill(match="structure", divergence=divergence), tau=2.0).logits
        np.testing.assert_allclose(found.summed, 4 * chain_divergence(*order, *rows).sum(), rtol=1e-5)


def test_a_softmax_student_of_a_crf_learns_its_posteriors(case):
    """The classic mix of heads: the teacher's transitions are heard, the student's chain has none."""
    student, _, teacher, *rest = case
    softmax = student, None, teacher, *rest
    blind = student, None, teacher._replace(transitions=None), *rest
    a, b = (terms(of, Distill(match="posteriors")).logits.mean for of in (softmax, blind))
    assert abs(a - b) > 0.01
    slopes = [
        jax.grad(lambda z, m=m: terms((student._replace(logits=z), *softmax[1:]), Distill(match=m)).logits.mean)(
            student.logits
        )
        for m in ("posteriors", "structure")
    ]
    np.testing.assert_allclose(*slopes, atol=1e-6)


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_stored_halves_are_matched_in_float32(case, how):
    student, transitions, teacher, *rest = case
    halves = jax.tree.map(lambda x: x.astype(jnp.bfloat16), teacher.outputs)
    known = teacher._replace(outputs=halves)
    back = teacher._replace(outputs=jax.tree.map(lambda x: x.astype(jnp.float32), halves))
    for a, b in zip(*(terms((student, transitions, k, *rest), how)[1:] for k in (known, back)), strict=True):
        assert a.summed.dtype == jnp.float32
        np.testing.assert_array_equal(a.summed, b.summed)


@pytest.mark.parametrize("how", MATCHES, ids=str)
def test_lanes_equal_one_at_a_time(case, how):
    student, transitions, *rest = case
    lanes = jax.tree.map(lambda x: jnp.stack([x, 2 * x, -x]), (student, transitions))
    taus = jnp.array([1.0, 2.0, 5.0])

    def one(outputs, of, tau):
        return tuple(t.mean for t in terms((outputs, of, *rest), how, tau=tau)[1:])

    together = jax.jit(jax.vmap(one))(*lanes, taus)
    for n in range(3):
        alone = one(*jax.tree.map(lambda x, n=n: x[n], lanes), taus[n])
        np.testing.assert_allclose([t[n] for t in together], alone, rtol=1e-5)
