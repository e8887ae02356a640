"""The recurrence against flax's own LSTM cell under nn.scan, and packing against single sentences."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models import recurrence
from kd_jax.models.bilstm import BiLSTM
from kd_jax.models.recurrence import one_by_one, stacked

UNITS, SIZE, ROWS, TIME = 5, 3, 4, 11


class ScanBiLSTM(nn.Module):
    """The reference: flax's OptimizedLSTMCell under nn.scan, state reset at starts, on the parameters of BiLSTM."""

    units: int

    @nn.compact
    def __call__(self, x, starts):
        class Step(nn.Module):
            units: int

            @nn.compact
            def __call__(self, carry, inputs):
                value, start = inputs
                carry = jax.tree.map(lambda state: jnp.where(start[:, None], 0.0, state), carry)
                return nn.OptimizedLSTMCell(self.units, name="cell")(carry, value)

        x, starts = x.swapaxes(0, 1), starts.swapaxes(0, 1)
        scan = nn.scan(Step, variable_broadcast="params", split_rngs={"params": False})
        zero = (jnp.zeros((x.shape[1], self.units)),) * 2
        ends = jnp.concatenate([starts[1:], jnp.ones_like(starts[:1])])
        _, forward = scan(self.units, name="forward")(zero, (x, starts))
        _, backward = scan(self.units, name="backward")(zero, (x[::-1], ends[::-1]))
        return jnp.concatenate([forward, backward[::-1]], -1).swapaxes(0, 1)


def as_cells(params):
    """Parameters of BiLSTM as those of ScanBiLSTM: gates i, f, o, g as cell layers ii, if, io, ig, hi, ..."""

    def group(d):
        kernels = jnp.split(params["kernel"][d], 4, -1)
        recurrents = jnp.split(params["recurrent"][d], 4, -1)
        biases = jnp.split(params["bias"][d], 4, -1)
        layers = {}
        for gate, kernel, recurrent, bias in zip("ifog", kernels, recurrents, biases, strict=True):
            layers["i" + gate] = {"kernel": kernel}
            layers["h" + gate] = {"kernel": recurrent, "bias": bias}
        return {"cell": layers}

    return {"params": {"forward": group(0), "backward": group(1)}}


def of_cpu(scan, _, *of_groups):
    return one_by_one(scan, *of_groups)


def of_accelerator(_, with_few_launches, *of_groups):
    return stacked(with_few_launches, *of_groups)


@pytest.fixture(params=[of_cpu, of_accelerator])
def case(request, monkeypatch):
    """A module and its inputs, in the form of a CPU and in that of an accelerator."""
    monkeypatch.setattr(recurrence, "_scans", request.param)
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (ROWS, TIME, SIZE))
    starts = (jax.random.uniform(keys[1], (ROWS, TIME)) < 0.3).at[:, 0].set(True)
    module = BiLSTM(UNITS)
    params = module.init(keys[2], x, starts)["params"]
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(keys[3], p.shape), params)
    return module, params, x, starts


def test_equals_flax_cells_under_nn_scan(case):
    module, params, x, starts = case
    ours = module.apply({"params": params}, x, starts)
    theirs = ScanBiLSTM(UNITS).apply(as_cells(params), x, starts)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_gradients_equal_autodiff_through_nn_scan(case):
    module, params, x, starts = case
    target = jax.random.normal(jax.random.key(9), (ROWS, TIME, 2 * UNITS))

    def ours(params, x):
        return ((module.apply({"params": params}, x, starts) - target) ** 3).sum()

    def theirs(params, x):
        return ((ScanBiLSTM(UNITS).apply(as_cells(params), x, starts) - target) ** 3).sum()

    for a, b in zip(
        jax.tree.leaves(jax.grad(ours, (0, 1))(params, x)),
        jax.tree.leaves(jax.grad(theirs, (0, 1))(params, x)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_packed_equals_unpacked(case):
    module, params, x, _ = case
    lengths = (3, 1, 5, 2)
    starts = jnp.ones((1, TIME), bool)
    at = 0
    for length in lengths:
        starts = starts.at[:, at + 1 : at + length].set(False)
        at += length
    row = module.apply({"params": params}, x[:1], starts)
    at = 0
    for length in lengths:
        alone = jnp.zeros((1, length), bool).at[:, 0].set(True)
        single = module.apply({"params": params}, x[:1, at : at + length], alone)
        np.testing.assert_allclose(row[:, at : at + length], single, atol=1e-6)
        at += length


def test_neighbours_have_exactly_no_influence(case):
    module, params, x, _ = case
    starts = jnp.zeros((ROWS, TIME), bool).at[:, jnp.array([0, 4, 8])].set(True)

    def middle(x):
        return module.apply({"params": params}, x, starts)[:, 4:8].sum()

    gradient = jax.grad(middle)(x)
    assert (gradient[:, :4] == 0).all()
    assert (gradient[:, 8:] == 0).all()
    assert (gradient[:, 4:8] != 0).any()
    changed = x.at[:, :4].add(100.0).at[:, 8:].mul(-50.0)
    assert middle(changed) == middle(x)


def test_lanes_under_vmap_give_what_each_gives_alone(case):
    module, params, x, starts = case
    lanes = jax.tree.map(lambda p: jnp.stack([p, 0.5 * p]), params)

    def gradient(params):
        return jax.grad(lambda p: (module.apply({"params": p}, x, starts) ** 2).sum())(params)

    alone = [gradient(params), gradient(jax.tree.map(lambda p: 0.5 * p, params))]
    in_turn = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    for a, b in zip(jax.tree.leaves(jax.vmap(gradient)(lanes)), jax.tree.leaves(in_turn), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_platform_decides_the_form():
    """A CPU gets a loop for each direction, a GPU one for both."""
    x, starts = jnp.ones((ROWS, 40, SIZE)), jnp.ones((ROWS, 40), bool)
    module = BiLSTM(UNITS)
    params = module.init(jax.random.key(0), x, starts)
    traced = jax.jit(module.apply).trace(params, x, starts)
    loops = {p: traced.lower(lowering_platforms=(p,)).as_text().count("stablehlo.while") for p in ("cpu", "cuda")}
    assert loops == {"cpu": 2, "cuda": 1}
