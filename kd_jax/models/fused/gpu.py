"""The recurrence as two Pallas (Triton) kernels for an NVIDIA GPU, where a block of threads is a direction of a lane.

The recurrent kernel is too large for registers and is read from the second-level cache at every step, some units at a
time. What a step leaves for the next goes through memory too, since threads hold other parts of it than they need;
barriers order the two.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu
from jaxtyping import Bool, Float, Int

from kd_jax.models.precision import rounded
from kd_jax.settings import Compute
from kd_jax.structs import Array

ROWS, TIME = 16, 1
"""Multiples that rows and time steps are padded to: a product of Triton has 16 rows or more."""
AT_ONCE = 32  # units worked on at a time: more would spill registers
WARPS = 8


def widths(units: int) -> tuple[int, int, int]:
    """Units as padded, since Triton's blocks are powers of 2, and what one direction's gates and its states take."""
    padded = max(AT_ONCE, 1 << (units - 1).bit_length())
    return padded, 4 * padded, padded


def _over_time(steps: int, rows: int, width: int) -> pl.BlockSpec:
    """Of [L, T, R, 2 * width]."""
    return pl.BlockSpec((None, steps, rows, width), lambda n, d: (n, 0, 0, d))


def _own(*shape: int) -> pl.BlockSpec:
    """Of [L, 2, *shape]."""
    return pl.BlockSpec((None, None, *shape), lambda n, d: (n, d) + (0,) * len(shape))


def _call(kernel: Any, lanes: int, interpret: bool, name: str, **how: Any) -> Any:
    return pl.pallas_call(
        kernel,
        grid=(lanes, 2),
        compiler_params=plgpu.CompilerParams(num_warps=WARPS, num_stages=2),
        interpret=interpret,
        name=name,
        **how,
    )


def _barrier(interpret: bool) -> None:
    if not interpret:
        plgpu.debug_barrier()


def _before(
    c_ref: Any, t: Int[Array, ""], first: Bool[Array, ""], direction: Int[Array, ""], own: Any
) -> Float[Array, "R units"]:
    """Cells of the step before, 0 before the first; memory there was never written, and may hold what is no number."""
    place = jnp.where(first, t, t - 1 + 2 * direction)
    return jnp.where(first, 0.0, c_ref[place, :, own])


def _time(n: Int[Array, ""], steps: int, falls: Int[Array, ""]) -> Int[Array, ""]:
    """The n-th time step, from the first or, where time falls, from the last."""
    return n + falls * (steps - 1 - 2 * n)


def forward(
    z: Float[Array, "L T R both_gates"],
    keep: Float[Array, "L 2 T R 1"],
    recurrent: Float[Array, "L 2 units gates"],
    compute: Compute,
    interpret: bool,
) -> tuple[Float[Array, "L T R _"], ...]:
    """Hidden states, and what the backward pass needs.

    Args:
        z: pre-activations without the recurrent part, [L, T, R, 2 * 4H], padded.
        keep: 0 where the state is forgotten before a step, else 1, [L, 2, T, R, 1].
        recurrent: kernels [L, 2, H, 4H].
        compute: of the products.
        interpret: whether to run as plain JAX.

    Returns:
        h, [L, T, R, 2H] float32; then the gates' activations; what was multiplied with the kernels, h a step before,
        kept and rounded; and the cells.
    """
    recurrent = rounded(recurrent, compute)
    lanes, steps, rows, width = z.shape
    width, units = width // 2, width // 8

    def kernel(
        z_ref: Any, keep_ref: Any, u_ref: Any, h_ref: Any, c_ref: Any, a_ref: Any, before_ref: Any, now_ref: Any
    ) -> None:
        direction = pl.program_id(1)
        now_ref[0] = jnp.zeros((rows, units), now_ref.dtype)
        _barrier(interpret)

        def step(n: Array, carry: Any) -> Any:
            t = _time(n, steps, direction)
            kept = keep_ref[t]
            h = now_ref[lax.rem(n, 2)] * kept.astype(now_ref.dtype)
            before_ref[t] = h

            def part(m: Array, carry: Any) -> Any:
                def gate(k: int) -> Array:
                    own = pl.ds(k * units + m * AT_ONCE, AT_ONCE)
                    return z_ref[t, :, own] + jnp.dot(h, u_ref[:, own], preferred_element_type=jnp.float32)

                own = pl.ds(m * AT_ONCE, AT_ONCE)
                i, f, o = (jnp.tanh(gate(k) * 0.5) * 0.5 + 0.5 for k in range(3))
                g = jnp.tanh(gate(3))
                c = f * (_before(c_ref, t, n == 0, direction, own) * kept) + i * g
                hidden = o * jnp.tanh(c)
                c_ref[t, :, own], h_ref[t, :, own] = c, hidden
                now_ref[lax.rem(n + 1, 2), :, own] = hidden.astype(now_ref.dtype)
                for k, a in enumerate((i, f, o, g)):
                    a_ref[t, :, pl.ds(k * units + m * AT_ONCE, AT_ONCE)] = a
                return carry

            lax.fori_loop(0, units // AT_ONCE, part, 0)
            _barrier(interpret)
            return carry

        lax.fori_loop(0, steps, step, 0)

    out = lambda *shape, kind=jnp.float32: jax.ShapeDtypeStruct((lanes, *shape), kind)  # noqa: E731
    narrow = recurrent.dtype
    of_units, of_gates = _over_time(steps, rows, units), _over_time(steps, rows, width)
    h, c, a, before, _ = _call(
        kernel,
        lanes,
        interpret,
        "lstm_forward",
        in_specs=[of_gates, _own(steps, rows, 1), _own(units, width)],
        out_specs=[of_units, of_units, of_gates, of_units, _own(2, rows, units)],
        out_shape=[
            out(steps, rows, 2 * units),
            out(steps, rows, 2 * units),
            out(steps, rows, 2 * width),
            out(steps, rows, 2 * units, kind=narrow),
            out(2, 2, rows, units, kind=narrow),
        ],
    )(z, keep, recurrent)
    return h, a, before, c


def backward(
    h_bar: Float[Array, "L T R H"],
    keep: Float[Array, "L 2 T R 1"],
    recurrent: Float[Array, "L 2 units gates"],
    a: Float[Array, "L T R both_gates"],
    before: Float[Array, "L T R H"],
    c: Float[Array, "L T R H"],
    compute: Compute,
    interpret: bool,
) -> tuple[Float[Array, "L T R both_gates"], Float[Array, "L 2 units gates"]]:
    """Gradients of the pre-activations and of the kernels.

    Args:
        h_bar: gradient of the hidden states, [L, T, R, 2H].
        keep: as in `forward`; so are recurrent, compute and interpret.
        recurrent: kernels.
        a: what `forward` left, in its order; so are before and c.
        before: what was multiplied with the kernels.
        c: cells.
        compute: of the products.
        interpret: whether to run as plain JAX.

    Returns:
        [L, T, R, 2 * 4H], rounded as the products that take it round it, and [L, 2, H, 4H] float32.
    """
    recurrent = rounded(recurrent, compute)
    lanes, steps, rows, width = a.shape
    width, units = width // 2, width // 8

    def kernel(
        bar_ref: Any, keep_ref: Any, u_ref: Any, c_ref: Any, a_ref: Any, dz_ref: Any, h_later: Any, c_later: Any
    ) -> None:
        direction = pl.program_id(1)
        h_later[...] = jnp.zeros((rows, units), jnp.float32)
        c_later[...] = jnp.zeros((rows, units), jnp.float32)
        _barrier(interpret)

        def step(n: Array, carry: Any) -> Any:
            t = _time(n, steps, 1 - direction)
            kept = keep_ref[t]

            def gradients(m: Array, carry: Any) -> Any:
                own = pl.ds(m * AT_ONCE, AT_ONCE)
                at = [pl.ds(k * units + m * AT_ONCE, AT_ONCE) for k in range(4)]
                i, f, o, g = (a_ref[t, :, of] for of in at)
                tanh_c, c_before = jnp.tanh(c_ref[t, :, own]), _before(c_ref, t, n == steps - 1, direction, own) * kept
                dh = bar_ref[t, :, own] + h_later[:, own]
                dc = c_later[:, own] + dh * (o * (1 - tanh_c * tanh_c))
                c_later[:, own] = dc * (f * kept)
                factors = g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)
                for of, bar, factor in zip(at, (dc, dc, dh, dc), factors, strict=True):
                    dz_ref[t, :, of] = (bar * factor).astype(dz_ref.dtype)
                return carry

            def states(m: Array, carry: Any) -> Any:
                own = pl.ds(m * AT_ONCE, AT_ONCE)

                def of_gates(k: Array, total: Array) -> Array:
                    these = pl.ds(k * units, units)
                    return total + jnp.dot(dz_ref[t, :, these], u_ref[own, these].T, preferred_element_type=jnp.float32)

                total = lax.fori_loop(0, 4, of_gates, jnp.zeros((rows, AT_ONCE), jnp.float32))
                h_later[:, own] = total * kept
                return carry

            lax.fori_loop(0, units // AT_ONCE, gradients, 0)
            _barrier(interpret)
            lax.fori_loop(0, units // AT_ONCE, states, 0)
            _barrier(interpret)
            return carry

        lax.fori_loop(0, steps, step, 0)

    of_units, of_gates = _over_time(steps, rows, units), _over_time(steps, rows, width)
    state = jax.ShapeDtypeStruct((lanes, 2, rows, units), jnp.float32)
    dz, _, _ = _call(
        kernel,
        lanes,
        interpret,
        "lstm_backward",
        in_specs=[of_units, _own(steps, rows, 1), _own(units, width), of_units, of_gates],
        out_specs=[of_gates, *[_own(rows, units)] * 2],
        out_shape=[jax.ShapeDtypeStruct(a.shape, recurrent.dtype), state, state],
    )(h_bar, keep, recurrent, c, a)
    flat = (x.reshape(lanes, steps * rows, 2, -1) for x in (before, dz))
    return dz, jnp.einsum("lndh,lndz->ldhz", *flat, preferred_element_type=jnp.float32)
