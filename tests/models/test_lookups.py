"""What a TPU picks by comparison, against indices."""

import jax
import numpy as np
import pytest

from kd_jax.models import lookups


@pytest.mark.parametrize("axes", [1, 2])
def test_entries_and_their_gradient_are_those_of_indices(axes):
    rng = np.random.default_rng(axes)
    table = rng.normal(size=(5, 7)[:axes]).astype(np.float32)
    index = tuple(rng.integers(0, size, (3, 4)) for size in table.shape)
    weights = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(lookups._entries_picked(table, *index), table[index])

    def weighted(form):
        return jax.grad(lambda table: (form(table, *index) * weights).sum())(table)

    ours, theirs = weighted(lookups._entries_picked), weighted(lookups._entries_taken)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_tpu_gathers_no_entries():
    table, index = np.zeros((5, 5), np.float32), np.zeros((2, 3), np.int32)
    program = jax.jit(lambda table: lookups.entries(table, index, index).sum())
    of = {
        platform: jax.jit(jax.grad(program)).trace(table).lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "tpu")
    }
    assert "scatter" in of["cpu"]
    assert "scatter" not in of["tpu"]
    assert "gather" not in of["tpu"]
