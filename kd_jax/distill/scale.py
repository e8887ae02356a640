"""The variance that standardised errors are measured in: one number of a teacher's output, kept beside it.

A mean squared error of logits grows with the square of their scale, which is the teacher's accident (a longer trained
one is surer) and decides how much is heard of the gold labels beside it. In units of the teacher's own variance it is
1 for whoever knows each label's mean and no more, and 0 for whoever knows all.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kd_jax.errors import InputError
from kd_jax.structs import Array, Outputs

ROUNDING = float(np.finfo(np.float32).eps) ** 2  # a variance under this share of the mean square is rounding's
ROWS = 65_536  # read at a time: knowledge is memory-mapped and may be larger than memory


def logit_scale(logits: Array) -> float:
    """s^2: the variance of centred logits around their means by label, a mean over tokens and labels.

    Centred are logits less their mean over a token's labels, of which a softmax or a CRF knows nothing.

    Args:
        logits: of every token that was asked for, of the labels that the task has and of no others, [N, K].

    Returns:
        Above 0; 1 where no token differs from another and there is nothing to measure.

    Raises:
        InputError: where a logit is not finite.
    """
    return _variance(logits, centred=True)


def hidden_scale(states: Array) -> float:
    """s^2: the variance of hidden states around their mean by unit, over tokens and units; else as `logit_scale`.

    Args:
        states: [N, H].
    """
    return _variance(states, centred=False)


def scales(outputs: Outputs) -> Outputs:
    """The scale of every field of a teacher's outputs, [N, ...]; None for a field that is None."""
    logits, *hidden = outputs
    return Outputs(
        None if logits is None else logit_scale(logits), *(None if x is None else hidden_scale(x) for x in hidden)
    )


def _variance(values: Array, *, centred: bool) -> float:
    n, width = values.shape
    mean, square = np.zeros(width), 0.0
    for chunk in _chunks(values, centred=centred):
        mean += chunk.sum(0) / n
        square += float(np.square(chunk).sum())
    spread = sum(float(np.square(chunk - mean).sum()) for chunk in _chunks(values, centred=centred))
    if not np.isfinite(spread):
        raise InputError("a teacher's outputs are not all finite, so that nobody can learn from them")
    return spread / (n * width) if spread > ROUNDING * square else 1.0


def _chunks(values: Array, *, centred: bool) -> Iterator[np.ndarray[Any, np.dtype[np.float64]]]:
    for first in range(0, len(values), ROWS):
        chunk = np.asarray(values[first : first + ROWS]).astype(np.float64)
        yield chunk - chunk.mean(1, keepdims=True) if centred else chunk
