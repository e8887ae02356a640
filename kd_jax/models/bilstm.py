"""The bidirectional LSTM over packed rows, as a linen module around the recurrence."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, PRNGKeyArray

from kd_jax.models.precision import dense
from kd_jax.models.recurrence import lstm
from kd_jax.settings import Compute
from kd_jax.structs import Array


def keep_masks(starts: Bool[Array, "T R"]) -> tuple[Float[Array, "T R 1"], Float[Array, "T R 1"]]:
    """Where each direction keeps its state.

    Args:
        starts: True where a sentence starts and on padding, [T, R].

    Returns:
        [T, R, 1] float32 each: forward in time order, backward in reversed time order.
    """
    # Read backwards, a sentence starts at its end: at the token before the next start, and at the end of the row.
    ends = jnp.concatenate([starts[1:], jnp.ones_like(starts[:1])])
    forward, backward = (1.0 - forgets[..., None].astype(jnp.float32) for forgets in (starts, ends[::-1]))
    return forward, backward


class BiLSTM(nn.Module):
    """A bidirectional LSTM whose state is reset at sentence starts.

    Attributes:
        units: units of one direction.
        compute: of the products.
    """

    units: int
    compute: Compute = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "R T D"], starts: Bool[Array, "R T"]) -> Float[Array, "R T H"]:
        """Both directions' hidden states.

        Args:
            x: inputs, [R, T, D].
            starts: True where a sentence starts and on padding, [R, T].

        Returns:
            [R, T, H] with H = 2 * units, forward then backward.
        """
        size, units = x.shape[-1], self.units
        kernel = self.param("kernel", _two(nn.initializers.glorot_uniform()), (size, 4 * units))
        recurrent = self.param("recurrent", _two(nn.initializers.orthogonal()), (units, 4 * units))
        bias = self.param("bias", _forget_one, (2, 4 * units))
        # The recurrence runs over a leading time axis, the backward direction over reversed time: nothing outside
        # this method knows of either.
        x, starts = x.swapaxes(0, 1), starts.swapaxes(0, 1)
        orders = x, x[::-1]
        projected = tuple(
            dense(x, k, self.compute) + b[None, None] for x, k, b in zip(orders, kernel, bias, strict=True)
        )
        keep = tuple(kept.astype(x.dtype) for kept in keep_masks(starts))
        forward, backward = lstm(projected, recurrent, keep, self.compute)
        return jnp.concatenate([forward, backward[::-1]], -1).swapaxes(0, 1)


def _two(initializer: Any) -> Any:
    """The initializer of one direction, drawn for both."""
    # One by one, since an initializer's scale depends on the shape: a leading axis of 2 would count among the inputs.
    return lambda key, shape: jnp.stack([initializer(k, shape) for k in jax.random.split(key)])


def _forget_one(_: PRNGKeyArray, shape: tuple[int, int]) -> Float[Array, "2 gates"]:
    """Zero biases, but 1 for the forget gates (Jozefowicz et al. 2015)."""
    units = shape[1] // 4
    return jnp.zeros(shape).at[:, units : 2 * units].set(1.0)
