"""How the work of a TPU's recurrence is cut: directions, some lanes at a time, chunks of time steps."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Float

from kd_jax.models.padding import LANES, Widths
from kd_jax.structs import Array

ROWS, TIME = 8, 32
"""Multiples that rows are padded to, a register of float32, and time steps, those of a chunk."""
VMEM = 64 * 2**20  # bytes that a kernel may ask for: half of what a core has
UNROLLED = 4  # time steps of a pass of the loop, so that one's products are on their way while another's gates are made


def _lane_bytes(of: Widths, rows: int, steps: int) -> int:
    """What a lane takes at most on the chip, in the backward pass; blocks that come and go twice."""
    chunk = steps * rows * (4 * of.gates + 2 * (3 * 4 * of.hidden + 4 * of.hidden + 2 * 4 * of.gates + 4 * LANES))
    return chunk + 4 * of.gates * (2 * 2 * of.units + of.taken + of.hidden)


class Grid:
    """Blocks of arrays for a grid of directions, lanes and chunks.

    Args:
        z: [L, T, R, 2 * gates].
        units: of one direction.
        interpret: whether kernels run as plain JAX, for which an unrolled loop is only more to compile.
        later_first: whether chunks come in the order of the backward pass.
    """

    def __init__(self, z: Float[Array, "L T R both_gates"], units: int, interpret: bool, later_first: bool) -> None:
        self.lanes, steps, self.rows, _ = z.shape
        self.widths = Widths(units)
        room = 7 * VMEM // 8
        # As long chunks as one lane has room for, and as many lanes, up to 6, as divide all and have.
        self.time = next(n for n in (32, 16, 8) if n == 8 or _lane_bytes(self.widths, self.rows, n) <= room)
        lane = _lane_bytes(self.widths, self.rows, self.time)
        self.together = max(n for n in range(1, 7) if self.lanes % n == 0 and (n == 1 or n * lane <= room))
        self.chunks = steps // self.time
        self.shape = (2, self.lanes // self.together, self.chunks)
        self.unrolled = 1 if interpret else UNROLLED
        self._interpret, self._later_first = interpret, later_first

    def chunk(self, d: Any, t: Any) -> Any:
        """Which chunk is worked on: rising with t, or falling in the second direction, and backward the other way."""
        falls = 1 - d if self._later_first else d
        return t + falls * (self.chunks - 1 - 2 * t)

    def over_time(self, width: int) -> pl.BlockSpec:
        """Of [L, T, R, 2 * width]."""
        return pl.BlockSpec((self.together, self.time, self.rows, width), lambda d, n, t: (n, self.chunk(d, t), 0, d))

    def just_before(self, width: int) -> pl.BlockSpec:
        """The time step before a chunk's first, in the order of the direction; anything where there is none."""

        def place(d: Any, n: Any, t: Any) -> Any:
            step = (self.chunk(d, t) + d) * self.time - 1 + d
            return n, jnp.clip(step, 0, self.chunks * self.time - 1), 0, d

        return pl.BlockSpec((self.together, 1, self.rows, width), place)

    def keep(self) -> pl.BlockSpec:
        """Of [L, 2, T, R, 1]."""
        return pl.BlockSpec((self.together, 1, self.time, self.rows, 1), lambda d, n, t: (n, d, self.chunk(d, t), 0, 0))

    def bits(self, numbers: int, width: int) -> pl.BlockSpec:
        """Of [L, numbers, T, 2 * width]."""
        return pl.BlockSpec((self.together, numbers, self.time, width), lambda d, n, t: (n, 0, self.chunk(d, t), d))

    def matrix(self, *shape: int) -> pl.BlockSpec:
        """Of [L, 2, *shape]."""
        return pl.BlockSpec((self.together, 1, *shape), lambda d, n, _: (n, d, 0, 0))

    def call(self, kernel: Callable[..., None], name: str, **how: Any) -> Any:
        """The kernel over the grid."""
        passes = 2 * self.shape[1] * self.chunks
        return pl.pallas_call(
            kernel,
            grid=self.shape,
            compiler_params=pltpu.CompilerParams(dimension_semantics=("arbitrary",) * 3, vmem_limit_bytes=VMEM),
            interpret=self._interpret,
            metadata={"trips": f"{passes},{self.time // self.unrolled}"},  # what a reader of the schedule needs
            name=name,
            **how,
        )

    def weights(self, kind: Any) -> Any:
        """Room for the recurrent kernels of the lanes that advance together, as the matrix unit takes them."""
        of = self.widths
        return pltpu.VMEM((self.together, of.gates // LANES, of.taken, LANES), kind)

    def state(self) -> Any:
        """Room for one state of the lanes that advance together."""
        return pltpu.VMEM((self.together, self.rows, self.widths.hidden), jnp.float32)
