"""The recurrence as two Pallas kernels for a TPU: all time steps of some lanes, their states held on the chip.

A direction, some lanes and a chunk of time steps are a step of the grid, and the next chunk is fetched while one is
worked on. Several lanes advance side by side, since the matrix unit has the latency of many vector operations and one
alone would wait for it. The backward kernel computes the gates of a chunk again, in one product that fills the matrix
unit, instead of reading them: the pre-activations are there anyway, and memory is what a TPU waits for.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Float

from kd_jax.models.precision import factor_dtype
from kd_jax.settings import Compute
from kd_jax.structs import Array

ROWS, UNITS, TIME = 8, 128, 16
"""Multiples that rows and units are padded to, a tile of float32, and time steps of a chunk."""
VMEM = 64 * 2**20  # bytes that a kernel may ask for: half of what a core has


def gates(z: Float[Array, "*rows gates"], units: int) -> tuple[Float[Array, "*rows units"], ...]:
    """Activations i, f, o, g of pre-activations."""
    i, f, o = (jnp.tanh(z[..., k * units : (k + 1) * units] * 0.5) * 0.5 + 0.5 for k in range(3))
    return i, f, o, jnp.tanh(z[..., 3 * units :])


def _together(lanes: int, units: int, width: int) -> int:
    """Lanes that advance together: as many, up to 6, as divide all and leave half of the memory for time steps."""
    kernels = 2 * 2 * 4 * units * width  # two, each with a copy that is on its way, of float32 at most
    return max(n for n in range(1, 7) if lanes % n == 0 and (n == 1 or n * kernels <= VMEM // 2))


class _Grid:
    """Blocks of arrays for a grid of directions, lanes and chunks.

    Args:
        z: [L, T, R, 2 * 4H].
        later_first: whether chunks come in the order of the backward pass.
    """

    def __init__(self, z: Float[Array, "L T R both_gates"], later_first: bool) -> None:
        self.lanes, steps, self.rows, width = z.shape
        self.width, self.units, self.chunks = width // 2, width // 8, steps // TIME
        self.together = _together(self.lanes, self.units, self.width)
        self.shape = (2, self.lanes // self.together, self.chunks)
        self._later_first = later_first

    def chunk(self, d: Any, t: Any) -> Any:
        """Which chunk is worked on: rising with t, or falling in the second direction, and backward the other way."""
        falls = 1 - d if self._later_first else d
        return t + falls * (self.chunks - 1 - 2 * t)

    def over_time(self, width: int) -> pl.BlockSpec:
        """Of [L, T, R, 2 * width]."""
        return pl.BlockSpec((self.together, TIME, self.rows, width), lambda d, n, t: (n, self.chunk(d, t), 0, d))

    def just_before(self, width: int) -> pl.BlockSpec:
        """The time step before a chunk's first, in the order of the direction; anything where there is none."""

        def place(d: Any, n: Any, t: Any) -> Any:
            step = (self.chunk(d, t) + d) * TIME - 1 + d
            return n, jnp.clip(step, 0, self.chunks * TIME - 1), 0, d

        return pl.BlockSpec((self.together, 1, self.rows, width), place)

    def keep(self) -> pl.BlockSpec:
        """Of [L, 2, T, R, 1]."""
        return pl.BlockSpec((self.together, 1, TIME, self.rows, 1), lambda d, n, t: (n, d, self.chunk(d, t), 0, 0))

    def matrix(self, *shape: int) -> pl.BlockSpec:
        """Of [L, 2, *shape]."""
        return pl.BlockSpec((self.together, 1, *shape), lambda d, n, _: (n, d, 0, 0))

    def call(self, kernel: Callable[..., None], interpret: bool, name: str, **how: Any) -> Any:
        """The kernel over the grid."""
        return pl.pallas_call(
            kernel,
            grid=self.shape,
            compiler_params=pltpu.CompilerParams(dimension_semantics=("arbitrary",) * 3, vmem_limit_bytes=VMEM),
            interpret=interpret,
            metadata={"trips": f"{2 * self.shape[1] * self.chunks},{TIME}"},  # what a reader of the schedule needs
            name=name,
            **how,
        )

    def kernels(self, kind: Any) -> Any:
        """Room for the recurrent kernels of the lanes that advance together."""
        return pltpu.VMEM((self.together, self.units, self.width), kind)

    def state(self) -> Any:
        """Room for one state of the lanes that advance together."""
        return pltpu.VMEM((self.together, self.rows, self.units), jnp.float32)


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
        h, [L, T, R, 2H] float32; then z; what was multiplied with the kernels, h a step before, kept and rounded; and
        the cells.
    """
    grid = _Grid(z, later_first=False)
    out = jax.ShapeDtypeStruct((*z.shape[:3], 2 * grid.units), jnp.float32)
    narrow = jax.ShapeDtypeStruct(out.shape, factor_dtype(compute))
    h, c, before = grid.call(
        _forward_kernel,
        interpret,
        "lstm_forward",
        in_specs=[grid.over_time(grid.width), grid.keep(), grid.matrix(grid.units, grid.width)],
        out_specs=[grid.over_time(grid.units)] * 3,
        out_shape=[out, out, narrow],
        scratch_shapes=[*[grid.state()] * 2, grid.kernels(factor_dtype(compute))],
    )(z, keep, recurrent)
    return h, z, before, c


def _forward_kernel(
    z_ref: Any,
    keep_ref: Any,
    recurrent_ref: Any,
    h_ref: Any,
    c_ref: Any,
    before_ref: Any,
    h_now: Any,
    c_now: Any,
    u_ref: Any,
) -> None:
    together, units = u_ref.shape[0], u_ref.shape[1]
    direction = pl.program_id(0)

    @pl.when(pl.program_id(2) == 0)
    def _() -> None:
        h_now[...] = jnp.zeros_like(h_now)
        c_now[...] = jnp.zeros_like(c_now)
        u_ref[...] = recurrent_ref[:, 0].astype(u_ref.dtype)

    def step(n: Array, states: tuple[tuple[Array, Array], ...]) -> tuple[tuple[Array, Array], ...]:
        t, after = n + direction * (TIME - 1 - 2 * n), []
        for b, (h, c) in enumerate(states):
            kept, u = keep_ref[b, 0, t], u_ref[b]
            before = (h * kept).astype(u.dtype)
            before_ref[b, t] = before
            recurrent = jnp.dot(before, u, preferred_element_type=jnp.float32)
            i, f, o, g = gates(z_ref[b, t] + recurrent, units)
            cell = f * (c * kept) + i * g
            hidden = o * jnp.tanh(cell)
            h_ref[b, t], c_ref[b, t] = hidden, cell
            after.append((hidden, cell))
        return tuple(after)

    states = lax.fori_loop(0, TIME, step, tuple((h_now[b], c_now[b]) for b in range(together)))
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
) -> tuple[Float[Array, "L T R both_gates"], Float[Array, "L 2 units gates"]]:
    """Gradients of the pre-activations and of the kernels.

    Args:
        h_bar: gradient of the hidden states, [L, T, R, 2H].
        keep: as in `forward`; so are recurrent, compute and interpret.
        recurrent: kernels.
        z: what `forward` left, in its order; so are before and c.
        before: what was multiplied with the kernels.
        c: cells.
        compute: of the products.
        interpret: whether to run as plain JAX.

    Returns:
        [L, T, R, 2 * 4H], rounded as the products that take it round it, and [L, 2, H, 4H] float32.
    """
    grid = _Grid(z, later_first=True)
    units, width = grid.units, grid.width
    room = grid.together, TIME, grid.rows
    dz, du = grid.call(
        partial(_backward_kernel, grid.chunks),
        interpret,
        "lstm_backward",
        in_specs=[
            grid.over_time(units),
            grid.over_time(width),
            grid.keep(),
            grid.matrix(units, width),
            *[grid.over_time(units)] * 2,
            grid.just_before(units),
        ],
        out_specs=[grid.over_time(width), grid.matrix(units, width)],
        out_shape=[
            jax.ShapeDtypeStruct(z.shape, factor_dtype(compute)),
            jax.ShapeDtypeStruct(recurrent.shape, jnp.float32),
        ],
        scratch_shapes=[
            *[grid.state()] * 2,
            pltpu.VMEM((grid.together, TIME + 2, grid.rows, units), jnp.float32),
            pltpu.VMEM((*room, width), jnp.float32),
            grid.kernels(factor_dtype(compute)),
            pltpu.VMEM((grid.together, width, units), factor_dtype(compute)),
        ],
    )(h_bar, z, keep, recurrent, before, c, c)
    return dz, du


def _backward_kernel(
    chunks: int,
    bar_ref: Any,
    z_ref: Any,
    keep_ref: Any,
    recurrent_ref: Any,
    before_ref: Any,
    c_ref: Any,
    c_before_ref: Any,
    dz_ref: Any,
    du_ref: Any,
    h_later: Any,
    c_later: Any,
    cells: Any,
    a_ref: Any,
    u_ref: Any,
    transposed_ref: Any,
) -> None:
    together, rows, width = z_ref.shape[0], z_ref.shape[2], z_ref.shape[3]
    units, direction, number = width // 4, pl.program_id(0), pl.program_id(2)
    not_first = jnp.where(number == chunks - 1, 0.0, 1.0)

    @pl.when(number == 0)
    def _() -> None:
        h_later[...] = jnp.zeros_like(h_later)
        c_later[...] = jnp.zeros_like(c_later)
        du_ref[...] = jnp.zeros_like(du_ref)
        # Rounded and transposed here: outside, XLA would lay parameters and moments out anew for it.
        for b in range(together):
            u_ref[b] = recurrent_ref[b, 0].astype(u_ref.dtype)
            transposed_ref[b] = recurrent_ref[b, 0].T.astype(u_ref.dtype)

    for b in range(together):
        # The cells of a step before stand one place below a step's own, or in the second direction one above.
        cells[b, 0] = cells[b, TIME + 1] = c_before_ref[b, 0] * not_first
        cells[b, 1 : TIME + 1] = c_ref[b]
        flat = before_ref[b].reshape(TIME * rows, units)
        recurrent = jnp.dot(flat, u_ref[b], preferred_element_type=jnp.float32).reshape(TIME, rows, width)
        a_ref[b] = jnp.concatenate(gates(z_ref[b] + recurrent, units), -1)

    def step(n: Array, states: tuple[tuple[Array, Array], ...]) -> tuple[tuple[Array, Array], ...]:
        t, earlier = n + (1 - direction) * (TIME - 1 - 2 * n), []
        for b, (h_bar, c_bar) in enumerate(states):
            kept, a = keep_ref[b, 0, t], a_ref[b, t]
            i, f, o, g = (a[:, k * units : (k + 1) * units] for k in range(4))
            tanh_c, c_before = jnp.tanh(c_ref[b, t]), cells[b, t + 2 * direction] * kept
            dh = bar_ref[b, t] + h_bar
            dc = c_bar + dh * (o * (1 - tanh_c * tanh_c))
            factors = g * i * (1 - i), c_before * f * (1 - f), tanh_c * o * (1 - o), i * (1 - g * g)
            dz = jnp.concatenate([dc * factors[0], dc * factors[1], dh * factors[2], dc * factors[3]], -1)
            narrow, u = dz.astype(dz_ref.dtype), transposed_ref[b]
            dz_ref[b, t] = narrow
            back = jnp.dot(narrow, u, preferred_element_type=jnp.float32)
            earlier.append((back * kept, dc * (f * kept)))
        return tuple(earlier)

    states = lax.fori_loop(0, TIME, step, tuple((h_later[b], c_later[b]) for b in range(together)))
    for b, (h, c) in enumerate(states):
        h_later[b], c_later[b] = h, c
        left, right = (x[b].reshape(TIME * rows, -1) for x in (before_ref, dz_ref))
        du_ref[b, 0] += lax.dot_general(left, right, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)


def round_units(units: int) -> int:
    """Units as padded: a multiple of the lanes of a vector register."""
    return -(-units // UNITS) * UNITS
