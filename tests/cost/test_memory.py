"""Memory predicted by shapes beside what XLA's compiled program says it takes."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.cost.memory import parameters
from kd_jax.cost.timing import compiled_bytes, extent, predicted_bytes, timing_job
from kd_jax.models.execution import Execution
from kd_jax.settings import override
from kd_jax.structs import Outputs
from kd_jax.training import loop, tracing
from kd_jax.training.loop import initial_states
from kd_jax.training.mesh import lane_mesh
from kd_jax.training.objective import Knowledge

MEDIUM = [
    "words.dim=64",
    "chars.units=32",
    "chars.dim=16",
    "chars.longest=16",
    "shared_units=64",
    "task_units=48",
    "hidden_units=64",
    "rows=6",
    "row_length=48",
]


def job_of(changes, lanes, head="softmax", known=False, corpora=1):
    settings = override(tiny_settings(), changes)
    own = [tiny_corpus(f"Tiny{i}", sizes=(400, 8, 8)) for i in range(corpora)]
    job = timing_job(own, settings, lanes, 20, head)
    if not known:
        return job
    model, n = settings.model, len(job.tokens.label)
    widths = (job.tokens.most_labels, 2 * model.task_units, 2 * model.shared_units)
    outputs = Outputs(*(np.zeros((n, width), np.float32) for width in widths))
    return replace(job, knowledge=Knowledge(outputs, Outputs(1.0, 1.0, 1.0)))


def measured(job):
    """Of the compiled program, whose buffers do not depend on how hard LLVM tries."""
    compiled = tracing.lowered(job).compile({"xla_backend_optimization_level": 0})
    return compiled_bytes(compiled) * min(len(job.lanes), jax.local_device_count())


@pytest.mark.parametrize(
    ("changes", "lanes", "head", "known"),
    [
        ([], 1, "softmax", False),
        ([], 2, "crf", True),
        (MEDIUM, 5, "softmax", True),
        (MEDIUM, 1, "crf", False),
        ([*MEDIUM, "compute=bfloat16"], 1, "softmax", False),
    ],
)
def test_predicted_memory_is_the_compiled_programs(changes, lanes, head, known):
    job = job_of(changes, lanes, head, known)
    assert predicted_bytes(job) == pytest.approx(measured(job), rel=0.2)


def test_several_branches():
    job = job_of(MEDIUM, 1, corpora=3)
    assert predicted_bytes(job) == pytest.approx(measured(job), rel=0.2)


@pytest.mark.parametrize("head", ["softmax", "crf"])
@pytest.mark.parametrize("changes", [[], MEDIUM, ["chars.encoder=bilstm"]])
def test_parameters_are_counted_exactly(changes, head):
    job = job_of(changes, 1, head, corpora=2)
    states = jax.eval_shape(lambda: initial_states(job, job.lanes, lane_mesh(1)))
    assert sum(parameters(job.settings, extent(job), head)) == sum(x.size for x in jax.tree.leaves(states.params))


@pytest.mark.parametrize("changes", [[], MEDIUM])
def test_so_are_those_that_fill_tiles(changes):
    job = job_of(changes, 1, corpora=2)
    tagger = job.tagger.clone(how=Execution("tpu", "fused"))
    states = jax.eval_shape(lambda: initial_states(job, job.lanes, lane_mesh(1), tagger))
    counted = parameters(job.settings, extent(job), "softmax", tiles=True)
    assert sum(counted) == sum(x.size for x in jax.tree.leaves(states.params))


def test_lanes_at_the_same_time_have_activations_of_their_own(monkeypatch):
    """As on an accelerator: the vmapped program, compiled here."""

    def at_once(function, mesh, donate=False):
        def run(states, lanes, shared):
            return jax.vmap(lambda state, lane: function(state, lane, shared))(states, lanes)

        return jax.jit(run, donate_argnums=(0,) if donate else ())

    loop.trainer.cache_clear()
    monkeypatch.setattr(loop.meshes, "over_lanes", at_once)
    monkeypatch.setattr(loop.meshes, "lane_mesh", lambda _: lane_mesh(1))
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    job = job_of(MEDIUM, 4)
    found, predicted = measured(job), predicted_bytes(job)
    loop.trainer.cache_clear()
    assert predicted == pytest.approx(found, rel=0.2)
