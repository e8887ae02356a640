"""Dropout's random bits in the order in which a TPU computes: time first, and units as they are padded.

They are drawn for rows first. A transpose of 7 rows would shuffle every register; as bits of one number all rows of a
time step are moved at once, and each row reads its own bit.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Int32, UInt32

from kd_jax.models.groups import over_groups
from kd_jax.structs import Array

WORD = 32
"""Rows whose bits a number holds."""


def stays(
    words: UInt32[Array, "words D"],
    rows: int,
    steps: int,
    kept: int,
    before: tuple[int, ...],
    after: tuple[int, ...],
    interpret: bool,
) -> tuple[Int32[Array, "T padded_D"], ...]:
    """Which units of which tokens stay: bit r of a number is that of row r; 0 of a padded unit.

    Args:
        words: random, a byte for each of four tokens, as `kd_jax.models.tagger.dropout_planes` reads them, [W, D].
        rows: R, of a batch.
        steps: T.
        kept: bytes below it stay.
        before: units of each run of them, D in all.
        after: what each is padded to.
        interpret: whether to run as plain JAX.

    Returns:
        [T, D], of the first 32 rows, of the next 32 and so on.
    """
    signed = lax.bitcast_convert_type(words, jnp.int32)  # Mosaic compares no unsigned numbers
    found = _kernel(rows, steps, kept, before, after, interpret)(signed[None])[0]
    return tuple(found[n] for n in range(len(found)))


def of_row(bits: tuple[Int32[Array, "T D"], ...], rows: int) -> Int32[Array, "T R D"]:
    """Zeros and ones of each of some rows, zeros of rows that there are not."""
    apart = [
        (of_rows[:, None] >> jnp.expand_dims(jnp.arange(min(WORD, rows - n * WORD)), (0, 2))) & 1
        for n, of_rows in enumerate(bits)
    ]
    return jnp.concatenate(apart, 1)


@lru_cache
def _kernel(*how: Any) -> Callable[..., Any]:
    return over_groups(partial(_stays, *how))


def _stays(
    rows: int,
    steps: int,
    kept: int,
    before: tuple[int, ...],
    after: tuple[int, ...],
    interpret: bool,
    words: Int32[Array, "L words D"],
) -> Int32[Array, "L numbers T padded_D"]:
    lanes, count, width = words.shape
    out = jax.ShapeDtypeStruct((lanes, -(-rows // WORD), steps, sum(after)), jnp.int32)

    def kernel(words_ref: Any, bits_ref: Any, found_ref: Any) -> None:
        for n in range(out.shape[1]):
            found_ref[...] = jnp.zeros_like(found_ref)
            for row in range(n * WORD, min((n + 1) * WORD, rows)):
                for t, size, plane, word in _pieces(row * steps, steps, count):
                    byte = lax.shift_right_logical(words_ref[0, word : word + size], 8 * plane) & 255
                    one = -(2**31) if row % WORD == WORD - 1 else 1 << row % WORD
                    found_ref[t : t + size] |= jnp.where(byte < kept, one, 0)
            if before == after:
                bits_ref[0, n] = found_ref[...]
                continue
            bits_ref[0, n] = jnp.zeros(out.shape[2:], jnp.int32)
            source, target = 0, 0
            for units, wanted in zip(before, after, strict=True):
                bits_ref[0, n, :, target : target + units] = found_ref[:, source : source + units]
                source, target = source + units, target + wanted

    return pl.pallas_call(
        kernel,
        grid=(lanes,),
        in_specs=[pl.BlockSpec((1, count, width), lambda lane: (lane, 0, 0))],
        out_specs=pl.BlockSpec((1, *out.shape[1:]), lambda lane: (lane, 0, 0, 0)),
        out_shape=out,
        scratch_shapes=[pltpu.VMEM((steps, width), jnp.int32)],
        interpret=interpret,
        metadata={"trips": f"{lanes}"},  # what a reader of the schedule needs
        name="dropout_bits",
    )(words)


def _pieces(first: int, number: int, count: int) -> list[tuple[int, int, int, int]]:
    """Tokens from a first one on, cut where the words' bytes begin anew: offset, size, which byte, first word."""
    pieces, at = [], first
    while at < first + number:
        plane, word = divmod(at, count)
        size = min(first + number - at, count - word)
        pieces.append((at - first, size, plane, word))
        at += size
    return pieces
