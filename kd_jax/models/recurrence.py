"""The LSTM recurrence over packed rows, with a backward pass of its own.

At a step, with k 0 where a sentence starts and else 1, p the input times its kernel plus bias, U the recurrent kernel
and c', h' the states of the step before:

    z = p + (k h') U                    pre-activations, as (i, f, o, g) side by side
    i, f, o = sigmoid(z_i, z_f, z_o)    input, forget and output gate
    g = tanh(z_g)                       candidate
    c = f (k c') + i g
    h = o tanh(c)

Write dx for the derivative of the loss with respect to x. A step's h is read by the layers above, which give the part
h_bar, and by the next step through its z; its c is read by its own h and by the next step's c. With + for what belongs
to the next step:

    dh = h_bar + k+ (dz+ U^T)
    dc = k+ f+ dc+ + dh o (1 - tanh(c)^2)

and since sigmoid' = sigmoid (1 - sigmoid) and tanh' = 1 - tanh^2:

    dz_i = dc g i (1 - i)
    dz_f = dc (k c') f (1 - f)
    dz_o = dh tanh(c) o (1 - o)
    dz_g = dc i (1 - g^2)

So dz = (dc, dc, dh, dc) times factors that are known from the forward pass alone. That decides what is where:

- before the scan over time, forward: p, the inputs of all steps in one matmul (the caller's);
- inside it, forward: the one product that needs the step before;
- before the backward scan: the factors, for all steps at once (`_factors`);
- inside it: dc, dh, dz, and the one product dz U^T;
- after it: dU = sum over steps of (k h')^T dz, all steps in one matmul (`_over_time`). dp is dz itself, and k is data
  and has no gradient.

Differentiated by JAX, dU would be summed inside the scan, a small matmul and an addition of the whole kernel a step.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Shaped

from kd_jax.models.precision import product, rounded
from kd_jax.settings import Compute
from kd_jax.structs import Array

UNROLLED = 16
"""Time steps of one pass of an accelerator's loop, which share the launches that store results and count passes."""

Scan = Callable[[Any, Array], Any]
"""Of inputs [T, ..., R, D] and kernels [..., D, D'], with a leading axis of groups or without."""


def _gates(z: Float[Array, "*rows gates"]) -> Float[Array, "*rows gates"]:
    """Activations (i, f, o, g) of pre-activations.

    One tanh serves all four, since sigmoid(z) = tanh(z / 2) / 2 + 1 / 2: a vectorised pass over contiguous memory in
    place of two kinds of function over slices.
    """
    units = z.shape[-1] // 4
    half = jnp.concatenate([jnp.full(3 * units, 0.5, z.dtype), jnp.ones(units, z.dtype)])
    shift = jnp.concatenate([jnp.full(3 * units, 0.5, z.dtype), jnp.zeros(units, z.dtype)])
    half, shift = (jnp.expand_dims(a, range(z.ndim - 1)) for a in (half, shift))
    return jnp.tanh(z * half) * half + shift


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def lstm(
    projected: tuple[Float[Array, "T R gates"], ...],
    recurrent: Float[Array, "groups units gates"],
    keep: tuple[Float[Array, "T R 1"], ...],
    compute: Compute = "float32",
) -> tuple[Float[Array, "T R units"], ...]:
    """Hidden states of independent LSTMs over time, the two directions of a layer being two.

    h_t, c_t = cell(projected_t + (keep_t h_{t-1}) recurrent, keep_t c_{t-1}).

    Args:
        projected: of each, inputs times the input kernel, plus bias, [T, R, gates], where gates is 4 * units.
        recurrent: recurrent kernels, [groups, units, gates].
        keep: of each, 0 where the state is forgotten before the step, else 1, [T, R, 1]; gets no gradient.
        compute: of the products; states are float32.

    Returns:
        Hidden states of each, [T, R, units].
    """
    return _lstm_forward(projected, recurrent, keep, compute)[0]


def one_by_one(scan: Scan, inputs: tuple[Any, ...], kernels: Float[Array, "groups D gates"]) -> tuple[Any, ...]:
    """A scan for each group: on a CPU small matmuls are fastest unbatched, and cores can share the scans."""
    return tuple(scan(x, kernel) for x, kernel in zip(inputs, kernels, strict=True))


def stacked(scan: Scan, inputs: tuple[Any, ...], kernels: Float[Array, "groups D gates"]) -> tuple[Any, ...]:
    """One scan for all groups: on an accelerator, where a step takes as long as its launches."""
    outputs = scan(jax.tree.map(lambda *leaves: jnp.stack(leaves, 1), *inputs), kernels)
    return tuple(jax.tree.map(partial(_of_group, group), outputs) for group in range(len(inputs)))


def _of_group(group: int, x: Shaped[Array, "T groups *rest"]) -> Shaped[Array, "T *rest"]:
    return x[:, group]


def _scans(
    scan: Scan, with_few_launches: Scan, inputs: tuple[Any, ...], kernels: Float[Array, "groups D gates"]
) -> tuple[Any, ...]:
    """A scan over the time of independent inputs, in the form that suits the platform it is compiled for.

    Args:
        scan: for a CPU.
        with_few_launches: the same for an accelerator.
        inputs: of each group.
        kernels: of all groups.
    """
    # Decided where the program is compiled and not by jax.default_backend(): it may be exported for a device that is
    # not here.
    of_cpu, of_others = partial(one_by_one, scan), partial(stacked, with_few_launches)
    return cast(tuple[Any, ...], lax.platform_dependent(inputs, kernels, cpu=of_cpu, default=of_others))


def _forward_scan(
    compute: Compute,
    inputs: tuple[Float[Array, "T *rows gates"], Float[Array, "T *rows 1"]],
    recurrent: Float[Array, "*groups units gates"],
) -> tuple[Float[Array, "T *rows units"], Float[Array, "T *rows units"], Float[Array, "T *rows gates"]]:
    """h, c and gates of pre-activations (without the recurrent part) and keep."""

    def step(carry: tuple[Array, Array], x: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        h, c = carry
        z, kept = x
        z = z + product(h * kept, recurrent, compute)
        # Without the barrier XLA fuses tanh into every reader of a slice of it. On a CPU a layer then took between 6 ms
        # less and 19 ms more (docs/notes/performance.md).
        a = _gates(lax.optimization_barrier(z))
        i, f, o, g = jnp.split(a, 4, -1)
        c = f * (c * kept) + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, a)

    projected = inputs[0]
    zero = jnp.zeros((*projected.shape[1:-1], projected.shape[-1] // 4), projected.dtype)
    return cast(tuple[Array, Array, Array], lax.scan(step, (zero, zero), inputs)[1])


def _unrolled(steps: Any) -> int:
    """Time steps of one pass; 1 where their number is a symbol, in programs exported for rows of any length."""
    return UNROLLED if isinstance(steps, int) else 1


def _forward_in_few_launches(
    compute: Compute,
    inputs: tuple[Float[Array, "T *rows gates"], Float[Array, "T *rows 1"]],
    recurrent: Float[Array, "*groups units gates"],
) -> tuple[Float[Array, "T *rows units"], Float[Array, "T *rows units"], Float[Array, "T *rows gates"]]:
    """`_forward_scan` as a product and one pass over what belongs to a step.

    What the product takes is carried as it takes it, k h rounded, so that making it is part of the step before's pass.
    """
    (projected, keep), kernel = inputs, rounded(recurrent, compute)

    def step(carry: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], tuple[Array, ...]]:
        factor, c = carry
        z, kept, kept_next = x
        a = _gates(z + product(factor, kernel, compute))
        i, f, o, g = jnp.split(a, 4, -1)
        c = f * (c * kept) + i * g
        h = o * jnp.tanh(c)
        return (rounded(h * kept_next, compute), c), (h, c, a)

    zero = jnp.zeros((*projected.shape[1:-1], projected.shape[-1] // 4), projected.dtype)
    kept_next = jnp.concatenate([keep[1:], keep[:1]])  # nothing is read after the last step
    carry = rounded(zero, compute), zero
    states = lax.scan(step, carry, (projected, keep, kept_next), unroll=_unrolled(keep.shape[0]))[1]
    return cast(tuple[Array, Array, Array], states)


def _backward_scan(
    compute: Compute, inputs: tuple[Float[Array, "T *rows _"], ...], transposed: Float[Array, "*groups gates units"]
) -> Float[Array, "T *rows gates"]:
    """dz of every step, from h_bar, the three arrays of `_factors`, and keep."""

    def step(carry: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        dh_of_next, dc_of_next = carry  # what the next step adds to this one's: k+ (dz+ U^T) and k+ f+ dc+
        h_bar, factor, dc_of_dh, dc_to_before, kept = x
        dh = h_bar + dh_of_next
        dc = dc_of_next + dh * dc_of_dh
        dz = lax.optimization_barrier(jnp.concatenate([dc, dc, dh, dc], -1) * factor)  # as in the forward scan
        return (product(dz, transposed, compute) * kept, dc * dc_to_before), dz

    zero = jnp.zeros_like(inputs[0][0])
    return cast(Array, lax.scan(step, (zero, zero), inputs, reverse=True)[1])


def _backward_in_few_launches(
    compute: Compute, inputs: tuple[Float[Array, "T *rows _"], ...], transposed: Float[Array, "*groups gates units"]
) -> Float[Array, "T *rows gates"]:
    """`_backward_scan` as a product and one pass over what belongs to a step: the next step's dz is carried rounded.

    One pass has one shape: dc, which is of the units, is carried once for every gate beside dz, which is of the gates.
    """
    kernel = rounded(transposed, compute)

    def step(carry: tuple[Array, Array], x: tuple[Array, ...]) -> tuple[tuple[Array, Array], Array]:
        dz_of_next, dc_of_next = carry
        h_bar, factor, dc_of_dh, dc_to_before, kept_next = x
        every = partial(_of_every_gate, shape=dc_of_next.shape)
        dh = every(h_bar) + every(product(dz_of_next, kernel, compute)) * every(kept_next)
        dc = dc_of_next + dh * every(dc_of_dh)
        of_output = lax.broadcasted_iota(jnp.int32, dc.shape, dc.ndim - 2) == 2  # the third of the four gates
        dz = jnp.where(of_output, dh, dc).reshape(factor.shape) * factor
        return (rounded(dz, compute), dc * every(dc_to_before)), dz

    *others, keep = inputs
    kept_next = jnp.concatenate([keep[1:], keep[:1]])  # after the last step dz is 0
    zero = jnp.zeros_like(others[1][0])
    carry = rounded(zero, compute), zero.reshape(*zero.shape[:-1], 4, -1)
    return cast(Array, lax.scan(step, carry, (*others, kept_next), reverse=True, unroll=_unrolled(keep.shape[0]))[1])


def _of_every_gate(x: Float[Array, "*rows _"], shape: tuple[int, ...]) -> Float[Array, "*rows 4 units"]:
    """What is of the units, once for each of the four gates."""
    return jnp.broadcast_to(x[..., None, :], shape)


def _lstm_forward(
    projected: tuple[Float[Array, "T R gates"], ...],
    recurrent: Float[Array, "groups units gates"],
    keep: tuple[Float[Array, "T R 1"], ...],
    compute: Compute,
) -> tuple[tuple[Float[Array, "T R units"], ...], tuple[Any, ...]]:
    forms = partial(_forward_scan, compute), partial(_forward_in_few_launches, compute)
    states = _scans(*forms, tuple(zip(projected, keep, strict=True)), recurrent)
    return tuple(h for h, _, _ in states), (states, recurrent, keep)


def _lstm_backward(
    compute: Compute, residuals: tuple[Any, ...], h_bars: tuple[Float[Array, "T R units"], ...]
) -> tuple[
    tuple[Float[Array, "T R gates"], ...], Float[Array, "groups units gates"], tuple[Float[Array, "T R 1"], ...]
]:
    states, recurrent, keep = residuals
    inputs = tuple(
        (h_bar, *_factors(c, a, kept), kept) for h_bar, (_, c, a), kept in zip(h_bars, states, keep, strict=True)
    )
    forms = partial(_backward_scan, compute), partial(_backward_in_few_launches, compute)
    dz = _scans(*forms, inputs, recurrent.swapaxes(1, 2))
    d_recurrent = [
        _over_time(_delay(h) * kept, d, compute) for (h, _, _), kept, d in zip(states, keep, dz, strict=True)
    ]
    return dz, jnp.stack(d_recurrent), jax.tree.map(jnp.zeros_like, keep)


def _over_time(
    h: Float[Array, "T R units"], dz: Float[Array, "T R gates"], compute: Compute
) -> Float[Array, "units gates"]:
    """Sum over tokens of the outer products of h and dz."""
    if compute == "float32":
        return jnp.einsum("trh,trz->hz", h, dz)
    return product(h.reshape(-1, h.shape[-1]).T, dz.reshape(-1, dz.shape[-1]), compute)


def _factors(
    c: Float[Array, "T R units"], a: Float[Array, "T R gates"], keep: Float[Array, "T R 1"]
) -> tuple[Float[Array, "T R gates"], Float[Array, "T R units"], Float[Array, "T R units"]]:
    """What the backward scan multiplies with: dz / (dc, dc, dh, dc), dc / dh, and dc of the step before / dc."""
    i, f, o, g = jnp.split(a, 4, -1)
    c_before = _delay(c) * keep
    tanh_c = jnp.tanh(c)
    factors = jnp.concatenate([g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)], -1)
    # Else XLA is free to sink these passes into the scan, step by step, where a CPU needed 76 ms a layer, not 53 to 56.
    return cast(tuple[Array, Array, Array], lax.optimization_barrier((factors, o * (1 - tanh_c * tanh_c), f * keep)))


def _delay(x: Float[Array, "T R units"]) -> Float[Array, "T R units"]:
    """The step before's x, zero before the first."""
    return jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]])


lstm.defvjp(_lstm_forward, _lstm_backward)
