"""Loss terms against hand values, the paper's worked example, and what has to hold where student equals teacher."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from kd_jax.settings import DistillConfig
from kd_jax.structs import LossWeights, Outputs
from kd_jax.training import losses


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    student = Outputs(*(jnp.asarray(rng.normal(size=(3, 4, width)), jnp.float32) for width in (5, 6, 7)))
    teacher = Outputs(*(jnp.asarray(rng.normal(size=(3, 4, width)), jnp.float32) for width in (5, 6, 7)))
    labels = jnp.asarray(rng.integers(5, size=(3, 4)))
    mask = jnp.asarray(rng.random((3, 4)) < 0.7)
    return student, teacher, labels, mask


def test_worked_example_of_equation_1():
    np.testing.assert_allclose(losses.soften(jnp.array([0.7, 0.2, 0.1]), 3.0), [0.3752, 0.3176, 0.3072], atol=5e-5)


def test_cross_entropy_by_hand(case):
    student, _, labels, mask = case
    p = scipy.special.softmax(np.asarray(student.logits, np.float64), -1)
    expected = sum(-np.log(p[i, j, labels[i, j]]) for i in range(3) for j in range(4) if mask[i, j])
    np.testing.assert_allclose(losses.cross_entropy(student.logits, labels, mask), expected, rtol=1e-6)


@pytest.mark.parametrize("tau", [1.0, 2.0, 10.0])
def test_soft_cross_entropy_is_kl_plus_the_teachers_entropy(case, tau):
    student, teacher, _, mask = case
    p = scipy.special.softmax(np.asarray(teacher.logits, np.float64) / tau, -1)
    q = scipy.special.softmax(np.asarray(student.logits, np.float64) / tau, -1)
    per_token = scipy.special.rel_entr(p, q).sum(-1) + scipy.special.entr(p).sum(-1)
    value = losses.soft_cross_entropy(student.logits, teacher.logits, mask, tau)
    np.testing.assert_allclose(value, per_token[np.asarray(mask)].sum(), rtol=1e-5)


def test_soft_labels_teach_nothing_more_where_student_equals_teacher(case):
    student, _, _, mask = case
    gradient = jax.grad(losses.soft_cross_entropy)(student.logits, student.logits, mask, 3.0)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


@pytest.mark.parametrize("over", ["mean", "sum"])
def test_squared_error_by_hand_and_zero_at_the_teacher(case, over):
    student, teacher, _, mask = case
    error = (np.asarray(student.task_hidden) - np.asarray(teacher.task_hidden)) ** 2
    expected = (error.mean(-1) if over == "mean" else error.sum(-1))[np.asarray(mask)].sum()
    value = losses.squared_error(student.task_hidden, teacher.task_hidden, mask, over)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert losses.squared_error(student.task_hidden, student.task_hidden, mask, over) == 0.0


def test_total_is_the_weighted_sum(case):
    student, teacher, labels, mask = case
    supervised = losses.cross_entropy(student.logits, labels, mask)
    weights = LossWeights(0.3, 0.7, 0.11, 0.13, 1.0)
    expected = 0.3 * supervised + sum(
        w * losses.squared_error(s, t, mask, "mean")
        for w, s, t in zip((0.7, 0.11, 0.13), student, teacher, strict=True)
    )
    total = losses.total(supervised, student, teacher, weights, mask, DistillConfig(logits_error="mean"))
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_alpha_one_is_the_supervised_loss_and_its_gradient(case):
    student, teacher, labels, mask = case
    only_gold = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)

    def with_teacher(logits, taught_by):
        ours = student._replace(logits=logits)
        return losses.total(
            losses.cross_entropy(logits, labels, mask), ours, taught_by, only_gold, mask, DistillConfig()
        )

    assert with_teacher(student.logits, teacher) == with_teacher(student.logits, None)
    a, b = (jax.grad(with_teacher)(student.logits, t) for t in (teacher, None))
    np.testing.assert_array_equal(a, b)


def test_masked_equals_deleted(case):
    student, teacher, labels, mask = case
    kept = np.asarray(mask)
    every = jnp.ones(kept.sum(), bool)
    for masked, deleted in (
        (
            losses.cross_entropy(student.logits, labels, mask),
            losses.cross_entropy(student.logits[kept], labels[kept], every),
        ),
        (
            losses.soft_cross_entropy(student.logits, teacher.logits, mask, 2.0),
            losses.soft_cross_entropy(student.logits[kept], teacher.logits[kept], every, 2.0),
        ),
        (
            losses.squared_error(student.shared_hidden, teacher.shared_hidden, mask, "mean"),
            losses.squared_error(student.shared_hidden[kept], teacher.shared_hidden[kept], every, "mean"),
        ),
    ):
        np.testing.assert_allclose(masked, deleted, rtol=1e-6)


def test_relative_error_does_not_know_the_scale_of_the_logits(case):
    student, teacher, _, mask = case
    weights, relative = LossWeights(0.0, 1.0, 0.0, 0.0, 1.0), DistillConfig(logits_error="relative")

    def at(scale):
        ours, theirs = (Outputs(scale * outputs.logits, None, None) for outputs in (student, teacher))
        return losses.total(0.0, ours, theirs, weights, mask, relative)

    error = np.square(np.asarray(student.logits - teacher.logits))[np.asarray(mask)]
    square = np.square(np.asarray(teacher.logits))[np.asarray(mask)]
    np.testing.assert_allclose(at(1.0), error.mean(-1).sum() / square.mean(), rtol=1e-5)
    np.testing.assert_allclose(at(1.0), at(10.0), rtol=1e-5)


@pytest.mark.parametrize("tau_squared", [False, True])
def test_soft_labels_in_the_total(case, tau_squared):
    student, teacher, _, mask = case
    weights = LossWeights(0.0, 0.5, 0.0, 0.0, 3.0)
    cross = losses.soft_cross_entropy(student.logits, teacher.logits, mask, 3.0)
    factor = 0.5 * (9.0 if tau_squared else 1.0)
    soft = DistillConfig(match="soft", tau_squared=tau_squared)
    only_logits = Outputs(teacher.logits, None, None)
    np.testing.assert_allclose(losses.total(0.0, student, only_logits, weights, mask, soft), factor * cross, rtol=1e-6)
    kl = DistillConfig(match="soft", tau_squared=tau_squared, divergence="kl")
    at_teacher = Outputs(teacher.logits, None, None)
    np.testing.assert_allclose(losses.total(0.0, at_teacher, at_teacher, weights, mask, kl), 0.0, atol=1e-5)
    a, b = (
        jax.grad(lambda z, how=how: losses.total(0.0, Outputs(z, None, None), only_logits, weights, mask, how))(
            student.logits
        )
        for how in (soft, kl)
    )
    np.testing.assert_allclose(a, b, atol=1e-6)
