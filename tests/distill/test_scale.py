import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.distill import scale
from kd_jax.distill.scale import hidden_scale, logit_scale, moments, moments_of, scales, together, variance
from kd_jax.errors import InputError
from kd_jax.structs import Outputs


@pytest.fixture
def logits():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(500, 5)) * [1, 2, 3, 4, 5] + [9, -3, 0, 1, 2]).astype(np.float32)


def test_by_hand():
    # centred: (1, -1), (2, -2), (3, -3); means by label 2 and -2; squares of what is left 1, 0, 1, each twice
    assert logit_scale(np.array([[1.0, -1.0], [9.0, 5.0], [0.0, -6.0]])) == pytest.approx(2 / 3)
    assert hidden_scale(np.array([[1.0, -1.0], [9.0, 5.0]])) == pytest.approx((16 + 9) / 2)


def test_is_1_for_a_student_of_each_labels_mean_and_0_for_the_teacher(logits):
    """Which is why terms in this unit are of one size."""
    centred = logits - logits.mean(1, keepdims=True)
    error = np.square(centred.mean(0) - centred).mean()
    assert error / logit_scale(logits) == pytest.approx(1.0, rel=1e-5)


def test_knows_no_shift_and_grows_with_the_square(logits):
    shift = np.random.default_rng(1).normal(size=(500, 1)).astype(np.float32)
    assert logit_scale(logits + 10 * shift) == pytest.approx(logit_scale(logits), rel=1e-5)
    assert logit_scale(logits + np.float32([3, 1, 4, 1, 5])) == pytest.approx(logit_scale(logits), rel=1e-5)
    assert logit_scale(10 * logits) == pytest.approx(100 * logit_scale(logits), rel=1e-5)
    assert hidden_scale(logits + np.float32([3, 1, 4, 1, 5])) == pytest.approx(hidden_scale(logits), rel=1e-5)
    assert hidden_scale(logits) == pytest.approx(logits.astype(float).var(0).mean(), rel=1e-6)


def test_read_in_pieces_of_any_dtype(logits, monkeypatch):
    whole = logit_scale(logits)
    monkeypatch.setattr(scale, "ROWS", 7)
    assert logit_scale(logits) == pytest.approx(whole, rel=1e-12)
    assert logit_scale(np.asarray(jnp.asarray(logits, jnp.bfloat16))) == pytest.approx(whole, rel=1e-2)


@pytest.mark.parametrize("centred", [True, False])
def test_parts_together_are_the_whole(logits, centred):
    """With means that are far apart, and a part of one token."""
    logits[:100] += np.float32([50, 0, -20, 3, 7])
    parts = [moments(part, centred=centred) for part in (logits[:100], logits[100:101], logits[101:])]
    whole = moments(logits, centred=centred)
    assert variance(together(parts)) == pytest.approx(variance(whole), rel=1e-12)
    np.testing.assert_allclose(together(parts).mean, whole.mean)
    assert together(parts).tokens == 500


def test_a_teacher_that_never_changes_is_not_divided_by_nothing():
    assert logit_scale(np.tile(np.float32([0.1, 0.7, -2.3]), (100, 1))) == 1.0
    assert logit_scale(np.zeros((10, 1), np.float32)) == 1.0
    assert hidden_scale(np.zeros((10, 3), np.float32)) == 1.0


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_teacher_that_is_not_finite_is_refused(logits, wrong):
    logits[3, 2] = wrong
    for of in (logit_scale, hidden_scale):
        with pytest.raises(InputError, match="not all finite"):
            of(logits)


def test_scales_of_outputs(logits):
    found = scales(moments_of(Outputs(logits, None, logits)))
    assert found == Outputs(logit_scale(logits), None, hidden_scale(logits))
