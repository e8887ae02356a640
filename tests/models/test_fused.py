"""The fused kernels, interpreted, against the scan that they stand for: values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models import recurrence
from kd_jax.models.fused import Kernels, Weights, bilstm, layer, side_by_side
from kd_jax.models.padding import gate_sizes, resized
from kd_jax.models.precision import dense

PLATFORMS = ("tpu", "gpu")


def case(steps, rows, size, units, seed=0, lanes=()):
    """x, kernels, biases; keep; and a target of the hidden states."""
    keys = jax.random.split(jax.random.key(seed), 8)
    x = jax.random.normal(keys[0], (*lanes, steps, rows, size))
    kernel = jax.random.normal(keys[1], (*lanes, 2, size, 4 * units)) / size**0.5
    recurrent = jax.random.normal(keys[2], (*lanes, 2, units, 4 * units)) / units**0.5
    bias = jax.random.normal(keys[3], (*lanes, 2, 4 * units))
    keep = tuple((jax.random.uniform(k, (*lanes, steps, rows, 1)) > 0.2).astype(jnp.float32) for k in keys[4:6])
    target = tuple(jax.random.normal(k, (*lanes, steps, rows, units)) for k in keys[6:])
    return (x, kernel, recurrent, bias), keep, target


def scanned(compute, x, keep, kernel, recurrent, bias):
    projected = tuple(dense(o, k, compute) + b[None, None] for o, k, b in zip((x, x[::-1]), kernel, bias, strict=True))
    return recurrence.lstm(projected, recurrent, keep, compute)


def fused(platform, compute, x, keep, kernel, recurrent, bias):
    h = bilstm(x, keep, kernel, recurrent, bias, Kernels(platform, compute, interpret=True))
    forward, backward = jnp.split(h, 2, -1)
    return forward, backward[::-1]


def results(run, inputs, keep, target):
    """Hidden states, and gradients of a loss that gives every one of them its own."""

    def loss(x, kernel, recurrent, bias):
        h = run(x, keep, kernel, recurrent, bias)
        return sum(((a - b) ** 3).sum() for a, b in zip(h, target, strict=True)), h

    gradients, h = jax.grad(loss, (0, 1, 2, 3), has_aux=True)(*inputs)
    return h, gradients


def of(platform, compute="float32"):
    """The kernels of a platform, or the scan where it is None."""
    run = scanned if platform is None else lambda *rest: fused(platform, *rest)
    return lambda *rest: results(lambda *inputs: run(compute, *inputs), *rest)


def agree(ours, theirs, tolerance):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("sizes", [(16, 8, 24, 128), (19, 7, 6, 20), (33, 17, 5, 40)])
def test_equals_the_scan_with_resets_and_odd_sizes(platform, sizes):
    inputs = case(*sizes)
    agree(of(platform)(*inputs), of(None)(*inputs), 1e-5)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_bfloat16_products_round_as_the_scan_rounds(platform):
    """Only factors are rounded, so the two differ as a last bit that tips a rounding does, and no more."""
    inputs = case(19, 7, 6, 20)
    ours, theirs = of(platform, "bfloat16")(*inputs), of(None, "bfloat16")(*inputs)
    agree(ours, theirs, 8e-3)
    exact = of(None)(*inputs)
    errors = [
        max(float(np.abs(a - b).max()) for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(exact), strict=True))
        for x in (ours, theirs)
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.5)  # it did round: float32 products have no such error
    assert errors[0] > 1e-3


@pytest.mark.parametrize("platform", PLATFORMS)
def test_lanes_become_groups_of_one_launch(platform):
    inputs = case(9, 3, 4, 12, lanes=(3,))
    ours = jax.vmap(of(platform))
    agree(ours(*inputs), jax.vmap(of(None))(*inputs), 1e-5)
    traced = str(jax.make_jaxpr(ours)(*inputs))
    assert traced.count("pallas_call[") == 2  # forward and back


@pytest.mark.parametrize("platform", PLATFORMS)
def test_lanes_may_share_what_is_not_theirs(platform):
    """Inputs and masks without a lane axis, as where all lanes read the same batch."""
    (x, kernel, recurrent, bias), keep, target = case(9, 3, 4, 12)

    def lanes(run):
        return jax.vmap(lambda u: run((x, kernel, u, bias), keep, target))(jnp.stack([recurrent, 0.5 * recurrent]))

    agree(lanes(of(platform)), lanes(of(None)), 1e-5)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("steps", [9, 32])  # with time steps that are only padding, and without
def test_squares_are_those_of_recurrent_kernels_and_biases(platform, steps):
    (x, kernel, recurrent, bias), keep, _ = case(steps, 8, 4, 40)
    how = Kernels(platform, "float32", interpret=True)
    units, gates, _ = how.widths(40)
    kernel, recurrent, bias = (resized(y, -1, (40,) * 4, gate_sizes(units, gates)) for y in (kernel, recurrent, bias))
    recurrent = resized(recurrent, -2, (40,), (units,))
    x = jnp.pad(x, ((0, 0), (0, 8), (0, 0)))  # as many rows as a GPU's kernels need

    def loss(recurrent, bias, squares):
        return (layer(x, keep, Weights(side_by_side(kernel), recurrent, bias, squares), how)[:, :8] ** 3).sum()

    *gradients, squares = jax.grad(loss, (0, 1, 2))(recurrent, bias, jnp.zeros(()))
    np.testing.assert_allclose(squares, sum(jnp.square(y).sum() for y in gradients), rtol=1e-5)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_before_a_reset_has_no_influence(platform):
    (x, *parameters), _, target = case(20, 3, 4, 12)
    keep = (
        jnp.ones((20, 3, 1)).at[jnp.array([0, 8, 14])].set(0.0),
        jnp.ones((20, 3, 1)).at[jnp.array([0, 6, 12])].set(0.0),  # the same bounds in reversed time
    )

    def middle(x):
        forward, backward = fused(platform, "float32", x, keep, *parameters)
        return (forward[8:14] * target[0][8:14]).sum() + (backward[6:12] * target[1][6:12]).sum()

    gradient = jax.grad(middle)(x)
    assert (gradient[:8] == 0).all()
    assert (gradient[14:] == 0).all()
    assert (gradient[8:14] != 0).all()
