"""The programs that training, teaching and tagging run, traced for a device that need not be here."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from kd_jax.bench.measure import BenchRequest, read_corpora, settings_for
from kd_jax.bench.synthetic import synthetic_corpus
from kd_jax.cost.ahead import CompileRequest
from kd_jax.cost.compiled import Traced
from kd_jax.cost.memory import program_bytes
from kd_jax.cost.targets import Target, devices, target_named
from kd_jax.cost.timing import extent, timing_job
from kd_jax.distill.extract import traced_reading
from kd_jax.settings import Settings, from_dict
from kd_jax.training.loop import Job, batches_of, reading_batches
from kd_jax.training.tracing import traced, traced_tagging

TASKS = 14  # corpora of the teacher where no folder of them is named
STEPS = 20


def programs(request: CompileRequest) -> Iterator[Traced]:
    """The train step, the teacher's, tagging and the pass that reads a teacher's outputs, with each number of lanes.

    Args:
        request: what for.

    Raises:
        InputError: for whatever is wrong with the settings or the corpora.
    """
    target = target_named(request.device)
    mesh = Mesh(np.array(devices(target)), ("lane",))
    folder = Path(request.data_dir) if request.data_dir else None
    asked = BenchRequest(folder, request.datasets, request.scheme or None, assignments=request.assignments)
    settings, corpora = settings_for(asked, request.dtype), read_corpora(asked)
    if request.settings is not None:
        settings = from_dict(Settings, request.settings)
    of_teacher = corpora
    if folder is None:
        of_teacher = [replace(synthetic_corpus(seed=seed), name=f"synthetic {seed}") for seed in range(TASKS)]
    time = settings.train.row_length
    for lanes in request.lanes:
        job = timing_job(corpora[:1], settings, lanes, STEPS, request.head)
        teacher = timing_job(of_teacher, settings, lanes, STEPS, request.head)
        if settings.runtime.recurrence == "auto" and target.kernels:  # what a run finds, unless something is wrong
            job, teacher = (replace(x, recurrence="fused") for x in (job, teacher))
        predicted = [_predicted(x, target) for x in (job, teacher)]
        yield Traced("train", lanes, _steps(job), predicted[0], partial(traced, job, mesh), time)
        yield Traced("teacher", lanes, _steps(teacher), predicted[1], partial(traced, teacher, mesh), time)
        yield Traced("tag", lanes, _reading_steps(job), None, partial(traced_tagging, job, mesh), time)
        yield Traced("knowledge", 1, _reading_steps(teacher), None, partial(traced_reading, teacher, mesh), time)


def _predicted(job: Job, target: Target) -> int:
    """Bytes on one device that training a job is predicted to take."""
    own = -(-len(job.lanes) // target.chips)
    return program_bytes(job.settings, extent(job), job.head, own, in_turn=False, tpu=target.platform == "tpu")


def _steps(job: Job) -> int:
    """Batches of a job's first chunk."""
    return int(next(batches_of(job, job.lanes))[0].task.shape[1])


def _reading_steps(job: Any) -> int:
    """Batches of the first chunk that reads a job's first task."""
    return len(next(reading_batches(job, 0, job.sentences[0])).task)
