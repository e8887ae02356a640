import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models.crf import Transitions, viterbi
from kd_jax.models.decode import decode

LABELS = ("O", "B-Gene", "I-Gene")
STARTS = np.array([[True, False, False, True, False]])
MASK = np.array([[True, True, True, True, False]])


def test_a_softmax_head_unconstrained_is_argmax():
    logits = jax.random.normal(jax.random.key(0), (1, 5, 3))
    found, log_p = decode(logits, None, LABELS, STARTS, MASK, constrained=False)
    np.testing.assert_array_equal(found, np.where(MASK, logits.argmax(-1), 0))
    np.testing.assert_allclose(log_p, np.where(MASK, jax.nn.log_softmax(logits).max(-1), 0).sum(), rtol=1e-6)


def test_the_constraint_mends_the_cheapest_token():
    """O I I | I: opening with B costs 2, giving up both I costs 6; in the second sentence O costs 1 and B 2."""
    logits = jnp.array([[[4.0, 0, 0], [0, 2, 4], [0, 0, 4], [1.0, 0, 2], [0, 0, 9]]])
    found, _ = decode(logits, None, LABELS, STARTS, MASK, constrained=False)
    np.testing.assert_array_equal(found, [[0, 2, 2, 2, 0]])
    found, _ = decode(logits, None, LABELS, STARTS, MASK, constrained=True)
    np.testing.assert_array_equal(found, [[0, 1, 2, 0, 0]])


@pytest.mark.parametrize("constrained", [False, True])
def test_a_task_with_fewer_labels_than_columns(constrained):
    logits = jax.random.normal(jax.random.key(1), (1, 5, 5)).at[..., 3:].set(50.0)
    keys = jax.random.split(jax.random.key(2), 3)
    wide = Transitions(*(jax.random.normal(key, s) for key, s in zip(keys, [(5,), (5,), (5, 5)], strict=True)))
    narrow = Transitions(wide.start[:3], wide.stop[:3], wide.pairs[:3, :3])
    for transitions, cut in ((None, None), (wide, narrow)):
        found, score = decode(logits, transitions, LABELS, STARTS, MASK, constrained=constrained)
        expected, value = decode(logits[..., :3], cut, LABELS, STARTS, MASK, constrained=constrained)
        np.testing.assert_array_equal(found, expected)
        assert score == value
    if not constrained:
        np.testing.assert_array_equal(expected, viterbi(logits[..., :3], narrow, STARTS, MASK)[0])


def test_lanes_and_jit():
    logits = jax.random.normal(jax.random.key(3), (4, 1, 5, 3))
    together = jax.jit(jax.vmap(lambda z: decode(z, None, LABELS, STARTS, MASK, constrained=True)[0]))(logits)
    for lane in range(4):
        np.testing.assert_array_equal(
            together[lane], decode(logits[lane], None, LABELS, STARTS, MASK, constrained=True)[0]
        )
