"""The bidirectional LSTM over packed rows, as a linen module around the recurrence in one of its forms."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, PRNGKeyArray

from kd_jax.models.execution import Execution
from kd_jax.models.precision import dense
from kd_jax.models.recurrence import lstm
from kd_jax.settings import Compute
from kd_jax.structs import Array

Carry = tuple[Float[Array, "2 R units"], Float[Array, "2 R units"]]


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


class Cells(nn.Module):
    """One time step of both directions' LSTM cells, for `nn.scan` to lift: the recurrence as its definition has it.

    i, f, o = sigmoid(z), g = tanh(z) of the four parts of z_t = x_t + h_{t-1} U; c_t = f c_{t-1} + i g;
    h_t = o tanh(c_t), where h_{t-1} and c_{t-1} are 0 at a sentence's first token.

    Attributes:
        units: units of one direction.
        compute: of the products.
    """

    units: int
    compute: Compute = "float32"

    @nn.compact
    def __call__(
        self, carry: Carry, x: tuple[Float[Array, "2 R gates"], Float[Array, "2 R 1"]]
    ) -> tuple[Carry, Float[Array, "2 R units"]]:
        """The states after a step and, once more, its hidden states.

        Args:
            carry: h and c of both directions.
            x: inputs times the input kernels, plus biases; and 0 where a state is forgotten, else 1.
        """
        recurrent = self.param("recurrent", _two(nn.initializers.orthogonal()), (self.units, 4 * self.units))
        (h, c), (z, kept) = carry, x
        z += jnp.stack([dense(*pair, self.compute) for pair in zip(h * kept, recurrent, strict=True)])
        i, f, o = (nn.sigmoid(part) for part in jnp.split(z[..., : 3 * self.units], 3, -1))
        c = f * (c * kept) + i * jnp.tanh(z[..., 3 * self.units :])
        h = o * jnp.tanh(c)
        return (h, c), h


class BiLSTM(nn.Module):
    """A bidirectional LSTM whose state is reset at sentence starts.

    Attributes:
        units: units of one direction.
        compute: of the products.
        how: it is computed.
    """

    units: int
    compute: Compute = "float32"
    how: Execution = Execution()

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
        # The linen cell declares its own, in the same place; drawn here, parameters are the same for every form.
        declared = self.how.recurrence != "nn.scan" or self.is_initializing()
        recurrent = None
        if declared:
            recurrent = self.param("recurrent", _two(nn.initializers.orthogonal()), (units, 4 * units))
        bias = self.param("bias", _forget_one, (2, 4 * units))
        # The recurrence runs over a leading time axis, the backward direction over reversed time: nothing outside
        # this method knows of either.
        x, starts = x.swapaxes(0, 1), starts.swapaxes(0, 1)
        keep = tuple(kept.astype(x.dtype) for kept in keep_masks(starts))
        if self.how.recurrence == "fused":
            from kd_jax.models.fused import Kernels, bilstm  # noqa: PLC0415 - Pallas takes a while to import

            kernels = Kernels("tpu" if self.how.platform == "tpu" else "gpu", self.compute, self.how.interpret)
            return bilstm(x, keep, kernel, recurrent, bias, kernels).swapaxes(0, 1)
        orders = x, x[::-1]
        projected = tuple(
            dense(x, k, self.compute) + b[None, None] for x, k, b in zip(orders, kernel, bias, strict=True)
        )
        if recurrent is None:
            forward, backward = self._cells(projected, keep)
        else:
            forward, backward = lstm(projected, recurrent, keep, self.compute)
        return jnp.concatenate([forward, backward[::-1]], -1).swapaxes(0, 1)

    def _cells(
        self, projected: tuple[Float[Array, "T R gates"], ...], keep: tuple[Float[Array, "T R 1"], ...]
    ) -> tuple[Float[Array, "T R units"], ...]:
        cells = nn.scan(Cells, variable_broadcast="params", split_rngs={"params": False})(self.units, self.compute)
        nn.share_scope(self, cells)  # the recurrent kernels are where the other forms have them
        inputs = jnp.stack(projected, 1), jnp.stack(keep, 1)
        zero = jnp.zeros((*inputs[0].shape[1:3], self.units), inputs[0].dtype)
        _, h = cells((zero, zero), inputs)
        return h[:, 0], h[:, 1]


def _two(initializer: Any) -> Any:
    """The initializer of one direction, drawn for both."""
    # One by one, since an initializer's scale depends on the shape: a leading axis of 2 would count among the inputs.
    return lambda key, shape: jnp.stack([initializer(k, shape) for k in jax.random.split(key)])


def _forget_one(_: PRNGKeyArray, shape: tuple[int, int]) -> Float[Array, "2 gates"]:
    """Zero biases, but 1 for the forget gates (Jozefowicz et al. 2015)."""
    units = shape[1] // 4
    return jnp.zeros(shape).at[:, units : 2 * units].set(1.0)
