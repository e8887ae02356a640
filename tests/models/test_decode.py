"""The decoder: what a softmax head, a constraint and a task of fewer labels than columns make of emissions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models.constraint import allowed_transitions, constrain, penalties
from kd_jax.models.crf import Transitions, viterbi
from kd_jax.models.decode import decode
from kd_jax.models.tagger import mask_labels

LABELS = ("O", "B-Gene", "I-Gene")
STARTS = jnp.array([[True, False, False, True, False]])
MASK = jnp.array([[True, True, True, True, False]])
RULED_OUT = constrain(Transitions.zeros(3), LABELS)


def test_a_softmax_head_unconstrained_is_argmax():
    logits = jax.random.normal(jax.random.key(0), (1, 5, 3))
    found = decode(logits, None, None, STARTS, MASK)
    np.testing.assert_array_equal(found, np.where(MASK, logits.argmax(-1), 0))


def test_the_constraint_mends_the_cheapest_token():
    """O I I | I: opening with B costs 2, giving up both I costs 6; in the second sentence O costs 1 and B 2."""
    logits = jnp.array([[[4.0, 0, 0], [0, 2, 4], [0, 0, 4], [1.0, 0, 2], [0, 0, 9]]])
    np.testing.assert_array_equal(decode(logits, None, None, STARTS, MASK), [[0, 2, 2, 2, 0]])
    np.testing.assert_array_equal(decode(logits, None, RULED_OUT, STARTS, MASK), [[0, 1, 2, 0, 0]])


@pytest.mark.parametrize("constrained", [False, True])
def test_a_task_with_fewer_labels_than_columns(constrained):
    logits = jax.random.normal(jax.random.key(1), (1, 5, 5)).at[..., 3:].set(50.0)
    masked = mask_labels(logits, jnp.arange(5) < 3)
    keys = jax.random.split(jax.random.key(2), 3)
    wide = Transitions(*(jax.random.normal(key, s) for key, s in zip(keys, [(5,), (5,), (5, 5)], strict=True)))
    narrow = Transitions(wide.start[:3], wide.stop[:3], wide.pairs[:3, :3])
    padded = jax.tree.map(lambda x: jnp.asarray(x[0]), penalties([LABELS], 5)) if constrained else None
    for transitions, cut in ((None, None), (wide, narrow)):
        found = decode(masked, transitions, padded, STARTS, MASK)
        expected = decode(logits[..., :3], cut, RULED_OUT if constrained else None, STARTS, MASK)
        np.testing.assert_array_equal(found, expected)
    if not constrained:
        np.testing.assert_array_equal(expected, viterbi(logits[..., :3], narrow, STARTS, MASK)[0])


def test_every_tasks_penalty_is_what_iob2_forbids_of_its_labels():
    wide = ("O", "B-A", "I-A", "B-B", "I-B")
    found = penalties([LABELS, wide], 5)
    for task, labels in enumerate((LABELS, wide)):
        k = len(labels)
        start_ok, pair_ok = allowed_transitions(labels)
        np.testing.assert_array_equal(found.start[task, :k] == 0, start_ok)
        np.testing.assert_array_equal(found.pairs[task, :k, :k] == 0, pair_ok)


def test_lanes_and_jit():
    logits = jax.random.normal(jax.random.key(3), (4, 1, 5, 3))
    together = jax.jit(jax.vmap(lambda z: decode(z, None, RULED_OUT, STARTS, MASK)))(logits)
    for lane in range(4):
        np.testing.assert_array_equal(together[lane], decode(logits[lane], None, RULED_OUT, STARTS, MASK))
