"""Sizes that a TPU's registers and tiles want, and arrays brought to them: zeros beside what there is."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Shaped

from kd_jax.structs import Array

LANES, SUBLANES, PACKED = 128, 8, 16
"""Numbers side by side in a register, rows of float32 in it, and of bfloat16."""


def round_up(number: int, multiple: int) -> int:
    """The next multiple."""
    return -(-number // multiple) * multiple


class Widths(NamedTuple):
    """Sizes of one direction of a BiLSTM.

    Attributes:
        units: H, a multiple of 8.
    """

    units: int

    @classmethod
    def of(cls, units: int) -> "Widths":
        """Those of so many units."""
        return cls(round_up(units, SUBLANES))

    @property
    def gates(self) -> int:
        """Of pre-activations: four gates side by side without a gap, padded to whole registers."""
        return round_up(4 * self.units, LANES)

    @property
    def hidden(self) -> int:
        """Of states, padded to whole registers."""
        return round_up(self.units, LANES)

    @property
    def taken(self) -> int:
        """Of states, as many as a product takes, in whole packed registers."""
        return round_up(self.units, PACKED)

    @property
    def factors(self) -> int:
        """The same and a column of ones."""
        return round_up(self.units + 1, PACKED)


def gate_sizes(units: int, gates: int) -> tuple[int, int, int, int]:
    """Of four gates of some units, the last with what fills them up."""
    return units, units, units, gates - 3 * units


def resized(
    x: Shaped[Array, "..."], axis: int, before: tuple[int, ...], after: tuple[int, ...]
) -> Shaped[Array, "..."]:
    """Runs of an axis, each cut, or filled up with zeros, to a size."""
    axis %= x.ndim
    runs, start = [], 0
    for size, wanted in zip(before, after, strict=True):
        run = lax.slice_in_dim(x, start, start + min(size, wanted), axis=axis)
        missing = [(0, max(0, wanted - size)) if a == axis else (0, 0) for a in range(x.ndim)]
        runs.append(jnp.pad(run, missing))
        start += size
    return jnp.concatenate(runs, axis)
