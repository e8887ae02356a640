"""Tokens of which a teacher says nothing teach nothing, and where there are none nothing changes."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.lanes import HALF, last, make_job

from kd_jax.structs import Outputs
from kd_jax.training.loop import Lane, train

LANES = [Lane(1, HALF), Lane(1, HALF._replace(alpha=0.0))]


def trained(job, known, change=lambda x: x):
    outputs = Outputs(*map(change, job.knowledge.outputs))
    return last(train(replace(job, knowledge=job.knowledge._replace(outputs=outputs, known=known)))).held.params


@pytest.fixture(scope="module")
def job():
    return make_job(LANES, knowledge=True, epochs=1)


def test_what_stands_in_their_place_is_not_heard(job):
    known = np.random.default_rng(0).random(len(job.tokens.label)) < 0.7
    without = trained(job, known)
    garbage = trained(job, known, lambda x: np.where(known[:, None], x, np.float32(50.0)))
    jax.tree.map(np.testing.assert_array_equal, without, garbage)
    heard = trained(job, None, lambda x: np.where(known[:, None], x, np.float32(50.0)))
    assert not np.allclose(heard["words"], without["words"])


def test_all_known_is_as_if_nothing_was_said_of_it(job):
    everything = trained(job, np.ones(len(job.tokens.label), bool))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), everything, trained(job, None))
