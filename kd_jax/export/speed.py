"""How fast a model tags: tokens a second of many sentences, and how long one sentence takes."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import jax
import numpy as np

from kd_jax.runtime import device
from kd_jax.tagging.model import TextModel

MANY = 500  # sentences that are tagged together
ALONE = 100  # sentences that are tagged one by one


class Latency(NamedTuple):
    """Milliseconds that a sentence by itself takes in a warm process: median and 95th percentile."""

    p50: float
    p95: float


@dataclass(frozen=True)
class Speed:
    """How fast an architecture tags.

    Attributes:
        architecture: hash of a model's sizes, its head and the devices: what its speed depends on, weights do not.
        model: CORPUS/NAME of the one that was measured.
        tokens_per_s: of many sentences together.
        latency_p50_ms: median of what one sentence by itself takes.
        latency_p95_ms: its 95th percentile.
        sentences: that were tagged together.
        device: in words.
        jax: its version.
        date: in UTC.
    """

    architecture: str
    model: str
    tokens_per_s: float
    latency_p50_ms: float
    latency_p95_ms: float
    sentences: int
    device: str
    jax: str
    date: str


def measure_speed(model: TextModel, sentences: Sequence[Sequence[str]], architecture: str, name: str) -> Speed:
    """Rate and latency on a corpus's first sentences, here and now.

    Args:
        model: that tags.
        sentences: their tokens.
        architecture: the model's, as `Speed` tells it.
        name: the model's.
    """
    many, one_by_one = sentences[:MANY], latency(model, sentences[:ALONE])
    return Speed(
        architecture=architecture,
        model=name,
        tokens_per_s=rate(model, many),
        latency_p50_ms=one_by_one.p50,
        latency_p95_ms=one_by_one.p95,
        sentences=len(many),
        device=device.describe(),
        jax=jax.__version__,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def rate(model: TextModel, sentences: Sequence[Sequence[str]], repeats: int = 3) -> float:
    """Tokens a second of tagging all sentences together, looking words up included; the median of some repeats.

    Args:
        model: that tags.
        sentences: their tokens.
        repeats: timed ones, after one that is not.
    """
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        model.label(sentences, raw=False)
        seconds.append(time.perf_counter() - began)
    return sum(map(len, sentences)) / statistics.median(seconds[1:])


def latency(model: TextModel, sentences: Sequence[Sequence[str]]) -> Latency:
    """How long sentences take one by one."""
    # Sentences have rows of few lengths, a program each: all are compiled before the clock runs.
    for tokens in sentences:
        model.label([tokens], raw=False)
    taken = []
    for tokens in sentences:
        began = time.perf_counter()
        model.label([tokens], raw=False)
        taken.append(1000 * (time.perf_counter() - began))
    p50, p95 = np.percentile(taken, [50, 95])
    return Latency(float(p50), float(p95))
