"""The variance that standardised errors are measured in: one number of a teacher's output, kept beside it.

A mean squared error of logits grows with the square of their scale, which is an accident of the teacher's training (a
longer trained one is surer) and would decide how much the gold labels count beside it. In units of the teacher's own
variance the error is 1 for a student that gives each label's mean, and 0 for one that matches the teacher.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64

from kd_jax.errors import InputError
from kd_jax.structs import Array, Outputs

ROUNDING = float(np.finfo(np.float32).eps) ** 2  # a variance under this share of the mean square is rounding's
ROWS = 65_536  # read at a time: knowledge is memory-mapped and may be larger than memory


class Moments(NamedTuple):
    """What the variance of several stores together is computed from, without reading them again.

    Attributes:
        tokens: n.
        mean: of each column over tokens, [D].
        spread: sum over tokens and columns of squared deviations from the mean.
        square: sum over tokens and columns of squares.
    """

    tokens: int
    mean: Float64[np.ndarray, "D"]
    spread: float
    square: float


def moments(values: Float[Array, "N D"], known: Bool[np.ndarray, "N"] | None = None, *, centred: bool) -> Moments:
    """Those of a teacher's output.

    Args:
        values: of every token that is matched; of logits, of the labels that the task has and of no others, [N, D].
        known: tokens that the teacher says something of; None for all.
        centred: whether a token's mean over its columns is taken off first: of logits it is, since a softmax or a CRF
            knows nothing of a shift.
    """
    # In two passes, mean first: the difference of the mean square and the squared mean would lose the digits of a small
    # variance about a large mean.
    n, width = values.shape
    n = n if known is None else int(known.sum())
    mean, square = np.zeros(width), 0.0
    for chunk in _chunks(values, known, centred=centred):
        mean += chunk.sum(0) / max(n, 1)
        square += float(np.square(chunk).sum())
    spread = sum(float(np.square(chunk - mean).sum()) for chunk in _chunks(values, known, centred=centred))
    return Moments(n, mean, spread, square)


def together(parts: Sequence[Moments]) -> Moments:
    """Moments of all tokens of several parts.

    With n = sum n_i and m = sum n_i m_i / n, the spread around m is sum_i (spread_i + n_i |m_i - m|^2): deviations
    within a part and those of its mean are orthogonal.
    """
    n = sum(part.tokens for part in parts)
    mean = np.sum([part.tokens / n * part.mean for part in parts], 0) if n else parts[0].mean
    spread = sum(part.spread + part.tokens * float(np.square(part.mean - mean).sum()) for part in parts)
    return Moments(n, mean, spread, sum(part.square for part in parts))


def variance(of: Moments) -> float:
    """s^2: the mean of squared deviations over tokens and columns.

    Returns:
        Above 0; 1 where no token differs from another and there is nothing to measure.

    Raises:
        InputError: where an output is not finite.
    """
    if not np.isfinite(of.spread):
        raise InputError("a teacher's outputs are not all finite, so no student can learn from them")
    return of.spread / (of.tokens * of.mean.size) if of.spread > ROUNDING * of.square else 1.0


def logit_scale(logits: Float[Array, "N K"]) -> float:
    """s^2 of centred logits around their means by label; errors as of `variance`."""
    return variance(moments(logits, centred=True))


def hidden_scale(states: Float[Array, "N H"]) -> float:
    """s^2 of hidden states around their mean by unit; errors as of `variance`."""
    return variance(moments(states, centred=False))


def moments_of(outputs: Outputs, known: Bool[np.ndarray, "N"] | None = None) -> Outputs:
    """Moments of every field, [N, ...]; None for a field that is None. Tokens that are not known do not count."""
    logits, *hidden = outputs
    return Outputs(
        None if logits is None else moments(logits, known, centred=True),
        *(None if x is None else moments(x, known, centred=False) for x in hidden),
    )


def scales(of: Outputs) -> Outputs:
    """s^2 of every field, from its `Moments`; None for a field that is None."""
    return Outputs(*(None if x is None else variance(x) for x in of))


def _chunks(
    values: Float[Array, "N D"], known: Bool[np.ndarray, "N"] | None, *, centred: bool
) -> Iterator[Float64[np.ndarray, "_ D"]]:
    for first in range(0, len(values), ROWS):
        chunk = np.asarray(values[first : first + ROWS]).astype(np.float64)
        if known is not None:
            chunk = chunk[known[first : first + ROWS]]
        yield chunk - chunk.mean(1, keepdims=True) if centred else chunk
