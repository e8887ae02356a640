"""Training of many lanes: epochs, chunks of steps, and what is read off between them."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int32

from kd_jax.data.dataset import Tokens, epochs_of_batches, labelled_rows, make_batches
from kd_jax.data.packing import NO_TOKEN, Batches, stack
from kd_jax.data.pipeline import Length, ShapeCache, by_shape, input_pipeline, stack_lanes
from kd_jax.models.constraint import penalties
from kd_jax.models.execution import Recurrence
from kd_jax.models.tagger import Tagger
from kd_jax.settings import Head, Settings
from kd_jax.structs import LossWeights
from kd_jax.training import mesh as meshes
from kd_jax.training.execution import execution
from kd_jax.training.held import held_state, saved_state, settled
from kd_jax.training.initial import log_frequencies, mean_logits
from kd_jax.training.known import known_to
from kd_jax.training.objective import Knowledge, hidden_widths
from kd_jax.training.programs import labeller, starter, trainer
from kd_jax.training.state import FINITE, Start, TrainState
from kd_jax.training.step import TokenData


class Lane(NamedTuple):
    """What differs between the runs of one program.

    Attributes:
        seed: of initial values, order of the data, dropout.
        weights: of the loss terms.
        learning_rate: where the schedule is highest; None for the run's.
    """

    seed: int
    weights: LossWeights
    learning_rate: float | None = None


class Position(NamedTuple):
    """Where in its data a training is.

    Attributes:
        epoch: epochs that are finished.
        chunk: chunks of the next epoch that are finished.
        loss: sum over tokens since the epoch began, of each lane, [L].
        tokens: since the epoch began, of each lane, [L].
        trained: tokens since the run began, of each lane, [L].
    """

    epoch: int
    chunk: int
    loss: Float[np.ndarray, "L"]
    tokens: Float[np.ndarray, "L"]
    trained: Float[np.ndarray, "L"]

    @classmethod
    def first(cls, lanes: int) -> "Position":
        """That of a run that begins."""
        return cls(0, 0, np.zeros(lanes), np.zeros(lanes), np.zeros(lanes))


class Progress(NamedTuple):
    """What there is after a chunk of steps.

    Attributes:
        epoch: the chunk's, from 1.
        ends_epoch: whether it was the epoch's last.
        loss: mean over tokens since the epoch began, of each lane, [L].
        lane_tokens: real tokens of all lanes in the chunk.
        seconds: the chunk took.
        position: from which the training would go on.
        held: the lanes on the device as programs hold them, [L, ...], perhaps with more lanes at the end that only fill
            up the devices; its memory is reused by the next chunk.
        tagger: whose programs these are.
    """

    epoch: int
    ends_epoch: bool
    loss: Float[np.ndarray, "L"]
    lane_tokens: int
    seconds: float
    position: Position
    held: TrainState
    tagger: Tagger

    @property
    def params(self) -> Any:
        """The lanes' parameters, [L, ...], as everything but programs has them; on a TPU copied to the host."""
        return settled(self.tagger, self.held.params)

    def saved(self, lanes: int) -> TrainState:
        """The first lanes on the host, [lanes, ...], as `place` takes them."""
        return saved_state(self.tagger, self.held, lanes)


@dataclass(frozen=True)
class Job:
    """Lanes that share corpora, sizes and knowledge: one program.

    Attributes:
        settings: of the run.
        tokens: the corpora.
        sentences: training sentences of each task.
        lanes: seeds and loss weights.
        length: epochs, or updates of each lane.
        alphabet: distinct characters of the vocabulary, padding and unknown included.
        head: output layer of every lane.
        knowledge: of a teacher, outputs of all training tokens, fields [N, ...] or None.
        vectors: pretrained rows of the word table, [W, D], and which exist, [W]; None where all are random.
        unlabelled: sentences of task 0 that only the teacher labels; None for none.
        parameters: an encoder and a branch to start from; None for random ones.
        stream: of random numbers: a teacher and a student of one seed have nothing in common.
        recurrence: its form; None for what the settings say.
    """

    settings: Settings
    tokens: Tokens
    sentences: tuple[Int[np.ndarray, "_"], ...]
    lanes: tuple[Lane, ...]
    length: Length
    alphabet: int
    head: Head = "softmax"
    knowledge: Knowledge | None = None
    vectors: tuple[Float[np.ndarray, "W D"], Bool[np.ndarray, "W"]] | None = None
    unlabelled: Int[np.ndarray, "_"] | None = None
    parameters: Any = None
    stream: int = 0
    recurrence: Recurrence | None = None

    @cached_property
    def start(self) -> Start:
        """What the lanes start from: output biases from labels and from the teacher, word vectors, transitions."""
        tokens, teacher = self.tokens, self.knowledge
        logits, known = (None, None) if teacher is None else (teacher.outputs.logits, teacher.known)
        return Start(
            label_bias=np.stack(
                [log_frequencies(tokens, of_task, task) for task, of_task in enumerate(self.sentences)]
            ),
            teacher_bias=None if logits is None else mean_logits(logits, tokens, self.sentences[0], known),
            transitions=None if teacher is None or self.head == "softmax" else teacher.transitions,
            vectors=self.vectors,
            parameters=self.parameters,
            stream=np.int32(self.stream),
        )

    @property
    def tagger(self) -> Tagger:
        """The module of every lane."""
        return Tagger(self.settings.model, self.alphabet, self.tokens.most_labels)

    def tagger_on(self, mesh: Any) -> Tagger:
        """The module as a mesh's devices compute it: the same parameters and, to rounding, the same results."""
        how = execution(meshes.platform_of(mesh), self.settings, self.recurrence)
        return self.tagger.clone(how=how) if how != self.tagger.how else self.tagger

    @property
    def lane_tokens(self) -> int:
        """Real tokens of the whole run, all lanes together; of a budget of updates about so many."""
        return round(self.epochs * len(self.lanes) * self.epoch_tokens)

    @cached_property
    def epochs(self) -> float:
        """Passes over the labelled training sentences; of a budget of updates about so many."""
        return self.length.updates / self._epoch_updates if self.length.updates else self.length.epochs

    @cached_property
    def epoch_tokens(self) -> float:
        """Real tokens of one lane's epoch, the unlabelled ones that stand beside the labelled ones included."""
        labelled = sum(self.tokens.count(s) for s in self.sentences)
        if self.unlabelled is None:
            return labelled
        return labelled * self.settings.train.rows / labelled_rows(self.settings.train)

    @cached_property
    def _epoch_updates(self) -> int:
        train, unlabelled = self.settings.train, self.unlabelled
        return len(next(epochs_of_batches(self.tokens, self.sentences, train, [0], unlabelled)))


def token_data(job: Job) -> TokenData:
    """The host arrays that every lane of a job reads."""
    tokens = job.tokens
    ruled_out = penalties(tokens.labels, tokens.most_labels) if job.settings.model.constrained else None
    return TokenData(tokens.forms, tokens.label, tokens.labelled, tokens.valid, ruled_out)


def train_words_now(job: Job, epoch: int) -> np.bool_ | None:
    """Whether word vectors are trained in an epoch, counted from 0; None where that is the same in all."""
    after = job.settings.model.words.train_after
    return np.bool_(epoch >= after) if after else None


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
    wanted = len(job.lanes)  # the others only fill up the devices
    tagger = job.tagger_on(mesh)
    run = trainer(tagger, job.settings, mesh)
    shared = meshes.replicate((token_data(job), job.knowledge), mesh)
    position = Position.first(wanted)
    if start is None:
        state = initial_states(job, lanes, mesh)
    else:
        position, state = start
    epochs = batches_of(job, lanes, position.epoch)
    for epoch, chunks in enumerate(epochs, start=position.epoch):
        words_now = meshes.replicate(train_words_now(job, epoch), mesh)
        for number in range(position.chunk, len(chunks)):
            began = time.monotonic()
            chunk = known_to(mesh, job.tokens, chunks[number])
            state, sums = run(state, meshes.shard(chunk, mesh), (*shared, words_now))
            # Reading the sums waits for the device, so that the time below is the chunk's. Summed over an epoch in
            # float64: float32 counts tokens exactly only to 2^24.
            loss = position.loss + np.asarray(sums.loss, np.float64)[:wanted]
            tokens = position.tokens + np.asarray(sums.tokens, np.float64)[:wanted]
            last = number + 1 == len(chunks)
            trained = position.trained + np.asarray(sums.tokens, np.float64)[:wanted]
            position = (
                Position.first(wanted)._replace(epoch=epoch + 1, trained=trained)
                if last
                else Position(epoch, number + 1, loss, tokens, trained)
            )
            yield Progress(
                epoch + 1,
                last,
                loss / np.maximum(tokens, 1),
                int((chunks[number].token[:wanted] != NO_TOKEN).sum()),
                time.monotonic() - began,
                position,
                state,
                tagger,
            )


def batches_of(job: Job, lanes: Sequence[Lane], first: int = 0) -> Iterator[list[Batches]]:
    """Epochs of batches as `kd_jax.data.pipeline.input_pipeline` gives them to a job's lanes."""
    return input_pipeline(
        job.tokens, job.sentences, job.settings.train, [lane.seed for lane in lanes], job.length, first,
        unlabelled=job.unlabelled, stream=job.stream, highest=[lane.learning_rate for lane in lanes],
    )  # fmt: skip


def effective_weights(job: Job) -> list[LossWeights]:
    """The weights that a lane's terms really have, means over the updates of its first epoch.

    A term is a mean over its own tokens, so its weight is what was asked for wherever a batch has such tokens at all: a
    batch without labelled ones hears only the teacher.

    Args:
        job: whose lanes are asked about.

    Returns:
        Of every lane.
    """
    labelled = job.tokens.labelled
    gold: dict[int, float] = {}
    for lane in job.lanes:
        if lane.seed not in gold:
            seed = [lane.seed, job.stream] if job.stream else [lane.seed]
            epoch = next(epochs_of_batches(job.tokens, job.sentences, job.settings.train, seed, job.unlabelled))
            gold[lane.seed] = float(np.mean([labelled[batch.token[batch.token != NO_TOKEN]].any() for batch in epoch]))
    return [lane.weights._replace(alpha=lane.weights.alpha * gold[lane.seed]) for lane in job.lanes]


def place(job: Job, state: TrainState) -> TrainState:
    """Saved states of a job's lanes, [L, ...], onto the devices, as its programs hold them."""
    mesh = meshes.lane_mesh(len(job.lanes))
    # Lanes that fill up the devices are not saved; they are copies of the last, then as now.
    lanes = meshes.fill_up([meshes.take_lane(state, i) for i in range(len(job.lanes))], mesh)
    return held_state(job.tagger_on(mesh), stack_lanes(lanes), mesh)


def initial_states(job: Job, lanes: Sequence[Lane], mesh: Any, tagger: Tagger | None = None) -> TrainState:
    """States of lanes at their first step, [L, ...], on the mesh, as its programs hold them, or those of a tagger."""
    start = starter(
        tagger or job.tagger_on(mesh), job.settings, job.head, job.tokens.word_rows, hidden_widths(job.knowledge), mesh
    )
    seeds = meshes.lane_array([lane.seed for lane in lanes], np.int32)
    weights = LossWeights(*(meshes.lane_array(w) for w in zip(*(lane.weights for lane in lanes), strict=True)))
    return start(meshes.shard((seeds, weights), mesh), (), meshes.replicate(job.start, mesh))


def label_tokens(job: Job, params: Any, task: int, sentences: Int[np.ndarray, "_"]) -> Int32[np.ndarray, "L N"]:
    """The likeliest label of every token of some sentences, for every lane.

    Args:
        job: whose lanes they are.
        params: the lanes' parameters on the device, [L, ...], as its programs hold them.
        task: the sentences' corpus.
        sentences: indices.

    Returns:
        Labels over all N token positions, 0 outside of these sentences, [L, N].
    """
    mesh = meshes.lane_mesh(len(job.lanes))
    run, data = labeller(job.tagger_on(mesh), mesh), token_data(job)
    labels = np.zeros((len(job.lanes), len(job.tokens.label)), np.int32)
    for batches in reading_batches(job, task, sentences):
        given = meshes.replicate((known_to(mesh, job.tokens, batches), data), mesh)
        of_batches = np.asarray(run(params, (), given))[: len(job.lanes)]
        real = batches.token != NO_TOKEN
        labels[:, batches.token[real]] = of_batches[:, real]
    return labels


def reading_batches(job: Job, task: int, sentences: Int[np.ndarray, "_"]) -> Iterator[Batches]:
    """Sentences as batches of few shapes, without shuffling, for reading."""
    sizes = ShapeCache()
    host_batches = make_batches(job.tokens, sentences, task, job.settings.train, None)
    for group in by_shape(host_batches).values():
        for part, shape in sizes.chunks([group]):
            yield stack(part[0], [0.0] * len(part[0]), shape, job.tokens.word_rows)


def divergences(state: TrainState, lanes: int) -> list[int | None]:
    """The step at which each lane stopped being finite, or None."""
    return [None if step == FINITE else int(step) for step in np.asarray(state.diverged_at)[:lanes]]
