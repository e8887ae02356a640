"""What a parameter is moved by: the gradient, clipped by the norm of all gradients, and Adam's direction of it."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from kd_jax.models.tiled import Squares
from kd_jax.settings import Settings
from kd_jax.structs import Array
from kd_jax.training.state import ADAM, OptState, optimizer

SQUARED_ALREADY = {("shared", "recurrent"), ("shared", "bias"), ("task", "recurrent"), ("task", "bias")}
"""What `Squares` are of."""


def directions(
    settings: Settings, gradients: Any, state: OptState, squares: Squares | None
) -> tuple[Any, OptState, Float[Array, ""]]:
    """The directions of an update, to be multiplied with the learning rate and taken away.

    Args:
        settings: of the run.
        gradients: of what the batch touches.
        state: of `kd_jax.training.state.optimizer`.
        squares: of some gradients, summed where they were made; None for none, as on a CPU.

    Returns:
        Directions, the next state, and the norm of all gradients before they are clipped.
    """
    if squares is None:
        found, after = optimizer(settings).update(gradients, state)
        return found, after, optax.tree.norm(gradients)
    # The same by one number for each lane, so that nothing passes over all gradients but the update itself.
    others = [
        jnp.square(x).sum()
        for path, x in jax.tree_util.tree_leaves_with_path(gradients)
        if tuple(getattr(key, "key", None) for key in path[-2:]) not in SQUARED_ALREADY
    ]
    norm, most = jnp.sqrt(sum(others, squares.shared + squares.task)), settings.train.clip_norm
    clip, adam = state
    clipped = jax.tree.map(lambda x: x * jnp.where(norm < most, 1.0, most / norm), gradients)
    found, after_adam = ADAM.update(clipped, adam)
    return found, (clip, after_adam), norm
