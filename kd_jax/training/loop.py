"""Training of many lanes: epochs, chunks of steps, and what is read off between them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from kd_jax.data.packing import NO_TOKEN, Batches, stack
from kd_jax.data.tokens import Tokens, pieces
from kd_jax.models.tagger import Tagger
from kd_jax.settings import Settings
from kd_jax.training import mesh as meshes
from kd_jax.training.feed import Sizes, by_shape, feed
from kd_jax.training.step import FINITE, Sums, TokenData, TrainState, apply, init_state, tag_steps, train_steps
from kd_jax.types import LossWeights, Outputs


class Lane(NamedTuple):
    """What differs between the runs of one program."""

    seed: int
    weights: LossWeights


class Report(NamedTuple):
    """What a finished chunk says: epoch from 1, mean loss of each lane since the epoch began, real tokens of all lanes
    in the chunk, seconds it took, and whether the epoch ended with it.
    """

    epoch: int
    loss: np.ndarray
    lane_tokens: int
    seconds: float
    ends_epoch: bool


@dataclass(frozen=True)
class Job:
    """Lanes that share corpora, sizes and knowledge: one program.

    Attributes:
        settings: of the run.
        tokens: the corpora.
        sentences: training sentences of each task.
        lanes: seeds and loss weights.
        epochs: passes over the training sentences.
        knowledge: a teacher's outputs of all training tokens, fields [N, ...] or None.
        alphabet: distinct characters of the vocabulary, padding and unknown included.
    """

    settings: Settings
    tokens: Tokens
    sentences: tuple[np.ndarray, ...]
    lanes: tuple[Lane, ...]
    epochs: int
    alphabet: int
    knowledge: Outputs | None = None
    words: np.ndarray | None = None

    @property
    def tagger(self) -> Tagger:
        """The module of every lane."""
        return Tagger(self.settings.model, self.alphabet, self.tokens.most_labels)

    @property
    def lane_tokens(self) -> int:
        """Real tokens of the whole run, all lanes together."""
        return self.epochs * len(self.lanes) * sum(self.tokens.count(s) for s in self.sentences)


@lru_cache
def _trainer(tagger: Tagger, settings: Settings, mesh: Any) -> Callable[..., tuple[TrainState, Sums]]:
    def run(state: TrainState, batches: Batches, shared: tuple[TokenData, Outputs | None]) -> tuple[TrainState, Sums]:
        return train_steps(tagger, settings, state, batches, *shared)

    return meshes.over_lanes(run, mesh, donate=True)


@lru_cache
def _labeller(tagger: Tagger, mesh: Any) -> Callable[..., Any]:
    def run(params: Any, _: tuple[()], shared: tuple[Batches, TokenData]) -> Any:
        return tag_steps(tagger, params, *shared)

    return meshes.over_lanes(run, mesh)


def token_data(tokens: Tokens) -> TokenData:
    """The host arrays that every lane reads."""
    return TokenData(tokens.forms, tokens.label, tokens.valid)


def train(
    job: Job,
    on_chunk: Callable[[Report], None],
    on_epoch: Callable[[int, TrainState], None] = lambda epoch, state: None,
) -> TrainState:
    """Train every lane of a job.

    Args:
        job: what to train.
        on_chunk: told of every finished chunk of steps.
        on_epoch: told of every finished epoch, from 1, with the lanes' states on the device, [L, ...]; the states'
            memory is reused afterwards.

    Returns:
        The lanes' final states on the device, [L, ...]; lanes beyond the job's own only fill up the devices.
    """
    mesh = meshes.lane_mesh(len(job.lanes))
    lanes = meshes.fill_up(job.lanes, mesh)
    run = _trainer(job.tagger, job.settings, mesh)
    shared = meshes.replicate((token_data(job.tokens), job.knowledge), mesh)
    state = initial_states(job, lanes, mesh)
    epochs = feed(job.tokens, job.sentences, job.settings.train, [lane.seed for lane in lanes], job.epochs)
    for epoch, chunks in enumerate(epochs):
        losses, counts = np.zeros(len(lanes)), np.zeros(len(lanes))
        for number, batches in enumerate(chunks, start=1):
            began = time.monotonic()
            state, sums = run(state, meshes.shard(batches, mesh), shared)
            sums = jax.tree.map(np.asarray, sums)
            losses, counts = losses + sums.loss, counts + sums.tokens
            own = len(job.lanes)
            on_chunk(
                Report(
                    epoch + 1,
                    (losses / np.maximum(counts, 1))[:own],
                    int((batches.token[:own] != NO_TOKEN).sum()),
                    time.monotonic() - began,
                    number == len(chunks),
                )
            )
        on_epoch(epoch + 1, state)
    return state


def initial_states(job: Job, lanes: Sequence[Lane], mesh: Any) -> TrainState:
    """States of lanes at their first step, [L, ...], on the mesh."""
    words = job.tokens.word_rows if job.words is None else job.words

    def start(lane: tuple[Any, LossWeights], _: tuple[()], __: tuple[()]) -> TrainState:
        return init_state(job.tagger, *lane, len(job.sentences), words)

    seeds = meshes.lane_array([lane.seed for lane in lanes], np.int32)
    weights = LossWeights(*(meshes.lane_array(w) for w in zip(*(lane.weights for lane in lanes), strict=True)))
    return meshes.over_lanes(start, mesh)(meshes.shard((seeds, weights), mesh), (), ())


def label_tokens(job: Job, params: Any, task: int, sentences: np.ndarray) -> np.ndarray:
    """The likeliest label of every token of some sentences, for every lane.

    Args:
        job: whose lanes they are.
        params: the lanes' parameters on the device, [L, ...].
        task: the sentences' corpus.
        sentences: indices.

    Returns:
        Labels over all N token positions, 0 where not asked for, [L, N] int32.
    """
    mesh = meshes.lane_mesh(len(job.lanes))
    run = _labeller(job.tagger, mesh)
    data = token_data(job.tokens)
    labels = np.zeros((len(job.lanes), len(job.tokens.label)), np.int32)
    for batches in reading_batches(job, task, sentences):
        found = np.asarray(run(params, (), meshes.replicate((batches, data), mesh)))[: len(job.lanes)]
        real = batches.token != NO_TOKEN
        labels[:, batches.token[real]] = found.swapaxes(2, 3)[:, real]
    return labels


def reading_batches(job: Job, task: int, sentences: np.ndarray) -> Iterator[Batches]:
    """Sentences as batches of few shapes, without shuffling, for reading."""
    sizes = Sizes()
    found = pieces(job.tokens, sentences, task, job.settings.train, None)
    for group in by_shape(found).values():
        for part, shape in sizes.chunks([group]):
            yield stack(part[0], [0.0] * len(part[0]), shape, job.tokens.word_rows)


def failures(state: TrainState, lanes: int) -> list[int | None]:
    """The step at which each lane stopped being finite, or None."""
    return [None if step == FINITE else int(step) for step in np.asarray(state.failed)[:lanes]]
