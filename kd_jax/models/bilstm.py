"""The bidirectional LSTM over packed rows.

`lstm` is the recurrence itself, with a backward pass of its own: input projections are one matmul before the scan,
the recurrent kernel's gradient one matmul after it, and inside the backward scan stays only what needs the carry.
Gates stand as (input, forget, output, candidate); one tanh pass serves all four: sigmoid(z) = tanh(z/2)/2 + 1/2.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from kd_jax.types import Array


def _gates(z: Array) -> Array:
    """Activations of [..., 4H] pre-activations."""
    units = z.shape[-1] // 4
    half = jnp.concatenate([jnp.full(3 * units, 0.5, z.dtype), jnp.ones(units, z.dtype)])
    shift = jnp.concatenate([jnp.full(3 * units, 0.5, z.dtype), jnp.zeros(units, z.dtype)])
    half, shift = (jnp.expand_dims(a, range(z.ndim - 1)) for a in (half, shift))
    return jnp.tanh(z * half) * half + shift


@jax.custom_vjp
def lstm(projected: Array, recurrent: Array, keep: Array) -> Array:
    """Hidden states of G independent LSTMs over time.

    h_t, c_t = cell(projected_t + (keep_t h_{t-1}) recurrent, keep_t c_{t-1}).

    Args:
        projected: inputs times the input kernel, plus bias, [T, G, R, 4H].
        recurrent: recurrent kernels, [G, H, 4H].
        keep: 0 where the state is forgotten before the step, else 1, [T, G, R, 1]; gets no gradient.

    Returns:
        Hidden states, [T, G, R, H].
    """
    return _lstm_forward(projected, recurrent, keep)[0]


def _lstm_forward(projected: Array, recurrent: Array, keep: Array) -> tuple[Array, tuple[Array, ...]]:
    _, groups, rows, _ = projected.shape
    units = recurrent.shape[1]

    def step(carry: tuple[Array, Array], x: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        h, c = carry
        z, kept = x
        z = z + _per_group(h * kept, recurrent)
        a = _gates(lax.optimization_barrier(z))
        i, f, o, g = jnp.split(a, 4, -1)
        c = f * (c * kept) + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, a)

    zero = jnp.zeros((groups, rows, units), projected.dtype)
    _, (h, c, a) = lax.scan(step, (zero, zero), (projected, keep))
    return h, (h, c, a, recurrent, keep)


def _lstm_backward(residuals: tuple[Array, ...], h_bar: Array) -> tuple[Array, Array, Array]:
    h, c, a, recurrent, keep = residuals
    i, f, o, g = jnp.split(a, 4, -1)
    c_before = _delay(c) * keep
    tanh_c = jnp.tanh(c)
    # dz is (dc, dc, dh, dc) times these; none of them needs the carry
    factors = jnp.concatenate([g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)], -1)
    through_h, through_c = o * (1 - tanh_c * tanh_c), f * keep
    factors, through_h, through_c = lax.optimization_barrier((factors, through_h, through_c))
    transposed = recurrent.swapaxes(1, 2)

    def step(carry: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        h_later, c_later = carry
        h_here, factor, to_c, to_earlier, kept = x
        dh = h_here + h_later
        dc = c_later + dh * to_c
        dz = lax.optimization_barrier(jnp.concatenate([dc, dc, dh, dc], -1) * factor)
        return (_per_group(dz, transposed) * kept, dc * to_earlier), dz

    zero = jnp.zeros(h.shape[1:], h.dtype)
    _, dz = lax.scan(step, (zero, zero), (h_bar, factors, through_h, through_c, keep), reverse=True)
    d_recurrent = jnp.einsum("tgrh,tgrz->ghz", _delay(h) * keep, dz)
    return dz, d_recurrent, jnp.zeros_like(keep)


def _per_group(rows: Array, kernels: Array) -> Array:
    """[G, R, A] times [G, A, B]: every group with its own kernel."""
    return jnp.einsum("gra,gab->grb", rows, kernels)


def _delay(x: Array) -> Array:
    """x one step later, zero at first."""
    return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


lstm.defvjp(_lstm_forward, _lstm_backward)


def keep_masks(starts: Array) -> Array:
    """Where each direction keeps its state.

    Args:
        starts: True where a sentence starts and on padding, [T, R].

    Returns:
        [T, 2, R, 1] float32: forward in time order, backward in reversed time order.
    """
    ends = jnp.concatenate([starts[1:], jnp.ones_like(starts[:1])])
    return 1.0 - jnp.stack([starts, ends[::-1]], 1)[..., None].astype(jnp.float32)


class BiLSTM(nn.Module):
    """A bidirectional LSTM whose state is reset at sentence starts.

    Attributes:
        units: units of one direction.
    """

    units: int

    @nn.compact
    def __call__(self, x: Array, starts: Array) -> Array:
        """Both directions' hidden states.

        Args:
            x: inputs, time first, [T, R, D].
            starts: True where a sentence starts and on padding, [T, R].

        Returns:
            [T, R, 2 * units], forward then backward.
        """
        size, units = x.shape[-1], self.units
        kernel = self.param("kernel", _two(nn.initializers.glorot_uniform()), (size, 4 * units))
        recurrent = self.param("recurrent", _two(nn.initializers.orthogonal()), (units, 4 * units))
        bias = self.param("bias", _forget_one, (2, 4 * units))
        forward = x @ kernel[0] + jnp.expand_dims(bias[0], (0, 1))
        backward = (x @ kernel[1] + jnp.expand_dims(bias[1], (0, 1)))[::-1]
        h = lstm(jnp.stack([forward, backward], 1), recurrent, keep_masks(starts).astype(x.dtype))
        return jnp.concatenate([h[:, 0], h[::-1, 1]], -1)


def _two(initializer: Any) -> Any:
    """The initializer of one direction, drawn for both."""
    return lambda key, shape: jnp.stack([initializer(k, shape) for k in jax.random.split(key)])


def _forget_one(_: Array, shape: tuple[int, int]) -> Array:
    """Zero biases, but 1 for the forget gates (Jozefowicz et al. 2015)."""
    units = shape[1] // 4
    return jnp.zeros(shape).at[:, units : 2 * units].set(1.0)
