"""Each loss against hand values, an independent library and finite differences; what their weighted sum promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
from helpers.finite_differences import gradient

from kd_jax.structs import LossWeights, Outputs
from kd_jax.training import losses
from kd_jax.training.losses import Term, Terms

DIVERGENCES = ["kl", "reverse-kl", "jensen-shannon"]


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    student = Outputs(*(jnp.asarray(rng.normal(size=(3, 4, width)), jnp.float32) for width in (5, 6, 7)))
    teacher = Outputs(*(jnp.asarray(rng.normal(size=(3, 4, width)), jnp.float32) for width in (5, 6, 7)))
    labels = jnp.asarray(rng.integers(5, size=(3, 4)))
    mask = jnp.asarray(rng.random((3, 4)) < 0.7)
    return student, teacher, labels, mask


def probabilities(logits, tau=1.0):
    return scipy.special.softmax(np.asarray(logits, np.float64) / tau, -1)


def by_library(student, teacher, which, tau):
    """A divergence of soft labels, by scipy and in double precision, [...]."""
    q, p = probabilities(student, tau), probabilities(teacher, tau)
    if which == "kl":
        return scipy.special.rel_entr(p, q).sum(-1)
    if which == "reverse-kl":
        return scipy.special.rel_entr(q, p).sum(-1)
    return scipy.spatial.distance.jensenshannon(p, q, axis=-1) ** 2


def soft(student, teacher, which, tau):
    return losses.divergence(jax.nn.log_softmax(student / tau), jax.nn.log_softmax(teacher / tau), which)


def test_worked_example_of_equation_1():
    np.testing.assert_allclose(losses.soften(jnp.array([0.7, 0.2, 0.1]), 3.0), [0.3752, 0.3176, 0.3072], atol=5e-5)


def test_cross_entropy_by_hand(case):
    student, _, labels, mask = case
    p = probabilities(student.logits)
    expected = sum(-np.log(p[i, j, labels[i, j]]) for i in range(3) for j in range(4) if mask[i, j])
    np.testing.assert_allclose(losses.cross_entropy(student.logits, labels, mask), expected, rtol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 2.0, 10.0])
def test_soft_cross_entropy_is_kl_plus_the_teachers_entropy_and_has_its_gradient(case, tau):
    student, teacher, *_ = case
    entropy = scipy.special.entr(probabilities(teacher.logits, tau)).sum(-1)
    value = losses.soft_cross_entropy(student.logits, teacher.logits, tau)
    np.testing.assert_allclose(value, by_library(student.logits, teacher.logits, "kl", tau) + entropy, rtol=1e-5)
    a = jax.grad(lambda z: losses.soft_cross_entropy(z, teacher.logits, tau).sum())(student.logits)
    b = jax.grad(lambda z: soft(z, teacher.logits, "kl", tau).sum())(student.logits)
    np.testing.assert_allclose(a, b, atol=2e-7)


@pytest.mark.parametrize("which", DIVERGENCES)
@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_divergences_equal_scipys(case, which, tau):
    student, teacher, *_ = case
    found = soft(student.logits, teacher.logits, which, tau)
    np.testing.assert_allclose(found, by_library(student.logits, teacher.logits, which, tau), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("which", DIVERGENCES)
@pytest.mark.parametrize("tau", [1.0, 3.0])
def test_gradients_of_divergences_equal_finite_differences(case, which, tau):
    student, teacher, *_ = case
    found = jax.grad(lambda z: soft(z, teacher.logits, which, tau).sum())(student.logits)
    expected = gradient(lambda z: by_library(z, teacher.logits, which, tau).sum(), student.logits)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("which", DIVERGENCES)
def test_divergences_are_0_with_no_gradient_at_the_teacher_and_above_elsewhere(case, which):
    student, teacher, *_ = case
    np.testing.assert_allclose(soft(teacher.logits, teacher.logits, which, 2.0), 0.0, atol=1e-7)
    slope = jax.grad(lambda z: soft(z, teacher.logits, which, 2.0).sum())(teacher.logits)
    np.testing.assert_allclose(slope, 0.0, atol=1e-7)
    assert np.all(soft(student.logits, teacher.logits, which, 2.0) > 1e-3)


def test_divergences_stay_finite_where_a_label_is_ruled_out():
    ours, theirs = jnp.array([[3.0, 1.0, -1e9]]), jnp.array([[0.5, 2.0, -1e9]])
    for which in DIVERGENCES:
        found = soft(ours, theirs, which, 1.0)
        np.testing.assert_allclose(found, by_library(ours[:, :2], theirs[:, :2], which, 1.0), rtol=1e-5)
        slope = jax.grad(lambda z, which=which: soft(z, theirs, which, 1.0).sum())(ours)
        assert np.isfinite(slope).all()
        assert slope[0, 2] == 0.0


def test_jensen_shannon_is_symmetric_and_at_most_log_2(case):
    student, teacher, *_ = case
    a, b = (30 * x.logits for x in (student, teacher))
    np.testing.assert_allclose(soft(a, b, "jensen-shannon", 1.0), soft(b, a, "jensen-shannon", 1.0), rtol=1e-6)
    assert np.all(soft(a, b, "jensen-shannon", 1.0) <= np.log(2) + 1e-6)


def test_squared_error_by_hand():
    ours, theirs = jnp.array([[1.0, 2.0, 4.0]]), jnp.array([[1.0, 0.0, 1.0]])
    np.testing.assert_allclose(losses.squared_error(ours, theirs), [13 / 3], rtol=1e-6)
    np.testing.assert_allclose(losses.squared_error(ours, theirs, jnp.array([True, True, False])), [2.0], rtol=1e-6)
    assert losses.squared_error(ours, ours) == 0.0


def test_centred_logits_by_hand():
    found = losses.centre(jnp.array([[1.0, 3.0, 100.0], [0.0, -4.0, -7.0]]), jnp.array([True, True, False]))
    np.testing.assert_array_equal(found, [[-1.0, 1.0, 0.0], [2.0, -2.0, 0.0]])


def test_a_term_is_a_mean_over_its_own_tokens():
    term = Term.over(jnp.array([1.0, 2.0, jnp.inf, 6.0]), jnp.array([True, True, False, True]))
    assert (float(term.summed), int(term.tokens), float(term.mean)) == (9.0, 3, 3.0)
    assert Term.over(jnp.ones(3), jnp.zeros(3, bool)).mean == 0.0


TERMS = Terms(*(Term(jnp.float32(s), jnp.int32(n)) for s, n in ((6.0, 3), (20.0, 10), (1.0, 10), (4.0, 8))))


def test_total_is_the_weighted_sum_of_means():
    weights = LossWeights(0.3, 0.7, 0.11, 0.13, 1.0)
    expected = 0.3 * 2.0 + 0.7 * 2.0 + 0.11 * 0.1 + 0.13 * 0.5
    np.testing.assert_allclose(losses.total(TERMS, weights), expected, rtol=1e-6)
    np.testing.assert_allclose(losses.total(Terms(TERMS.gold), weights), 0.6, rtol=1e-6)


def test_a_weight_is_not_diluted_by_tokens_of_another_term():
    """As many unlabelled sentences as one likes leave the gold labels' share as it is."""
    weights = LossWeights(0.5, 0.5, 0.0, 0.0, 1.0)
    many = TERMS._replace(logits=Term(100 * TERMS.logits.summed, 100 * TERMS.logits.tokens))
    np.testing.assert_allclose(losses.total(many, weights), losses.total(TERMS, weights), rtol=1e-6)


def test_shards_added_up_are_the_whole(case):
    student, teacher, labels, mask = case
    weights = LossWeights(0.4, 0.6, 0.0, 0.0, 1.0)

    def terms(logits, theirs, labels, mask):
        gold = Term(losses.cross_entropy(logits, labels, mask), mask.sum())
        return Terms(gold, Term.over(losses.squared_error(logits, theirs), mask))

    def whole(logits):
        return losses.total(terms(logits, teacher.logits, labels, mask), weights)

    def sharded(logits):
        def shard(*part):
            return losses.total(jax.tree.map(lambda x: jax.lax.psum(x, "rows"), terms(*part)), weights)

        return jax.vmap(shard, axis_name="rows")(logits, teacher.logits, labels, mask)[0]

    for found, expected in zip(
        jax.value_and_grad(sharded)(student.logits), jax.value_and_grad(whole)(student.logits), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
