"""The mean of teachers' logits, uniform or weighted."""

import numpy as np
import pytest

from kd_jax.distill.ensemble import mean_logits
from kd_jax.errors import InputError
from kd_jax.structs import Outputs


@pytest.fixture
def teachers():
    rng = np.random.default_rng(0)
    return [Outputs(*(np.float16(rng.normal(size=(7, w))) for w in (3, 4, 4))) for _ in range(3)]


def test_mean(teachers):
    expected = np.mean([t.logits.astype(np.float64) for t in teachers], 0)
    found = mean_logits(teachers)
    np.testing.assert_allclose(found.logits, expected, rtol=1e-6)
    assert found.task_hidden is None


def test_weights(teachers):
    expected = np.average([t.logits.astype(np.float64) for t in teachers], 0, [70.0, 20.0, 10.0])
    np.testing.assert_allclose(mean_logits(teachers, [70.0, 20.0, 10.0]).logits, expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(mean_logits(teachers, [0.0, 5.0, 0.0]).logits, teachers[1].logits, rtol=1e-6)
    with pytest.raises(InputError, match="all 0"):
        mean_logits(teachers, [0.0, 0.0, 0.0])


def test_one_teacher_is_itself(teachers):
    assert mean_logits(teachers[:1]) is teachers[0]


def test_a_teacher_of_larger_logits_does_not_speak_for_all():
    """With their scales teachers are averaged as if all had one, whatever that is and whatever their shifts."""
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 50, 4))
    outputs = [Outputs(z.astype(np.float32), None, None) for z in (a, 10 * b + 7)]
    found = mean_logits(outputs, [1.0, 3.0], [1.0, 100.0]).logits
    centred = [z - z.mean(1, keepdims=True) for z in (a, b)]
    common = 0.25 * 1 + 0.75 * 10
    np.testing.assert_allclose(found, common * (0.25 * centred[0] + 0.75 * centred[1]), rtol=1e-4, atol=1e-4)
    twice = mean_logits([outputs[1], outputs[1]], None, [100.0, 100.0]).logits
    np.testing.assert_allclose(twice, 10 * centred[1], rtol=1e-4, atol=1e-4)
