"""Hidden states in a wider teacher's width: a linear map that is trained along, and shipped with nobody."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.lanes import HALF, last, make_job

from kd_jax.distill.scale import moments_of, scales
from kd_jax.structs import Outputs
from kd_jax.training.loop import Lane, initial_states, place, train
from kd_jax.training.mesh import lane_mesh
from kd_jax.training.objective import Knowledge
from kd_jax.training.projection import init_projections, project


def test_only_what_is_matched_and_of_another_width_is_projected():
    key = jax.random.key(0)
    assert init_projections(key, Outputs(5, 8, 8), Outputs(5, 8, 8)) == {}
    assert init_projections(key, Outputs(5, 8, 8), Outputs(5, None, None)) == {}
    both = init_projections(key, Outputs(5, 8, 6), Outputs(5, 12, 10))
    assert jax.tree.map(jnp.shape, both) == {
        "task_hidden": {"kernel": (8, 12), "bias": (12,)},
        "shared_hidden": {"kernel": (6, 10), "bias": (10,)},
    }
    one = init_projections(key, Outputs(5, 8, 6), Outputs(5, None, 10))
    np.testing.assert_array_equal(one["shared_hidden"]["kernel"], both["shared_hidden"]["kernel"])


def test_a_linear_map_of_hidden_states_and_of_nothing_else():
    student = Outputs(jnp.ones((2, 3, 5)), jnp.arange(12.0).reshape(2, 3, 2), jnp.ones((2, 3, 4)))
    projections = {"task_hidden": {"kernel": jnp.array([[1.0, 0, 2], [0, 1, -1]]), "bias": jnp.array([0.0, 0, 10])}}
    found = project(projections, student)
    assert found.logits is student.logits
    assert found.shared_hidden is student.shared_hidden
    np.testing.assert_array_equal(found.task_hidden[0, 1], [2.0, 3.0, 11.0])
    np.testing.assert_array_equal(found.task_hidden[1, 2], [10.0, 11.0, 19.0])


def test_it_starts_with_the_variance_of_what_it_projects_and_learns_a_linear_teacher():
    keys = jax.random.split(jax.random.key(1), 3)
    hidden = jax.random.normal(keys[0], (400, 6))
    teacher = hidden @ jax.random.normal(keys[1], (6, 9)) + 3.0
    projections = init_projections(keys[2], Outputs(0, 6, 0), Outputs(0, 9, None))
    student = Outputs(None, hidden, None)
    wide = init_projections(keys[2], Outputs(0, 400, 0), Outputs(0, 600, None))
    spread = project(wide, Outputs(None, jax.random.normal(keys[0], (50, 400)), None)).task_hidden.var()
    assert 0.8 < spread < 1.2

    def error(projections):
        return jnp.square(project(projections, student).task_hidden - teacher).mean()

    for _ in range(300):
        projections = jax.tree.map(lambda p, g: p - 0.5 * g, projections, jax.jit(jax.grad(error))(projections))
    assert error(projections) < 1e-3


def test_lanes():
    keys = jax.random.split(jax.random.key(2), 3)
    lanes = jax.vmap(lambda key: init_projections(key, Outputs(5, 8, 8), Outputs(5, 12, None)))(keys)
    hidden = jax.random.normal(keys[0], (3, 7, 8))
    together = jax.vmap(project)(lanes, Outputs(hidden, hidden, hidden)).task_hidden
    for n in range(3):
        alone = project(jax.tree.map(lambda x, n=n: x[n], lanes), Outputs(None, hidden[n], None)).task_hidden
        np.testing.assert_allclose(together[n], alone, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def narrow():
    """Lanes whose teacher is wider than they are, and a job without anything to match in its states."""
    job = make_job([Lane(1, HALF), Lane(2, HALF)], knowledge=True, epochs=2)
    hidden = (
        np.float32(np.random.default_rng(n).normal(size=(len(job.tokens.label), w))) for n, w in ((1, 14), (2, 18))
    )
    outputs = Outputs(job.knowledge.outputs.logits, *hidden)
    logits_only = Knowledge(Outputs(outputs.logits, None, None), job.knowledge.scale)
    return replace(job, knowledge=Knowledge(outputs, scales(moments_of(outputs)))), replace(job, knowledge=logits_only)


def test_a_tagger_starts_the_same_with_a_projection_and_without(narrow):
    wide, plain = (initial_states(job, job.lanes, lane_mesh(1)).params for job in narrow)
    assert jax.tree.map(jnp.shape, wide.pop("projection")) == {
        "task_hidden": {"kernel": (2, 8, 14), "bias": (2, 14)},
        "shared_hidden": {"kernel": (2, 10, 18), "bias": (2, 18)},
    }
    jax.tree.map(np.testing.assert_array_equal, wide, plain)


def test_it_is_trained_with_the_tagger_and_goes_on_where_it_was(narrow):
    job, _ = narrow
    steps = list(train(job))
    before, end = initial_states(job, job.lanes, lane_mesh(1)).params, steps[-1].held.params
    before, end = (jax.tree.map(np.asarray, params) for params in (before, end))
    moved = jax.tree.map(lambda x, y: float(np.abs(x - y).max()), before["projection"], end["projection"])
    assert min(jax.tree.leaves(moved)) > 0
    first = next(iter(train(job)))
    kept = first.position, place(job, jax.tree.map(np.asarray, first.held))
    resumed = last(train(job, kept)).held.params
    jax.tree.map(np.testing.assert_array_equal, resumed, end)
