"""The update with squares that were summed where gradients were made, against the update without."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.tiny import tiny_settings

from kd_jax.models.tiled import Squares
from kd_jax.training.state import optimizer
from kd_jax.training.update import directions


def gradients(scale):
    shapes = {"recurrent": (2, 3, 12), "kernel": (4, 24), "bias": (2, 12)}
    keys = iter(jax.random.split(jax.random.key(0), 9))
    layer = [{name: scale * jax.random.normal(next(keys), shape) for name, shape in shapes.items()} for _ in range(2)]
    return {"words": scale * jnp.ones((5, 2)), "encoder": {"shared": layer[0]}, "branch": {"task": layer[1]}}


def squares(grads):
    of = [grads["encoder"]["shared"], grads["branch"]["task"]]
    return Squares(*(jnp.square(layer["recurrent"]).sum() + jnp.square(layer["bias"]).sum() for layer in of))


@pytest.mark.parametrize("scale", [1e-3, 10.0])  # without clipping and with
def test_clips_and_moves_alike(scale):
    settings, grads = tiny_settings(), gradients(scale)
    state = optimizer(settings).init(grads)
    theirs, ours = (directions(settings, grads, state, given) for given in (None, squares(grads)))
    assert (theirs[2] > settings.train.clip_norm) == (scale > 1)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_squares_that_are_given_are_taken():
    settings, grads = tiny_settings(), gradients(1.0)
    state = optimizer(settings).init(grads)
    norms = [float(directions(settings, grads, state, given)[2]) for given in (squares(grads), Squares.of_none())]
    assert norms[0] ** 2 - norms[1] ** 2 == pytest.approx(float(sum(squares(grads))), rel=1e-4)
