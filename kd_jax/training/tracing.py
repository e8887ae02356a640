"""A job's programs traced, for devices that may be here or not: what they would cost can be read off them."""

from collections.abc import Sequence
from typing import Any

import jax

from kd_jax.training import mesh as meshes
from kd_jax.training.known import known_to
from kd_jax.training.loop import Job, Lane, batches_of, initial_states, reading_batches, token_data, train_words_now
from kd_jax.training.programs import labeller, trainer
from kd_jax.training.state import TrainState


def traced(job: Job, mesh: Any) -> Any:
    """The program that trains a job's first chunk, neither lowered nor compiled.

    Args:
        job: what it trains.
        mesh: of the devices that it is for.
    """
    lanes = meshes.fill_up(job.lanes, mesh)
    chunk = known_to(mesh, job.tokens, next(batches_of(job, lanes))[0])
    shared = meshes.shapes((token_data(job), job.knowledge, train_words_now(job, 0)), mesh, meshes.EVERYWHERE)
    run: Any = trainer(job.tagger_on(mesh), job.settings, mesh)
    return run.trace(state_shapes(job, lanes, mesh), meshes.shapes(chunk, mesh, meshes.LANE), shared)


def lowered(job: Job) -> Any:
    """`traced` for the devices that are here, lowered and not compiled."""
    return traced(job, meshes.lane_mesh(len(job.lanes))).lower()


def traced_tagging(job: Job, mesh: Any) -> Any:
    """The program that tags the first batches of a job's first task with every lane; as `traced`."""
    batches = known_to(mesh, job.tokens, next(reading_batches(job, 0, job.sentences[0])))
    params = state_shapes(job, meshes.fill_up(job.lanes, mesh), mesh).params
    run: Any = labeller(job.tagger_on(mesh), mesh)
    return run.trace(params, (), meshes.shapes((batches, token_data(job)), mesh, meshes.EVERYWHERE))


def state_shapes(job: Job, lanes: Sequence[Lane], mesh: Any) -> TrainState:
    """Shapes of lanes' states on a mesh, [L, ...], as its programs hold them; nothing is computed."""
    here = meshes.lane_mesh(1)
    found: TrainState = jax.eval_shape(lambda: initial_states(job, lanes, here, job.tagger_on(mesh)))
    return meshes.shapes(found, mesh, meshes.LANE)
