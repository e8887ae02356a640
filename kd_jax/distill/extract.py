"""A teacher's outputs for sentences, computed once, with dropout off."""

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from kd_jax.data.dataset import Sentences
from kd_jax.data.packing import NO_TOKEN, Batches
from kd_jax.models.tagger import Tagger
from kd_jax.structs import Outputs
from kd_jax.training import mesh as meshes
from kd_jax.training.held import held
from kd_jax.training.known import known_to
from kd_jax.training.loop import Job, reading_batches, token_data
from kd_jax.training.step import TokenData, read_steps
from kd_jax.training.tracing import state_shapes


# Cached, so that splits of one model share one compiled program.
@lru_cache
def _reader(tagger: Tagger) -> Callable[[Any, Batches, TokenData], Outputs]:
    return jax.jit(partial(read_steps, tagger))


def extract(job: Job, params: Any, task: int, sentences: Sentences) -> Iterator[tuple[Int[np.ndarray, "n"], Outputs]]:
    """Outputs of every token of some sentences.

    Args:
        job: whose tokens and sizes these are.
        params: of one lane.
        task: task head to use; the sentences may be of any corpus.
        sentences: indices, rising.

    Yields:
        Rows, counting the sentences' tokens in order, [n], and host arrays [n, width]; logits only of the labels that
        the task has. Every token comes once.
    """
    positions = job.tokens.positions(sentences)
    labels = len(job.tokens.labels[task])
    mesh = meshes.lane_mesh(1)
    tagger = job.tagger_on(mesh)
    data, read, params = token_data(job), _reader(tagger), held(tagger, params)
    for batches in reading_batches(job, task, sentences):
        outputs = read(params, known_to(mesh, job.tokens, batches), data)
        real = batches.token != NO_TOKEN
        flat = Outputs(*(np.asarray(x)[real] for x in outputs))
        yield np.searchsorted(positions, batches.token[real]), flat._replace(logits=flat.logits[:, :labels])


def traced_reading(job: Job, mesh: Any) -> Any:
    """The program that reads the outputs of a job's first lane, on one device of a mesh; as `traced` of training."""
    one = jax.sharding.Mesh(mesh.devices[:1], mesh.axis_names)
    states = state_shapes(job, job.lanes[:1], one).params
    params = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), states)
    batches = known_to(one, job.tokens, next(reading_batches(job, 0, job.sentences[0])))
    read: Any = _reader(job.tagger_on(one))
    return read.trace(*meshes.shapes((params, batches, token_data(job)), one, meshes.EVERYWHERE))


def widths(job: Job, task: int) -> Outputs:
    """Width of each field of a task's outputs."""
    model = job.settings.model
    return Outputs(len(job.tokens.labels[task]), 2 * model.task_units, 2 * model.shared_units)
