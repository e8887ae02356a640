"""Input pipeline: every lane's epochs as stacked chunks of few, fixed shapes, prepared while the device is busy."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Float32

from kd_jax.data.dataset import Sentences, Tokens, epochs_of_batches
from kd_jax.data.packing import Batches, HostBatch, Shape, round_up, stack
from kd_jax.settings import TrainConfig

CHUNK = 64  # steps of one call: long enough to hide its cost, short enough to show progress
RowShape = tuple[int, int]


class Length(NamedTuple):
    """How long a run is.

    Attributes:
        epochs: passes over the training sentences, where there is no budget of updates.
        updates: of each lane; 0 for as many as the epochs have.
    """

    epochs: int
    updates: int = 0

    def is_over(self, epoch: int, done: int) -> bool:
        """Whether nothing is left after some epochs and updates."""
        return done >= self.updates if self.updates else epoch >= self.epochs

    def left(self, done: int) -> int | None:
        """Updates that are left; None for no bound."""
        return self.updates - done if self.updates else None

    def progress(self, epoch: int, done: int, steps: int) -> Float[np.ndarray, "S"]:
        """Points of the run at which an epoch's updates lie, 0 at its start and 1 at its end, [S]."""
        if self.updates:
            return (done + np.arange(steps)) / self.updates
        return (epoch + np.arange(steps) / max(steps, 1)) / self.epochs


def chunk_steps(steps: int) -> int:
    """Steps of each chunk of an epoch of so many: equal chunks, so that none is nearly empty."""
    n_chunks = -(-steps // CHUNK)
    return -(-steps // n_chunks)


def room(distinct: float) -> int:
    """How many distinct forms or words a shape holds whose first batches have so many at most.

    A later epoch, shuffled anew, may have more in a batch: room for a tenth more is left, since a larger shape is
    another program to compile.
    """
    return round_up(int(distinct * 1.1), 64)


class ShapeCache:
    """Shapes of chunks, decided by the first epoch and kept, so that later epochs compile nothing."""

    def __init__(self) -> None:
        self._shapes: dict[RowShape, Shape] = {}

    def chunks(self, lanes: Sequence[Sequence[HostBatch]]) -> Iterator[tuple[list[Sequence[HostBatch]], Shape]]:
        """Batches of one (R, T), cut into chunks of one shape.

        Args:
            lanes: the batches of each lane, not all empty.

        Yields:
            Each lane's batches of the chunk, perhaps none, and the chunk's shape.
        """
        batches = [batch for lane in lanes for batch in lane]
        rows = batches[0].token.shape
        steps = max(map(len, lanes))
        forms = max(len(batch.form) for batch in batches)
        words = max(len(batch.word) for batch in batches)
        shape = self._shapes.get(rows)
        if shape is None:
            shape = Shape(chunk_steps(steps), rows[0], rows[1], 0, 0)
        if forms > shape.forms or words > shape.words:
            shape = shape._replace(forms=room(forms), words=room(words))
        self._shapes[rows] = shape
        for first in range(0, steps, shape.steps):
            yield [lane[first : first + shape.steps] for lane in lanes], shape


def stack_lanes(lanes: Sequence[Any]) -> Any:
    """Host pytrees of single lanes as one with a leading L."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)


def by_shape(batches: Sequence[HostBatch], epoch: int = 0) -> dict[RowShape, list[HostBatch]]:
    """Batches of each (R, T); the shortest rows first in even epochs and last in odd ones."""
    groups: dict[RowShape, list[HostBatch]] = {}
    for batch in batches:
        groups.setdefault(batch.token.shape, []).append(batch)
    return {shape: groups[shape] for shape in _in_turn(groups, epoch)}


def _in_turn(shapes: Iterable[RowShape], epoch: int) -> list[RowShape]:
    """Shapes by the length of their rows, rising and falling by turns, so that long sentences are not always last."""
    return sorted(shapes, key=itemgetter(1), reverse=epoch % 2 == 1)


def learning_rates(train: TrainConfig, progress: Float[np.ndarray, "S"]) -> Float32[np.ndarray, "S"]:
    """Learning rates at points of a run, 0 at its start and 1 at its end."""
    shape = {
        "constant": np.ones_like(progress),
        "linear": 1.0 - progress,
        "cosine": 0.5 + 0.5 * np.cos(np.pi * progress),
    }[train.schedule]
    return np.asarray(train.learning_rate * shape, np.float32)


def input_pipeline(
    tokens: Tokens,
    sentences: Sequence[Sentences],
    train: TrainConfig,
    seeds: Sequence[int],
    length: Length,
    first: int = 0,
    *,
    unlabelled: Sentences | None = None,
    stream: int = 0,
    highest: Sequence[float | None] | None = None,
) -> Iterator[list[Batches]]:
    """Epochs of every lane.

    Args:
        tokens: of the model.
        sentences: training sentences of each task.
        train: batch sizes, sampling and learning rates.
        seeds: of the lanes; lanes of one seed see the same batches.
        length: of the whole run; with a budget of updates the last epoch ends where the budget does.
        first: epochs to leave out, since a run that resumes has them behind it; they still decide the shapes.
        unlabelled: sentences of task 0 that only a teacher labels; None for none.
        stream: of random numbers; lanes of one seed and different streams have nothing in common.
        highest: learning rate of each lane where its schedule is highest; None for that of `train`.

    Yields:
        The chunks of one epoch, host arrays [L, S, ...]. An epoch is prepared while the one before it is in use.
    """
    streams = {
        seed: epochs_of_batches(tokens, sentences, train, [seed, stream] if stream else [seed], unlabelled)
        for seed in seeds
    }
    sizes = ShapeCache()
    done = dict.fromkeys(seeds, 0)
    lanes = list(zip(seeds, highest or [None] * len(seeds), strict=True))

    def rates(seed: int, rate: float | None, epoch: int, updates: int) -> Iterator[float]:
        of_lane = train if rate is None else replace(train, learning_rate=rate)
        return iter(learning_rates(of_lane, length.progress(epoch, done[seed], updates)))

    def prepare(epoch: int) -> list[Batches] | None:
        if length.is_over(epoch, min(done.values())):
            return None
        groups: dict[int, dict[RowShape, list[HostBatch]]] = {}
        left: dict[tuple[int, float | None], Iterator[float]] = {}
        for seed, batches in streams.items():
            host_batches = [b for of_shape in by_shape(next(batches), epoch).values() for b in of_shape]
            host_batches = host_batches[: length.left(done[seed])]
            left |= {lane: rates(*lane, epoch, len(host_batches)) for lane in lanes if lane[0] == seed}
            groups[seed] = by_shape(host_batches, epoch)
            done[seed] += len(host_batches)
        out = []
        for rows in _in_turn({rows for group in groups.values() for rows in group}, epoch):
            of_seed = [groups[seed].get(rows, []) for seed in streams]
            for parts, shape in sizes.chunks(of_seed):
                if epoch < first:  # only its shapes are of use
                    continue
                of_lane = dict(zip(streams, parts, strict=True))
                stacked = {
                    (seed, rate): stack(
                        of_lane[seed], [next(left[seed, rate]) for _ in of_lane[seed]], shape, tokens.word_rows
                    )
                    for seed, rate in dict.fromkeys(lanes)
                }
                out.append(stack_lanes([stacked[lane] for lane in lanes]))
        return out

    with ThreadPoolExecutor(1) as worker:
        coming = worker.submit(prepare, 0)
        for epoch in count():
            chunks = coming.result()
            if chunks is None:
                return
            coming = worker.submit(prepare, epoch + 1)
            if epoch >= first:
                yield chunks
