"""How fast a model tags: tokens a second of many sentences, and how long one sentence takes."""

import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kd_jax.tagging.model import TextModel


class Latency(NamedTuple):
    """Milliseconds that a sentence by itself takes in a warm process: median and 95th percentile."""

    p50: float
    p95: float


def rate(model: TextModel, sentences: Sequence[Sequence[str]], repeats: int = 3) -> float:
    """Tokens a second of tagging all sentences, looking words up included; the median of some repeats.

    Args:
        model: that tags.
        sentences: their tokens.
        repeats: timed ones, after one that is not.
    """
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        for first in range(0, len(sentences), 500):
            model.label(sentences[first : first + 500], raw=False)
        seconds.append(time.perf_counter() - began)
    return sum(map(len, sentences)) / statistics.median(seconds[1:])


def latency(model: TextModel, sentences: Sequence[Sequence[str]]) -> Latency:
    """How long sentences take one by one."""
    for tokens in sentences:
        model.label([tokens], raw=False)
    taken = []
    for tokens in sentences:
        began = time.perf_counter()
        model.label([tokens], raw=False)
        taken.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(taken, [50, 95])
    return Latency(float(p50), float(p95))
