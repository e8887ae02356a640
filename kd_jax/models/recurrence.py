"""The LSTM recurrence over packed rows.

`lstm` is the recurrence itself, with a backward pass of its own: input projections are one matmul before the scan,
the recurrent kernel's gradient one matmul after it, and inside the backward scan stays only what needs the carry.
Gates stand as (input, forget, output, candidate); one tanh pass serves all four: sigmoid(z) = tanh(z/2)/2 + 1/2.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax

from kd_jax.models.precision import product
from kd_jax.settings import Compute
from kd_jax.structs import Array

Scan = Callable[[Any, Array], Any]
"""Of inputs [T, ..., R, A] and kernels [..., A, B], with a leading axis of groups or without."""


def _gates(z: Array) -> Array:
    """Activations of [..., 4H] pre-activations."""
    units = z.shape[-1] // 4
    half = jnp.concatenate([jnp.full(3 * units, 0.5, z.dtype), jnp.ones(units, z.dtype)])
    shift = jnp.concatenate([jnp.full(3 * units, 0.5, z.dtype), jnp.zeros(units, z.dtype)])
    half, shift = (jnp.expand_dims(a, range(z.ndim - 1)) for a in (half, shift))
    return jnp.tanh(z * half) * half + shift


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def lstm(
    projected: tuple[Array, ...], recurrent: Array, keep: tuple[Array, ...], compute: Compute = "float32"
) -> tuple[Array, ...]:
    """Hidden states of G independent LSTMs over time.

    h_t, c_t = cell(projected_t + (keep_t h_{t-1}) recurrent, keep_t c_{t-1}).

    Args:
        projected: of each, inputs times the input kernel, plus bias, [T, R, 4H].
        recurrent: recurrent kernels, [G, H, 4H].
        keep: of each, 0 where the state is forgotten before the step, else 1, [T, R, 1]; gets no gradient.
        compute: of the products; states are float32.

    Returns:
        Hidden states of each, [T, R, H].
    """
    return _lstm_forward(projected, recurrent, keep, compute)[0]


def one_by_one(scan: Scan, inputs: tuple[Any, ...], kernels: Array) -> tuple[Any, ...]:
    """A scan for each of G: on a CPU, whose small matmuls are fastest unbatched and whose cores can share the scans."""
    return tuple(scan(x, kernel) for x, kernel in zip(inputs, kernels, strict=True))


def stacked(scan: Scan, inputs: tuple[Any, ...], kernels: Array) -> tuple[Any, ...]:
    """One scan for all G: on an accelerator, where a step takes as long as its launches."""
    found = scan(jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *inputs), kernels)
    return tuple(jax.tree.map(partial(_of_group, g), found) for g in range(len(inputs)))


def _of_group(group: int, x: Array) -> Array:
    return x[:, group]


def _scans(scan: Scan, inputs: tuple[Any, ...], kernels: Array) -> tuple[Any, ...]:
    """A scan over the time of G independent inputs, in the form that suits the platform it is compiled for."""
    found = lax.platform_dependent(inputs, kernels, cpu=partial(one_by_one, scan), default=partial(stacked, scan))
    return cast(tuple[Any, ...], found)


def _forward_scan(compute: Compute, inputs: tuple[Array, Array], recurrent: Array) -> tuple[Array, ...]:
    """h, c and gates of [T, ..., R, 4H] pre-activations and [T, ..., R, 1] keep."""

    def step(carry: tuple[Array, Array], x: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        h, c = carry
        z, kept = x
        z = z + product(h * kept, recurrent, compute)
        a = _gates(lax.optimization_barrier(z))
        i, f, o, g = jnp.split(a, 4, -1)
        c = f * (c * kept) + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, a)

    projected = inputs[0]
    zero = jnp.zeros((*projected.shape[1:-1], projected.shape[-1] // 4), projected.dtype)
    return lax.scan(step, (zero, zero), inputs)[1]


def _backward_scan(compute: Compute, inputs: tuple[Array, ...], transposed: Array) -> Array:
    """Gradient of [T, ..., R, 4H] pre-activations."""

    def step(carry: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        h_later, c_later = carry
        h_here, factor, to_c, to_earlier, kept = x
        dh = h_here + h_later
        dc = c_later + dh * to_c
        dz = lax.optimization_barrier(jnp.concatenate([dc, dc, dh, dc], -1) * factor)
        return (product(dz, transposed, compute) * kept, dc * to_earlier), dz

    zero = jnp.zeros_like(inputs[0][0])
    return cast(Array, lax.scan(step, (zero, zero), inputs, reverse=True)[1])


def _lstm_forward(
    projected: tuple[Array, ...], recurrent: Array, keep: tuple[Array, ...], compute: Compute
) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
    states = _scans(partial(_forward_scan, compute), tuple(zip(projected, keep, strict=True)), recurrent)
    return tuple(h for h, _, _ in states), (states, recurrent, keep)


def _lstm_backward(
    compute: Compute, residuals: tuple[Any, ...], h_bar: tuple[Array, ...]
) -> tuple[tuple[Array, ...], Array, tuple[Array, ...]]:
    states, recurrent, keep = residuals
    inputs = tuple((bar, *_factors(c, a, kept), kept) for bar, (_, c, a), kept in zip(h_bar, states, keep, strict=True))
    dz = _scans(partial(_backward_scan, compute), inputs, recurrent.swapaxes(1, 2))
    d_recurrent = [
        _over_time(_delay(h) * kept, d, compute) for (h, _, _), kept, d in zip(states, keep, dz, strict=True)
    ]
    return dz, jnp.stack(d_recurrent), jax.tree.map(jnp.zeros_like, keep)


def _over_time(h: Array, dz: Array, compute: Compute) -> Array:
    """Sum over tokens of the outer products of [T, R, H] and [T, R, 4H]: [H, 4H]."""
    if compute == "float32":
        return jnp.einsum("trh,trz->hz", h, dz)
    return product(h.reshape(-1, h.shape[-1]).T, dz.reshape(-1, dz.shape[-1]), compute)


def _factors(c: Array, a: Array, keep: Array) -> tuple[Array, ...]:
    """What the backward scan multiplies with and needs no carry: dz is (dc, dc, dh, dc) times the first."""
    i, f, o, g = jnp.split(a, 4, -1)
    c_before = _delay(c) * keep
    tanh_c = jnp.tanh(c)
    factors = jnp.concatenate([g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)], -1)
    return cast(tuple[Array, ...], lax.optimization_barrier((factors, o * (1 - tanh_c * tanh_c), f * keep)))


def _delay(x: Array) -> Array:
    """x one step later, zero at first."""
    return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


lstm.defvjp(_lstm_forward, _lstm_backward)
