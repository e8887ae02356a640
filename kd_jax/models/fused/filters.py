"""`kd_jax.models.features.highest` as two kernels for a TPU, where a gather goes row by row.

What a filter responds to a window is a product with the window's characters, one-hot and one place above the other, in
the matrix unit. Words are side by side, 128 of them at a time, and one position in them after the other, so neither
the one-hot rows nor the responses of all windows are ever in the device's memory.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jaxtyping import Float, Int, Int32, Shaped

from kd_jax.data.vocab import PADDING
from kd_jax.models.groups import over_groups
from kd_jax.models.precision import factor_dtype
from kd_jax.settings import Compute
from kd_jax.structs import Array

WORDS, LETTERS = 128, 16
"""Multiples that words and the alphabet are padded to: registers hold 128 numbers side by side, 16 rows of bfloat16."""


def highest(
    responses: Float[Array, "window A units"], chars: Int[Array, "U C"], compute: Compute, interpret: bool
) -> Float[Array, "U units"]:
    """The highest response to a word among windows around its characters; of equals the first gets the gradient.

    Args:
        responses: of each filter to each of A characters at each place in a window of odd width, [window, A, units].
        chars: character ids, PADDING after a word's end, [U, C].
        compute: of the products: bfloat16 rounds responses and gradients, float32 nothing.
        interpret: whether to run as plain JAX.
    """
    window, letters, units = responses.shape
    around = jnp.pad(chars, ((0, -len(chars) % WORDS), (window // 2, window // 2)), constant_values=PADDING).T
    stacked = jnp.pad(responses, ((0, 0), (0, -letters % LETTERS), (0, 0))).reshape(-1, units).T
    return _highest(stacked, around, window, compute, interpret).T[: len(chars)]


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _highest(
    responses: Float[Array, "units stacked"], chars: Int[Array, "around words"], window: int, compute: Compute,
    interpret: bool,
) -> Float[Array, "units words"]:  # fmt: skip
    """`highest` of a window's places one above the other, words last."""
    return _highest_forward(responses, chars, window, compute, interpret)[0]


def _highest_forward(
    responses: Float[Array, "units stacked"], chars: Int[Array, "around words"], window: int, compute: Compute,
    interpret: bool,
) -> tuple[Float[Array, "units words"], tuple[Shaped[Array, "..."], ...]]:  # fmt: skip
    run = _kernel(_forward, window, compute, interpret)
    best, winner = (x[0] for x in run(responses[None], chars[None]))
    return best, (responses[:0], chars, winner)


def _highest_backward(
    window: int, compute: Compute, interpret: bool, residuals: tuple[Shaped[Array, "..."], ...],
    bar: Float[Array, "units words"],
) -> tuple[Float[Array, "units stacked"], None]:  # fmt: skip
    shape, chars, winner = residuals
    run = _kernel(partial(_backward, shape.shape[1]), window, compute, interpret)
    return run(bar[None], chars[None], winner[None])[0], None


_highest.defvjp(_highest_forward, _highest_backward)


@lru_cache
def _kernel(function: Callable[..., Any], window: int, compute: Compute, interpret: bool) -> Callable[..., Any]:
    return over_groups(partial(function, window, compute, interpret))


def _forward(
    window: int,
    compute: Compute,
    interpret: bool,
    responses: Float[Array, "L units stacked"],
    chars: Int[Array, "L around words"],
) -> tuple[Float[Array, "L units words"], Int32[Array, "L units words"]]:
    """The highest responses and the windows that they come from."""
    lanes, units, stacked = responses.shape
    length, words = chars.shape[1] - window + 1, chars.shape[2]

    def kernel(responses_ref: Any, chars_ref: Any, best_ref: Any, winner_ref: Any) -> None:
        weights = responses_ref[0].astype(factor_dtype(compute))

        def of_words(n: Array, carry: Any) -> Any:
            own = pl.ds(pl.multiple_of(n * WORDS, WORDS), WORDS)
            places = _one_hot(chars_ref[0, :, own], stacked // window, compute)
            for c in range(length):
                seen = _product(weights, jnp.concatenate(places[c : c + window]), 0, compute, interpret)
                seen = jnp.where(chars_ref[0, c + window // 2 : c + window // 2 + 1, own] != PADDING, seen, -1e9)
                if c == 0:
                    best, winner = seen, jnp.zeros(seen.shape, jnp.int32)
                else:
                    better = seen > best
                    best, winner = jnp.where(better, seen, best), jnp.where(better, c, winner)
            best_ref[0, :, own], winner_ref[0, :, own] = best, winner
            return carry

        lax.fori_loop(0, words // WORDS, of_words, 0)

    out = [jax.ShapeDtypeStruct((lanes, units, words), kind) for kind in (jnp.float32, jnp.int32)]
    best, winner = _call(kernel, [responses, chars], out, interpret, "filters_forward", words // WORDS)
    return best, winner


def _backward(
    stacked: int,
    window: int,
    compute: Compute,
    interpret: bool,
    bar: Float[Array, "L units words"],
    chars: Int[Array, "L around words"],
    winner: Int32[Array, "L units words"],
) -> Float[Array, "L units stacked"]:
    """Gradients of the responses: of each word's to the characters of the window that won."""
    lanes, units, words = bar.shape
    length = chars.shape[1] - window + 1

    def kernel(bar_ref: Any, chars_ref: Any, winner_ref: Any, gradient_ref: Any) -> None:
        gradient_ref[...] = jnp.zeros_like(gradient_ref)

        def of_words(n: Array, carry: Any) -> Any:
            own = pl.ds(pl.multiple_of(n * WORDS, WORDS), WORDS)
            places = _one_hot(chars_ref[0, :, own], stacked // window, compute)
            given, won = bar_ref[0, :, own], winner_ref[0, :, own]
            of_windows = [jnp.where(won == c, given, 0.0).astype(factor_dtype(compute)) for c in range(length)]
            seen = [jnp.concatenate(places[c : c + window]) for c in range(length)]
            gradient_ref[0] += _product(jnp.concatenate(of_windows, 1), jnp.concatenate(seen, 1), 1, compute, interpret)
            return carry

        lax.fori_loop(0, words // WORDS, of_words, 0)

    out = [jax.ShapeDtypeStruct((lanes, units, stacked), jnp.float32)]
    (gradient,) = _call(kernel, [bar, chars, winner], out, interpret, "filters_backward", words // WORDS)
    return gradient


def _one_hot(chars: Int[Array, "around words"], letters: int, compute: Compute) -> list[Any]:
    """Of every row of characters its one-hot columns, [letters, words]."""
    letter = lax.broadcasted_iota(jnp.int32, (letters, chars.shape[1]), 0)
    return [
        jnp.where(chars[p : p + 1] == letter, 1.0, 0.0).astype(factor_dtype(compute)) for p in range(chars.shape[0])
    ]


def _product(
    x: Float[Array, "units inputs"], hot: Float[Array, "..."], axis: int, compute: Compute, interpret: bool
) -> Float[Array, "units outputs"]:
    """A product with zeros and ones over an axis of theirs, exact but for x's own rounding."""
    if interpret:  # the same values: a CPU lacks some products of bfloat16
        x, hot = x.astype(jnp.float32), hot.astype(jnp.float32)
    precision = None if compute == "bfloat16" else lax.Precision.HIGHEST
    return lax.dot_general(x, hot, (((1,), (axis,)), ((), ())), precision, jnp.float32)


def _call(kernel: Any, arrays: list[Any], out: list[Any], interpret: bool, name: str, blocks: int) -> list[Any]:
    """A kernel over lanes, each with all of its arrays on the chip."""

    def whole(x: Any) -> pl.BlockSpec:
        return pl.BlockSpec((1, *x.shape[1:]), lambda n: (n, 0, 0))

    return list(
        pl.pallas_call(
            kernel,
            grid=(len(arrays[0]),),
            in_specs=[*map(whole, arrays)],
            out_specs=[*map(whole, out)],
            out_shape=out,
            interpret=interpret,
            metadata={"trips": f"{len(arrays[0])},{blocks}"},  # what a reader of the schedule needs
            name=name,
        )(*arrays)
    )
