"""Real tokens a second: some steps of a real training, timed again and again, padding not counted."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from kd_jax.cost import flops as floor
from kd_jax.cost.memory import ProblemSize, program_bytes
from kd_jax.data.dataset import make_batches, read_tokens, real_share
from kd_jax.data.packing import NO_TOKEN, HostBatch
from kd_jax.data.pipeline import Length, chunk_steps, room
from kd_jax.data.vocab import build_vocabulary
from kd_jax.settings import Head, Settings
from kd_jax.structs import GOLD_ONLY, Corpus
from kd_jax.training.execution import choose
from kd_jax.training.loop import Job, Lane, label_tokens, train
from kd_jax.training.mesh import lane_mesh
from kd_jax.training.tracing import lowered

FOREVER = 1_000_000  # epochs: a timing stops when it has seen enough
FILLED = 0.95  # share of real tokens in a timed epoch: more, and it would spill into one more, nearly empty batch


def timing_job(corpora: Sequence[Corpus], settings: Settings, lanes: int, steps: int, head: Head = "softmax") -> Job:
    """A training whose epoch has about so many steps, with the vocabulary and the Adam rows of whole corpora.

    Args:
        corpora: trained on together, each a task.
        settings: sizes.
        lanes: trained at the same time, with different seeds.
        steps: of an epoch; fewer where the corpora have no more sentences.
        head: output layer.
    """
    vocabulary = build_vocabulary([s for c in corpora for s in c.splits["train"]], settings.model.words)
    training = [replace(corpus, splits={"train": corpus.splits["train"]}) for corpus in corpora]
    tokens = read_tokens(training, vocabulary, settings)
    whole = Job(
        settings=settings,
        tokens=tokens,
        sentences=tuple(tokens.sentences(corpus.name, ("train",)) for corpus in corpora),
        lanes=tuple(Lane(seed, GOLD_ONLY) for seed in range(lanes)),
        length=Length(FOREVER),
        alphabet=vocabulary.alphabet,
        head=head,
    )
    return shortened(whole, steps)


def shortened(job: Job, steps: int) -> Job:
    """The job with as many of its sentences, drawn at random and none longer than a row, as make so many steps."""
    lengths = np.diff(job.tokens.offsets)
    batch = job.settings.train.rows * job.settings.train.row_length
    total = sum(job.tokens.count(sentences) for sentences in job.sentences)
    share = min(1.0, FILLED * steps * batch / total)
    rng = np.random.default_rng(0)
    kept = []
    for sentences in job.sentences:
        # A longer sentence is in a row of its own shape, whose program would be compiled and timed too.
        fits = sentences[lengths[sentences] <= job.settings.train.row_length]
        order = rng.permutation(fits if len(fits) else sentences[[np.argmin(lengths[sentences])]])
        upto = np.cumsum(lengths[order]) <= share * job.tokens.count(sentences)
        kept.append(order[: max(1, int(upto.sum()))])
    return replace(job, sentences=tuple(kept), length=Length(FOREVER))


def in_form_of_device(job: Job) -> Job:
    """The job with the recurrence that a run would choose here, where none was chosen: else it is timed as the scan."""
    if job.recurrence is not None:
        return job
    lanes = len(job.lanes)
    return replace(job, recurrence=choose(job.settings, lanes, lane_mesh(lanes)).recurrence)


class StepTimer:
    """A training that goes on for an epoch whenever it is asked to.

    Attributes:
        job: what is trained.
        loss: of the latest epoch, mean over tokens, [L].
    """

    def __init__(self, job: Job) -> None:
        self.job = job = in_form_of_device(job)
        self._progress: Any = train(job)
        self._latest: Any = None
        self.loss = np.full(len(job.lanes), np.nan)

    def epoch(self) -> float:
        """Lane-tokens a second of one more epoch: real tokens of all lanes by the clock."""
        began, lane_tokens = time.perf_counter(), 0
        for progress in self._progress:
            self._latest, self.loss = progress, progress.loss
            lane_tokens += progress.lane_tokens
            if progress.ends_epoch:
                break
        return lane_tokens / (time.perf_counter() - began)

    def tagging(self) -> float:
        """Lane-tokens a second of tagging the epoch's sentences with every lane; an epoch must be behind."""
        began, lane_tokens = time.perf_counter(), 0
        for task, sentences in enumerate(self.job.sentences):
            label_tokens(self.job, self._latest.held.params, task, sentences)
            lane_tokens += len(self.job.lanes) * self.job.tokens.count(sentences)
        return lane_tokens / (time.perf_counter() - began)

    def close(self) -> None:
        """Let go of the lanes."""
        self._progress.close()
        self._latest = None


class Cost(NamedTuple):
    """What compiling a program took and what its arrays take.

    Attributes:
        seconds: of tracing, lowering and compiling.
        bytes: of its arguments, results and temporary arrays, on all devices.
    """

    seconds: float
    bytes: int


def compile_cost(job: Job) -> Cost:
    """Compile a job's train program and ask it what it takes."""
    began = time.perf_counter()
    compiled = lowered(job).compile()
    seconds = time.perf_counter() - began
    # The program is one device's; each device that has a lane runs it.
    return Cost(seconds, compiled_bytes(compiled) * min(len(job.lanes), jax.local_device_count()))


def compiled_bytes(compiled: Any) -> int:
    """Bytes of a compiled program on one device: arguments, results and temporary arrays, donated ones counted once."""
    has = compiled.memory_analysis()
    total = has.argument_size_in_bytes + has.output_size_in_bytes - has.alias_size_in_bytes + has.temp_size_in_bytes
    return int(total)


class Batch(NamedTuple):
    """What a usual batch holds.

    Attributes:
        real: its real tokens.
        share: of real tokens among all places of an epoch, sentences longer than a row included.
        places: what its layers work on.
    """

    real: float
    share: float
    places: floor.BatchSize


def usual_batch(job: Job) -> Batch:
    """The mean batch of the usual shape in an epoch of all training sentences, shuffled as in training."""
    rng = np.random.default_rng(0)
    train_settings = job.settings.train
    batches: list[HostBatch] = []
    for task, name in enumerate(job.tokens.names):
        batches += make_batches(job.tokens, job.tokens.sentences(name, ("train",)), task, train_settings, rng)
    # Sentences longer than a row have batches of other shapes; where all are, there is no usual one.
    usual = [p for p in batches if p.token.shape == (train_settings.rows, train_settings.row_length)] or batches
    real = float(np.mean([(host_batch.token != NO_TOKEN).sum() for host_batch in usual]))
    places = floor.BatchSize(
        tokens=round(real),
        steps=train_settings.row_length,
        forms=round(float(np.mean([len(host_batch.form) for host_batch in usual]))),
        words=round(float(np.mean([len(host_batch.word) for host_batch in usual]))),
        labels=job.tokens.most_labels,
    )
    return Batch(real, real_share(batches), places)


def predicted_bytes(job: Job) -> int:
    """Bytes of a job's arrays on all local devices, by their shapes."""
    return taken(job.settings, extent(job), job.head, len(job.lanes))


def taken(settings: Settings, size: ProblemSize, head: Head, lanes: int) -> int:
    """Bytes of the arrays of some lanes on all local devices, by their shapes."""
    devices = min(lanes, jax.local_device_count())
    backend = jax.default_backend()
    own = -(-lanes // devices)
    return devices * program_bytes(settings, size, head, own, backend == "cpu", tpu=backend == "tpu")


def extent(job: Job) -> ProblemSize:
    """How large the things are that a job's program works on."""
    tokens, rng = job.tokens, np.random.default_rng(0)
    batches = [
        p
        for task, sentences in enumerate(job.sentences)
        for p in make_batches(tokens, sentences, task, job.settings.train, rng)
    ]
    return ProblemSize(
        tokens=len(tokens.label),
        forms=len(tokens.forms.word),
        word_rows=tokens.word_rows,
        alphabet=job.alphabet,
        labels=tokens.most_labels,
        tasks=len(job.sentences),
        batch_forms=room(max(len(host_batch.form) for host_batch in batches)),
        batch_words=room(max(len(host_batch.word) for host_batch in batches)),
        steps=chunk_steps(len(batches)),
        known=0 if job.knowledge is None else sum(x.nbytes for x in job.knowledge.outputs if x is not None),
    )


def operations_a_token(job: Job, batch: Batch) -> float:
    """Floating-point operations of the matmuls of a train step, for each real token."""
    return floor.operations(job.settings.model, job.alphabet, batch.places) / batch.places.tokens
