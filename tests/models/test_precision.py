"""bfloat16 products: both factors rounded, sums and everything else in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.cost.timing import StepTimer, timing_job
from kd_jax.models import recurrence
from kd_jax.models.precision import dense, dot_general, product
from kd_jax.settings import Settings, from_dict, override, to_dict
from kd_jax.training import loop, tracing


def rounded(x):
    return np.asarray(jnp.asarray(x).astype(jnp.bfloat16)).astype(np.float64)


def normal(*shape):
    return np.float32(np.random.default_rng(len(shape)).normal(size=shape))


FACTOR = {"bfloat16": rounded, "float32": lambda x: np.asarray(x, np.float64)}


@pytest.mark.parametrize("compute", FACTOR)
def test_products_and_gradients_are_those_of_the_factors_as_they_are_taken(compute):
    x, kernel, bar = normal(3, 4, 40), normal(40, 5), normal(3, 4, 5)
    factor = FACTOR[compute]
    out, back = jax.vjp(lambda x, k: dense(x, k, compute), x, kernel)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(out, factor(x) @ factor(kernel), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(out, product(x, kernel, compute))
    np.testing.assert_array_equal(out, dot_general(compute)(x, kernel, None, precision=None))
    of_x, of_kernel = back(bar)
    assert of_x.dtype == of_kernel.dtype == jnp.float32
    np.testing.assert_allclose(of_x, factor(bar) @ factor(kernel).T, rtol=1e-4, atol=1e-5)
    expected = np.einsum("tra,trb->ab", factor(x), factor(bar))
    np.testing.assert_allclose(of_kernel, expected, rtol=1e-4, atol=1e-5)
    assert (np.abs(out - x @ kernel).max() > 1e-3) == (compute == "bfloat16")


def test_float32_is_the_plain_product_and_its_gradients_are_autodiffs():
    x, kernel, bar = normal(3, 4, 40), normal(40, 5), normal(3, 4, 5)
    ours, back = jax.vjp(lambda x, k: dense(x, k, "float32"), x, kernel)
    plain, plain_back = jax.vjp(jnp.matmul, x, kernel)
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-6)
    for found, expected in zip(back(bar), plain_back(bar), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def _form_of(form, of_cpu, of_others, *of_groups):
    return of_cpu if form == "one_by_one" else of_others, *of_groups


@pytest.mark.parametrize("form", ["one_by_one", "stacked"])
def test_an_lstm_and_its_gradients_are_near_those_of_float32(form, monkeypatch):
    of_groups = getattr(recurrence, form)
    monkeypatch.setattr(recurrence, "_scans", lambda *forms_and_groups: of_groups(*_form_of(form, *forms_and_groups)))
    steps, rows, units = 9, 3, 16
    z = tuple(normal(steps, rows, 4 * units) * s for s in (1, 0.5))
    recurrent = np.stack([normal(units, 4 * units) / 4] * 2)
    keep = tuple(np.float32(np.random.default_rng(g).random((steps, rows, 1)) > 0.2) for g in (0, 1))

    def loss(z, recurrent, compute):
        return sum((h**2).sum() for h in recurrence.lstm(z, recurrent, keep, compute))

    (exact, exact_grad), (near, near_grad) = (
        jax.value_and_grad(loss, (0, 1))(z, recurrent, compute) for compute in ("float32", "bfloat16")
    )
    assert exact != near
    assert float(near) == pytest.approx(float(exact), rel=0.01)
    for a, b in zip(jax.tree.leaves(exact_grad), jax.tree.leaves(near_grad), strict=True):
        assert b.dtype == jnp.float32
        assert np.linalg.norm(a - b) < 0.02 * np.linalg.norm(a)


def test_a_tagger_in_bfloat16_learns_and_keeps_float32():
    job = timing_job([tiny_corpus()], override(tiny_settings(), ["compute=bfloat16", "learning_rate=0.01"]), 1, 4)
    shapes = jax.eval_shape(lambda: loop.initial_states(job, job.lanes, loop.meshes.lane_mesh(1)))
    assert {x.dtype for x in jax.tree.leaves((shapes.params, shapes.opt_state[1].mu))} == {jnp.dtype(jnp.float32)}
    text = str(tracing.lowered(job).as_text())
    assert "bf16" in text
    timing, losses = StepTimer(job), []
    for _ in range(8):
        timing.epoch()
        losses.append(float(timing.loss[0]))
    timing.close()
    assert losses[-1] < 0.8 * losses[0]


def test_settings_from_before_there_was_a_choice_are_float32():
    old = to_dict(Settings())
    del old["model"]["compute"]
    assert from_dict(Settings, old) == Settings()
