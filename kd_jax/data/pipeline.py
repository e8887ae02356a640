"""What the device eats: every lane's epochs as stacked chunks of few, fixed shapes, prepared while it is busy."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from kd_jax.data.dataset import Tokens, epochs_of_batches
from kd_jax.data.packing import Batches, HostBatch, Shape, round_up, stack
from kd_jax.settings import TrainConfig

CHUNK = 64  # steps of one call: long enough to hide its cost, short enough to show progress
RowShape = tuple[int, int]


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
        everything = [host_batch for lane in lanes for host_batch in lane]
        rows = everything[0].token.shape
        steps = max(map(len, lanes))
        forms = max(len(host_batch.form) for host_batch in everything)
        words = max(len(host_batch.word) for host_batch in everything)
        shape = self._shapes.get(rows)
        if shape is None:
            n_chunks = -(-steps // CHUNK)
            shape = Shape(-(-steps // n_chunks), rows[0], rows[1], 0, 0)
        if forms > shape.forms or words > shape.words:
            shape = shape._replace(forms=round_up(int(forms * 1.1), 64), words=round_up(int(words * 1.1), 64))
        self._shapes[rows] = shape
        for first in range(0, steps, shape.steps):
            yield [lane[first : first + shape.steps] for lane in lanes], shape


def stack_lanes(lanes: Sequence[Any]) -> Any:
    """Host pytrees of single lanes as one with a leading L."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *lanes)


def by_shape(found: Sequence[HostBatch]) -> dict[RowShape, list[HostBatch]]:
    """Batches of each (R, T), the shortest rows first."""
    groups: dict[RowShape, list[HostBatch]] = {}
    for host_batch in found:
        groups.setdefault(host_batch.token.shape, []).append(host_batch)
    return dict(sorted(groups.items(), key=lambda item: item[0][1]))


def rates(train: TrainConfig, progress: np.ndarray) -> np.ndarray:
    """Learning rates at points of a run, 0 at its start and 1 at its end; float32."""
    shape = {
        "constant": np.ones_like(progress),
        "linear": 1.0 - progress,
        "cosine": 0.5 + 0.5 * np.cos(np.pi * progress),
    }[train.schedule]
    return np.asarray(train.learning_rate * shape, np.float32)


def input_pipeline(
    tokens: Tokens,
    sentences: Sequence[np.ndarray],
    train: TrainConfig,
    seeds: Sequence[int],
    epochs: int,
    first: int = 0,
) -> Iterator[list[Batches]]:
    """Epochs of every lane.

    Args:
        tokens: of the model.
        sentences: training sentences of each task.
        train: batch sizes, sampling and learning rates.
        seeds: of the lanes; lanes of one seed see the same batches.
        epochs: of the whole run.
        first: epochs to leave out, since a run that goes on has them behind it; they still decide the shapes.

    Yields:
        The chunks of one epoch, host arrays [L, S, ...]. An epoch is prepared while the one before it is in use.
    """
    streams = {seed: epochs_of_batches(tokens, sentences, train, seed) for seed in seeds}
    sizes = ShapeCache()

    def prepare(epoch: int) -> list[Batches]:
        found = {seed: next(stream) for seed, stream in streams.items()}
        left = {
            seed: iter(_rates_of_epoch(train, len(host_batches), epoch, epochs)) for seed, host_batches in found.items()
        }
        groups = {seed: by_shape(host_batches) for seed, host_batches in found.items()}
        out = []
        for rows in sorted({rows for group in groups.values() for rows in group}, key=lambda rows: rows[1]):
            of_seed = [groups[seed].get(rows, []) for seed in streams]
            for parts, shape in sizes.chunks(of_seed):
                if epoch < first:
                    continue
                stacked = {
                    seed: stack(part, [next(left[seed]) for _ in part], shape, tokens.word_rows)
                    for seed, part in zip(streams, parts, strict=True)
                }
                out.append(stack_lanes([stacked[seed] for seed in seeds]))
        return out

    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(prepare, 0)
        for epoch in range(epochs):
            ready = coming.result()
            if epoch + 1 < epochs:
                coming = ahead.submit(prepare, epoch + 1)
            if epoch >= first:
                yield ready


def _rates_of_epoch(train: TrainConfig, steps: int, epoch: int, epochs: int) -> np.ndarray:
    return rates(train, (epoch + np.arange(steps) / steps) / epochs)
