"""The recursions by doubling, an accelerator's, against those by step, which tests of the CRF hold to enumeration."""

from functools import partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.made_paths import GAP, packed, random_transitions

from kd_jax.models import chain, crf
from kd_jax.models.chain import Chain

ROWS = [[3, 4, 1, 1, 9], [GAP, 17, GAP], [1], [GAP, GAP]]


def case(labels, scale=3.0, forbidden=False):
    emissions, _, starts, mask = packed(ROWS, labels, seed=labels, scale=scale)
    start, stop, pairs = random_transitions(labels, labels, scale=4.0)
    if forbidden:
        start, pairs = start - 1e4 * (np.arange(labels) == 1), pairs - 1e4 * np.eye(labels, k=1)
    continues, ends = crf._bounds(starts, mask)
    return jnp.asarray(crf._time_first(emissions, mask)), start, stop, pairs, continues, ends


@pytest.mark.parametrize(("labels", "scale", "forbidden"), [(1, 3.0, False), (3, 3.0, True), (5, 1e3, False)])
@pytest.mark.parametrize("reduce", [jax.nn.logsumexp, jnp.max])
def test_the_forward_variable_and_its_gradients_by_doubling_equal_those_by_step(reduce, labels, scale, forbidden):
    emissions, start, _, pairs, continues, _ = case(labels, scale, forbidden)
    direction = np.random.default_rng(1).normal(size=emissions.shape)

    def weighted(form, emissions, start, pairs):
        alpha, level = form(reduce, Chain(emissions, start, pairs, continues))
        whole = alpha + level[..., None]
        return (whole * direction).sum(), whole

    one, other = (
        jax.jit(jax.value_and_grad(partial(weighted, form), (0, 1, 2), has_aux=True))(emissions, start, pairs)
        for form in (chain.forward_by_step, chain.forward_by_doubling)
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-5, atol=2e-5 * max(1.0, scale / 10))


@pytest.mark.parametrize("labels", [1, 3, 5])
def test_the_way_back_by_doubling_is_that_by_step(labels):
    emissions, start, stop, pairs, continues, ends = case(labels, forbidden=labels > 1)
    best, _ = jax.jit(partial(chain.forward_by_step, jnp.max))(Chain(emissions, start, pairs, continues))
    last = jnp.argmax(best + stop[None, None], -1)
    by_step, by_doubling = (
        np.asarray(jax.jit(form)(best, last, pairs, ends))
        for form in (chain.way_back_by_step, chain.way_back_by_doubling)
    )
    np.testing.assert_array_equal(by_step, by_doubling)


def test_neighbours_have_exactly_no_influence_by_doubling():
    emissions, start, _, pairs, continues, _ = case(3)
    forward = jax.jit(partial(chain.forward_by_doubling, jax.nn.logsumexp))
    alpha, level = forward(Chain(emissions, start, pairs, continues))
    others = emissions.at[:3, 0].add(1e6)  # the first row's first sentence
    for a, b in zip((alpha, level), forward(Chain(others, start, pairs, continues)), strict=True):
        np.testing.assert_array_equal(a[3:], b[3:])
        assert not np.array_equal(a[:3], b[:3])


def test_what_runs_where_is_decided_by_the_platform_and_the_labels():
    def lowered(labels, platform):
        emissions, start, _, pairs, continues, _ = case(labels)
        program = jax.jit(partial(chain.forward, jnp.max)).trace(Chain(emissions, start, pairs, continues))
        return program.lower(lowering_platforms=(platform,)).as_text()

    assert "while" in lowered(3, "cpu")
    assert "while" not in lowered(3, "cuda")
    assert "while" not in lowered(3, "tpu")
    assert "while" in lowered(chain.MOST_LABELS + 1, "cuda")


def test_a_program_for_rows_of_any_length_goes_by_step():
    (steps,) = jax.export.symbolic_shape("T")
    given = (
        jax.ShapeDtypeStruct((steps, 2, 3), jnp.float32),
        *(jax.ShapeDtypeStruct(x, jnp.float32) for x in ((3,), (3, 3))),
    )
    program = jax.jit(partial(chain.forward, jnp.max))
    exported = jax.export.export(program, platforms=("cpu", "cuda"))(
        Chain(*given, jax.ShapeDtypeStruct((steps, 2), bool))
    )
    assert "while" in exported.mlir_module()
