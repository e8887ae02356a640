"""Dropout's bits in a TPU's order, against the bytes that they are drawn as."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models.fused.dropout_bits import of_row, stays
from kd_jax.models.tagger import dropout_planes, dropout_words

KEPT = 150


def bits(key, rows, steps, before, after):
    words = dropout_words(key, rows * steps, sum(before))
    return stays(words, rows, steps, KEPT, before, after, interpret=True)


# The last has rows for three numbers, and words whose bytes begin anew in the middle of rows.
@pytest.mark.parametrize(("rows", "steps", "padded"), [(7, 16, 8), (3, 5, 8), (32, 3, 32), (67, 9, 72)])
def test_every_unit_of_every_token_stays_as_its_byte_says(rows, steps, padded):
    key, before, after = jax.random.key(rows), (5, 5), (8, 8)
    found = of_row(bits(key, rows, steps, before, after), padded)
    assert found.shape == (steps, padded, 16)
    expected = (dropout_planes(key, rows * steps, 10) < KEPT).reshape(rows, steps, 2, 5).swapaxes(0, 1)
    runs = np.asarray(found).reshape(steps, padded, 2, 8)
    np.testing.assert_array_equal(runs[:, :rows, :, :5], expected)
    assert not runs[..., 5:].any()
    assert not runs[:, rows:].any()


def test_lanes_are_one_launch():
    keys = jax.random.split(jax.random.key(1), 3)
    run = jax.vmap(lambda key: bits(key, 7, 16, (12,), (12,))[0])
    for key, ours in zip(keys, run(keys), strict=True):
        np.testing.assert_array_equal(ours, bits(key, 7, 16, (12,), (12,))[0])
    assert str(jax.make_jaxpr(run)(keys)).count("pallas_call[") == 1


def test_about_as_many_stay_as_asked_for():
    (found,) = bits(jax.random.key(2), 7, 64, (200,), (256,))
    share = np.asarray(of_row((found,), 7))[..., :200].mean()
    assert share == pytest.approx(KEPT / 256, abs=0.01)
    assert found.dtype == jnp.int32
