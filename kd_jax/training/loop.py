"""Training of many lanes: epochs, chunks of steps, and what is read off between them."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np

from kd_jax.data.dataset import Tokens, make_batches
from kd_jax.data.packing import NO_TOKEN, Batches, stack
from kd_jax.data.pipeline import ShapeCache, by_shape, input_pipeline, stack_lanes
from kd_jax.models.crf import Transitions, constrain
from kd_jax.models.tagger import Tagger
from kd_jax.settings import Head, Settings
from kd_jax.structs import LossWeights, Outputs
from kd_jax.training import mesh as meshes
from kd_jax.training.step import FINITE, Sums, TokenData, TrainState, init_state, tag_steps, train_steps


class Lane(NamedTuple):
    """What differs between the runs of one program."""

    seed: int
    weights: LossWeights


class Position(NamedTuple):
    """Where in its data a training is.

    Attributes:
        epoch: epochs that are finished.
        chunk: chunks of the next epoch that are finished.
        loss: sum over tokens since the epoch began, of each lane, [L].
        tokens: since the epoch began, of each lane, [L].
    """

    epoch: int
    chunk: int
    loss: np.ndarray
    tokens: np.ndarray


class Progress(NamedTuple):
    """What there is after a chunk of steps.

    Attributes:
        epoch: the chunk's, from 1.
        ends_epoch: whether it was the epoch's last.
        loss: mean over tokens since the epoch began, of each lane, [L].
        lane_tokens: real tokens of all lanes in the chunk.
        seconds: the chunk took.
        position: from which the training would go on.
        state: the lanes on the device, [L, ...], perhaps with more lanes at the end that only fill up the devices; its
            memory is reused by the next chunk.
    """

    epoch: int
    ends_epoch: bool
    loss: np.ndarray
    lane_tokens: int
    seconds: float
    position: Position
    state: TrainState


@dataclass(frozen=True)
class Job:
    """Lanes that share corpora, sizes and knowledge: one program.

    Attributes:
        settings: of the run.
        tokens: the corpora.
        sentences: training sentences of each task.
        lanes: seeds and loss weights.
        epochs: passes over the training sentences.
        alphabet: distinct characters of the vocabulary, padding and unknown included.
        head: output layer of every lane.
        knowledge: a teacher's outputs of all training tokens, fields [N, ...] or None.
        vectors: pretrained rows of the word table, [W, D], and which there are, [W]; None where all are random.
    """

    settings: Settings
    tokens: Tokens
    sentences: tuple[np.ndarray, ...]
    lanes: tuple[Lane, ...]
    epochs: int
    alphabet: int
    head: Head = "softmax"
    knowledge: Outputs | None = None
    vectors: tuple[np.ndarray, np.ndarray] | None = None

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
    def run(
        state: TrainState, batches: Batches, shared: tuple[TokenData, Outputs | None, Any]
    ) -> tuple[TrainState, Sums]:
        return train_steps(tagger, settings, state, batches, *shared)

    return meshes.over_lanes(run, mesh, donate=True)


@lru_cache
def _labeller(tagger: Tagger, mesh: Any) -> Callable[..., Any]:
    def run(params: Any, _: tuple[()], shared: tuple[Batches, TokenData]) -> Any:
        return tag_steps(tagger, params, *shared)

    return meshes.over_lanes(run, mesh)


def token_data(job: Job) -> TokenData:
    """The host arrays that every lane of a job reads."""
    tokens = job.tokens
    ruled_out = penalties(tokens.labels, tokens.most_labels) if job.settings.model.constrained else None
    return TokenData(tokens.forms, tokens.label, tokens.labelled, tokens.valid, ruled_out)


def _train_words_now(job: Job, epoch: int) -> np.bool_ | None:
    """Whether word vectors are trained in an epoch, counted from 0; None where that is the same in all."""
    after = job.settings.model.words.train_after
    return np.bool_(epoch >= after) if after else None


def penalties(labels: Sequence[Sequence[str]], most: int) -> Transitions:
    """What rules out the transitions that IOB2 forbids.

    Args:
        labels: names of each task's labels.
        most: K, of the task that has most.

    Returns:
        0 where something is allowed and far below it where not, fields with a leading [B].
    """
    tasks = []
    for names in labels:
        own = constrain(Transitions.zeros(len(names)), names)
        tasks.append(Transitions(*(np.pad(np.asarray(x), [(0, most - len(names))] * np.ndim(x)) for x in own)))
    return stack_lanes(tasks)


def train(job: Job, start: tuple[Position, TrainState] | None = None) -> Iterator[Progress]:
    """Train every lane of a job, chunk by chunk.

    Args:
        job: what to train.
        start: from where to go on, with the lanes' states as `place` puts them; None for the beginning.

    Yields:
        After every chunk of steps what there is; the last has the trained lanes. Where the consumer stops, training
        stops.
    """
    mesh = meshes.lane_mesh(len(job.lanes))
    lanes = meshes.fill_up(job.lanes, mesh)
    own = len(job.lanes)
    run = _trainer(job.tagger, job.settings, mesh)
    shared = meshes.replicate((token_data(job), job.knowledge), mesh)
    position = Position(0, 0, np.zeros(own), np.zeros(own))
    if start is None:
        state = initial_states(job, lanes, mesh)
    else:
        position, state = start
    seeds = [lane.seed for lane in lanes]
    coming = input_pipeline(job.tokens, job.sentences, job.settings.train, seeds, job.epochs, position.epoch)
    for epoch, chunks in enumerate(coming, start=position.epoch):
        train_words_now = meshes.replicate(_train_words_now(job, epoch), mesh)
        for number in range(position.chunk, len(chunks)):
            began = time.monotonic()
            state, sums = run(state, meshes.shard(chunks[number], mesh), (*shared, train_words_now))
            loss = position.loss + np.asarray(sums.loss, np.float64)[:own]
            tokens = position.tokens + np.asarray(sums.tokens, np.float64)[:own]
            last = number + 1 == len(chunks)
            position = (
                Position(epoch + 1, 0, np.zeros(own), np.zeros(own))
                if last
                else Position(epoch, number + 1, loss, tokens)
            )
            yield Progress(
                epoch + 1,
                last,
                loss / np.maximum(tokens, 1),
                int((chunks[number].token[:own] != NO_TOKEN).sum()),
                time.monotonic() - began,
                position,
                state,
            )


def lowered(job: Job) -> Any:
    """The program that trains a job's first chunk, lowered and not compiled: what it would cost can be read off it."""
    mesh = meshes.lane_mesh(len(job.lanes))
    lanes = meshes.fill_up(job.lanes, mesh)
    chunk = next(input_pipeline(job.tokens, job.sentences, job.settings.train, [lane.seed for lane in lanes], 1))[0]
    shared = meshes.replicate((token_data(job), job.knowledge, _train_words_now(job, 0)), mesh)
    states = jax.eval_shape(lambda: initial_states(job, lanes, mesh))
    run: Any = _trainer(job.tagger, job.settings, mesh)
    return run.lower(states, meshes.shard(chunk, mesh), shared)


def place(job: Job, state: TrainState) -> TrainState:
    """Saved states of a job's lanes, [L, ...], onto the devices."""
    mesh = meshes.lane_mesh(len(job.lanes))
    lanes = meshes.fill_up([meshes.take_lane(state, i) for i in range(len(job.lanes))], mesh)
    return meshes.shard(stack_lanes(lanes), mesh)


@lru_cache
def _starter(tagger: Tagger, head: Head, tasks: int, word_rows: int, mesh: Any) -> Callable[..., TrainState]:
    def start(lane: tuple[Any, LossWeights], _: tuple[()], vectors: Any) -> TrainState:
        return init_state(tagger, head, *lane, tasks, word_rows, vectors)

    return meshes.over_lanes(start, mesh)


def initial_states(job: Job, lanes: Sequence[Lane], mesh: Any) -> TrainState:
    """States of lanes at their first step, [L, ...], on the mesh."""
    start = _starter(job.tagger, job.head, len(job.sentences), job.tokens.word_rows, mesh)
    seeds = meshes.lane_array([lane.seed for lane in lanes], np.int32)
    weights = LossWeights(*(meshes.lane_array(w) for w in zip(*(lane.weights for lane in lanes), strict=True)))
    return start(meshes.shard((seeds, weights), mesh), (), meshes.replicate(job.vectors, mesh))


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
    data = token_data(job)
    labels = np.zeros((len(job.lanes), len(job.tokens.label)), np.int32)
    for batches in reading_batches(job, task, sentences):
        found = np.asarray(run(params, (), meshes.replicate((batches, data), mesh)))[: len(job.lanes)]
        real = batches.token != NO_TOKEN
        labels[:, batches.token[real]] = found[:, real]
    return labels


def reading_batches(job: Job, task: int, sentences: np.ndarray) -> Iterator[Batches]:
    """Sentences as batches of few shapes, without shuffling, for reading."""
    sizes = ShapeCache()
    found = make_batches(job.tokens, sentences, task, job.settings.train, None)
    for group in by_shape(found).values():
        for part, shape in sizes.chunks([group]):
            yield stack(part[0], [0.0] * len(part[0]), shape, job.tokens.word_rows)


def divergences(state: TrainState, lanes: int) -> list[int | None]:
    """The step at which each lane stopped being finite, or None."""
    return [None if step == FINITE else int(step) for step in np.asarray(state.diverged_at)[:lanes]]
