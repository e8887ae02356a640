"""The filters of characters as kernels, interpreted, against their lookups."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.data.vocab import PADDING
from kd_jax.models.features import highest
from kd_jax.models.fused import filters

WORDS, LONGEST, LETTERS, UNITS = 150, 7, 21, 10


def case(window):
    """Responses, many of them equal; words of 0 to 7 characters; a gradient."""
    keys = jax.random.split(jax.random.key(window), 4)
    responses = jax.random.randint(keys[0], (window, LETTERS, UNITS), -3, 4).astype(jnp.float32)
    chars = jax.random.randint(keys[1], (WORDS, LONGEST), PADDING + 1, LETTERS)
    lengths = jax.random.randint(keys[2], (WORDS, 1), 0, LONGEST + 1)
    return (
        responses,
        jnp.where(jnp.arange(LONGEST)[None] < lengths, chars, PADDING),
        jax.random.normal(keys[3], (WORDS, UNITS)),
    )


def results(run, responses, chars, bar):
    best, back = jax.vjp(lambda r: run(r, chars), responses)
    return best, *back(bar)


def kernels(compute):
    return lambda responses, chars: filters.highest(responses, chars, compute, interpret=True)


@pytest.mark.parametrize("window", [1, 3, 5])
def test_the_same_windows_win_and_get_the_gradient(window):
    ours, theirs = results(kernels("float32"), *case(window)), results(highest, *case(window))
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)


def test_bfloat16_rounds_responses_and_gradients_alone():
    responses, chars, bar = case(3)
    ours, theirs = results(kernels("bfloat16"), responses, chars, bar), results(highest, responses, chars, bar)
    np.testing.assert_array_equal(ours[0], theirs[0])  # small whole numbers, which bfloat16 has
    rounded = bar.astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_allclose(ours[1], results(highest, responses, chars, rounded)[1], atol=1e-5)


def test_lanes_are_one_launch():
    lanes = [case(3), case(5)[1:]]
    responses = jnp.stack([lanes[0][0], -lanes[0][0]])
    chars, bar = (jnp.stack(x) for x in zip(lanes[0][1:], lanes[1], strict=True))
    run = jax.vmap(lambda *of_lane: results(kernels("float32"), *of_lane))
    theirs = jax.vmap(lambda *of_lane: results(highest, *of_lane))(responses, chars, bar)
    for a, b in zip(run(responses, chars, bar), theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    traced = str(jax.make_jaxpr(run)(responses, chars, bar))
    assert traced.count("pallas_call[") == 2  # forward and back
