"""The recurrence as two Pallas kernels for a TPU: all time steps of some lanes, their states held on the chip.

A direction, some lanes and a chunk of time steps are a step of the grid, and the next chunk is fetched while one is
worked on. Several lanes advance side by side, since the matrix unit has the latency of many vector operations and one
alone would wait for it. What a time step waits for is its weights on their way into the matrix unit: they are kept
rounded, in the order in which it takes them, and no more of them than there are units. The backward kernel computes
the gates of a chunk again, in one product that fills the matrix unit, instead of reading them: the pre-activations are
there anyway, and memory is what a TPU waits for.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Bool, Float, Int, Int32

from kd_jax.models.fused.dropout_bits import WORD
from kd_jax.models.fused.gate_layout import apart, together
from kd_jax.models.fused.grid import ROWS, TIME, Grid
from kd_jax.models.padding import LANES, PACKED, Widths, round_up
from kd_jax.models.precision import factor_dtype
from kd_jax.settings import Compute
from kd_jax.structs import Array

__all__ = ["ROWS", "TIME", "backward", "forward", "widths"]


def widths(units: int) -> tuple[int, int, int]:
    """Units as padded, and what one direction's gates and its hidden states take."""
    of = Widths.of(units)
    return of.units, of.gates, of.hidden


def _activations(z: Float[Array, "rows gates"], of: Widths) -> Float[Array, "rows gates"]:
    """i, f, o, g side by side: one tanh serves all, as in `kd_jax.models.recurrence`."""
    lane = lax.broadcasted_iota(jnp.int32, (1, of.gates), 1)
    half, shift = (jnp.where(lane < 3 * of.units, 0.5, other) for other in (1.0, 0.0))
    return jnp.tanh(z * half) * half + shift


def forward(
    z: Float[Array, "L T R both_gates"],
    keep: Float[Array, "L 2 T R 1"],
    recurrent: Float[Array, "L 2 units gates"],
    *bits: Int32[Array, "L numbers T H"],
    compute: Compute,
    interpret: bool,
    stay: int = 256,
    hidden: bool = True,
) -> tuple[Float[Array, "L T R _"], ...]:
    """Hidden states, and what the backward pass needs.

    Args:
        z: pre-activations without the recurrent part, of each direction `Widths.gates`, [L, T, R, 2 * gates].
        keep: 0 where the state is forgotten before a step, else 1, [L, 2, T, R, 1].
        recurrent: kernels [L, 2, H, gates].
        bits: which units stay where some are dropped, as `kd_jax.models.fused.dropout_bits.stays` has them, or nothing.
        compute: of the products.
        interpret: whether to run as plain JAX.
        stay: of 256 units that are read, which the others are scaled up by.
        hidden: whether hidden states are wanted where bits are given.

    Returns:
        h, [L, T, R, 2 * hidden] float32, zeros after a direction's units, if wanted; of bits the same with units
        dropped and the others scaled up, rounded as products take it; then z; what was multiplied with the kernels, h a
        step before, kept and rounded; and the cells.
    """
    grid = Grid(z, recurrent.shape[2], interpret, later_first=False)
    of = grid.widths
    wide = jax.ShapeDtypeStruct((*z.shape[:3], 2 * of.hidden), jnp.float32)
    narrow = jax.ShapeDtypeStruct(wide.shape, factor_dtype(compute))
    out = [*[wide] * hidden, *[narrow for _ in bits], wide, narrow]
    *states, c, before = grid.call(
        partial(_forward_kernel, of, grid.unrolled, hidden, 256 / stay if bits else None),
        "lstm_forward",
        in_specs=[
            grid.over_time(of.gates),
            grid.keep(),
            grid.matrix(of.units, of.gates),
            *[grid.bits(x.shape[1], of.hidden) for x in bits],
        ],
        out_specs=[grid.over_time(of.hidden)] * len(out),
        out_shape=out,
        scratch_shapes=[*[grid.state()] * 2, grid.weights(factor_dtype(compute))],
    )(z, keep, recurrent, *bits)
    return *states, z, before, c


def _stays(bits_ref: Any, b: int, t: Int[Array, ""], rows: int) -> Bool[Array, "rows hidden"]:
    """Which units of a time step's rows stay: each row has a bit of the numbers."""
    found = []
    for n in range(bits_ref.shape[1]):
        row = lax.broadcasted_iota(jnp.int32, (min(WORD, rows - n * WORD), 1), 0)
        found.append((bits_ref[b, n, pl.ds(t, 1)] >> row) & 1)
    return jnp.concatenate(found) != 0


def _blocks(kernel: Float[Array, "units gates"], of: Widths) -> list[Float[Array, "taken lanes"]]:
    """A recurrent kernel as the columns that a matrix unit takes, with rows of zeros."""
    whole = _taller(kernel, of.taken)
    return [whole[:, n : n + LANES] for n in range(0, of.gates, LANES)]


def _taller(x: Float[Array, "rows D"], wanted: int) -> Float[Array, "wanted D"]:
    """With rows of zeros after the last."""
    missing = wanted - len(x)  # Mosaic has no arrays without rows
    return jnp.concatenate([x, jnp.zeros((missing, x.shape[1]), x.dtype)]) if missing else x


def _times_blocks(x: Float[Array, "rows taken"], weights: Any, b: int) -> Float[Array, "rows _"]:
    """A product with what `weights` holds of lane b."""
    parts = [jnp.dot(x, weights[b, n], preferred_element_type=jnp.float32) for n in range(weights.shape[1])]
    return jnp.concatenate(parts, -1)


def _forward_kernel(of: Widths, unrolled: int, wanted: bool, scale: float | None, *refs: Any) -> None:
    z_ref, keep_ref, recurrent_ref, *others, c_ref, before_ref, h_now, c_now, u_ref = refs
    bits_ref = others.pop(0) if scale else None
    h_ref, seen_ref = others[0] if wanted else None, others[-1] if scale else None
    lanes, time, direction = z_ref.shape[0], z_ref.shape[1], pl.program_id(0)

    @pl.when(pl.program_id(2) == 0)
    def _() -> None:
        h_now[...] = jnp.zeros_like(h_now)
        c_now[...] = jnp.zeros_like(c_now)
        for b in range(lanes):
            for n, block in enumerate(_blocks(recurrent_ref[b, 0], of)):
                u_ref[b, n] = block.astype(u_ref.dtype)

    def step(n: Array, states: tuple[tuple[Array, Array], ...]) -> tuple[tuple[Array, Array], ...]:
        t, after = n + direction * (time - 1 - 2 * n), []
        for b, (h, c) in enumerate(states):
            kept = keep_ref[b, 0, t]
            before = (h * kept).astype(u_ref.dtype)
            before_ref[b, t] = before
            recurrent = _times_blocks(before[:, : of.taken], u_ref, b)
            i, f, o, g = apart(_activations(z_ref[b, t] + recurrent, of), of)
            cell = f * (c * kept) + i * g
            hidden = o * jnp.tanh(cell)
            c_ref[b, t] = cell
            if h_ref is not None:
                h_ref[b, t] = hidden
            if seen_ref is not None:
                seen_ref[b, t] = jnp.where(_stays(bits_ref, b, t, len(h)), hidden * scale, 0.0).astype(seen_ref.dtype)
            after.append((hidden, cell))
        return tuple(after)

    states = lax.fori_loop(0, time, step, tuple((h_now[b], c_now[b]) for b in range(lanes)), unroll=unrolled)
    for b, (h, c) in enumerate(states):
        h_now[b], c_now[b] = h, c


def backward(
    h_bar: Float[Array, "L T R H"],
    keep: Float[Array, "L 2 T R 1"],
    recurrent: Float[Array, "L 2 units gates"],
    z: Float[Array, "L T R both_gates"],
    before: Float[Array, "L T R H"],
    c: Float[Array, "L T R H"],
    compute: Compute,
    interpret: bool,
) -> tuple[
    Float[Array, "L T R both_gates"], Float[Array, "L 2 units gates"], Float[Array, "L 2 gates"], Float[Array, "L"]
]:
    """Gradients of the pre-activations, of the kernels and of what is added to all pre-activations.

    Args:
        h_bar: gradient of the hidden states, [L, T, R, 2 * hidden].
        keep: as in `forward`; so are recurrent, compute and interpret.
        recurrent: kernels.
        z: what `forward` left, in its order; so are before and c.
        before: what was multiplied with the kernels.
        c: cells.
        compute: of the products.
        interpret: whether to run as plain JAX.

    Returns:
        [L, T, R, 2 * gates], rounded as the products that take it round it, [L, 2, H, gates] float32, [L, 2, gates];
        and the squares of the last two, summed, [L].
    """
    grid = Grid(z, recurrent.shape[2], interpret, later_first=True)
    of, factor = grid.widths, factor_dtype(compute)
    row = jax.ShapeDtypeStruct((grid.lanes, 2, 1, of.gates), jnp.float32)
    dz, du, db, squares = grid.call(
        partial(_backward_kernel, grid.chunks, of, grid.unrolled),
        "lstm_backward",
        in_specs=[
            grid.over_time(of.hidden),
            grid.over_time(of.gates),
            grid.keep(),
            grid.matrix(of.units, of.gates),
            *[grid.over_time(of.hidden)] * 2,
            grid.just_before(of.hidden),
        ],
        out_specs=[grid.over_time(of.gates), grid.matrix(of.units, of.gates), *[grid.matrix(1, of.gates)] * 2],
        out_shape=[
            jax.ShapeDtypeStruct(z.shape, factor),
            jax.ShapeDtypeStruct(recurrent.shape, jnp.float32),
            row,
            row,
        ],
        scratch_shapes=[
            *[grid.state()] * 2,
            pltpu.VMEM((grid.together, grid.time, grid.rows, of.gates), jnp.float32),
            grid.weights(factor),
            pltpu.VMEM((grid.together, of.hidden // LANES, of.gates, LANES), factor),
        ],
    )(h_bar, z, keep, recurrent, before, c, c)
    return dz, du, db[:, :, 0], squares.sum((1, 2, 3))


def _backward_kernel(
    chunks: int,
    of: Widths,
    unrolled: int,
    bar_ref: Any,
    z_ref: Any,
    keep_ref: Any,
    recurrent_ref: Any,
    before_ref: Any,
    c_ref: Any,
    c_before_ref: Any,
    dz_ref: Any,
    du_ref: Any,
    db_ref: Any,
    squares_ref: Any,
    h_later: Any,
    c_later: Any,
    a_ref: Any,
    u_ref: Any,
    transposed_ref: Any,
) -> None:
    lanes, time, rows = z_ref.shape[:3]
    direction, number = pl.program_id(0), pl.program_id(2)

    @pl.when(number == 0)
    def _() -> None:
        h_later[...] = jnp.zeros_like(h_later)
        c_later[...] = jnp.zeros_like(c_later)
        # Rounded and transposed here: outside, XLA would lay parameters and moments out anew for it.
        for b in range(lanes):
            for n, block in enumerate(_blocks(recurrent_ref[b, 0], of)):
                u_ref[b, n] = block.astype(u_ref.dtype)
                for m in range(0, of.hidden, LANES):
                    square = _taller(block[m : m + LANES], LANES)
                    transposed_ref[b, m // LANES, n * LANES : (n + 1) * LANES] = square.T.astype(u_ref.dtype)

    for b in range(lanes):
        before = before_ref[b].reshape(time * rows, of.hidden)[:, : of.taken]
        z = z_ref[b].reshape(time * rows, of.gates) + _times_blocks(before, u_ref, b)
        a_ref[b] = _activations(z, of).reshape(time, rows, of.gates)

    def step(n: Array, states: tuple[tuple[Array, Array], ...]) -> tuple[tuple[Array, Array], ...]:
        t, earlier = n + (1 - direction) * (time - 1 - 2 * n), []
        # The cells of the step before, of a chunk's first step from the chunk before, and of the very first zeros.
        place, outside = jnp.clip(t - 1 + 2 * direction, 0, time - 1), n == time - 1
        none = outside & (number == chunks - 1)
        for b, (h_bar, c_bar) in enumerate(states):
            kept, (i, f, o, g) = keep_ref[b, 0, t], apart(a_ref[b, t], of)
            c_before = jnp.where(none, 0.0, jnp.where(outside, c_before_ref[b, 0], c_ref[b, place])) * kept
            tanh_c = jnp.tanh(c_ref[b, t])
            dh = bar_ref[b, t] + h_bar
            dc = c_bar + dh * (o * (1 - tanh_c * tanh_c))
            factors = g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)
            dz = together((dc * factors[0], dc * factors[1], dh * factors[2], dc * factors[3]), of)
            narrow = dz.astype(dz_ref.dtype)
            dz_ref[b, t] = narrow
            wide = round_up(4 * of.units, PACKED)
            parts = [
                jnp.dot(narrow[:, :wide], transposed_ref[b, m, :wide], preferred_element_type=jnp.float32)
                for m in range(of.hidden // LANES)
            ]
            earlier.append((jnp.concatenate(parts, -1) * kept, dc * (f * kept)))
        return tuple(earlier)

    states = lax.fori_loop(0, time, step, tuple((h_later[b], c_later[b]) for b in range(lanes)), unroll=unrolled)
    for b, (h, c) in enumerate(states):
        h_later[b], c_later[b] = h, c
        left, right = (x[b].reshape(time * rows, -1) for x in (before_ref, dz_ref))
        # A column of ones after the units gives the gradient of what is added to all, without a pass of its own.
        column = lax.broadcasted_iota(jnp.int32, (1, of.factors), 1)
        left = jnp.where(column == of.units, 1.0, _as_wide(left, of)).astype(right.dtype)
        new = lax.dot_general(left, right, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
        du = jnp.where(number == 0, 0.0, du_ref[b, 0]) + new[: of.units]
        db = jnp.where(number == 0, 0.0, db_ref[b, 0]) + new[of.units : of.units + 1]
        du_ref[b, 0], db_ref[b, 0] = du, db
        squares_ref[b, 0] = jnp.sum(du * du, 0, keepdims=True) + db * db  # of the sum so far; the last chunk's stays


def _as_wide(x: Float[Array, "rows hidden"], of: Widths) -> Float[Array, "rows factors"]:
    """Columns cut, or filled up with zeros, to those that products have."""
    x = x.astype(jnp.float32)
    if of.factors <= of.hidden:
        return x[:, : of.factors]
    return jnp.concatenate([x, jnp.zeros((len(x), of.factors - of.hidden), x.dtype)], 1)
