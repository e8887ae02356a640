"""The recurrence in few launches, for a GPU, against the form of a CPU: values, gradients, and what a step launches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models import recurrence

STEPS, ROWS, UNITS = 37, 3, 6  # time steps that no number of unrolled ones divides


def case():
    keys = jax.random.split(jax.random.key(3), 8)
    projected = tuple(jax.random.normal(key, (STEPS, ROWS, 4 * UNITS)) for key in keys[:2])
    recurrent = jax.random.normal(keys[2], (2, UNITS, 4 * UNITS)) / UNITS**0.5
    keep = tuple((jax.random.uniform(key, (STEPS, ROWS, 1)) > 0.2).astype(jnp.float32) for key in keys[3:5])
    return projected, recurrent, keep, tuple(jax.random.normal(key, (STEPS, ROWS, UNITS)) for key in keys[5:7])


def results(compute, monkeypatch=None):
    projected, recurrent, keep, target = case()
    if monkeypatch is not None:
        few = lambda _, with_few_launches, *of_groups: recurrence.stacked(with_few_launches, *of_groups)  # noqa: E731
        monkeypatch.setattr(recurrence, "_scans", few)

    def loss(projected, recurrent):
        h = recurrence.lstm(projected, recurrent, keep, compute)
        return sum(((a - b) ** 3).sum() for a, b in zip(h, target, strict=True)), h

    return jax.grad(loss, (0, 1), has_aux=True)(projected, recurrent)


@pytest.mark.parametrize(("compute", "tolerance"), [("float32", 1e-5), ("bfloat16", 8e-3)])
def test_equals_the_form_of_a_cpu(monkeypatch, compute, tolerance):
    theirs, ours = results(compute), results(compute, monkeypatch)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * float(np.abs(b).max()))
