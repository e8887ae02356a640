"""A run as a TPU and a GPU compute it, interpreted here, beside the CPU's, and the choice of a recurrence."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.cost.timing import timing_job
from kd_jax.errors import InputError
from kd_jax.models.execution import Execution
from kd_jax.settings import Settings, override
from kd_jax.training import execution as chosen
from kd_jax.training import loop
from kd_jax.training import mesh as meshes
from kd_jax.training.execution import Choice, choose, compare, execution
from kd_jax.training.held import held, settled
from kd_jax.training.known import looked_up

INTERPRETED = {
    "nn.scan": Execution("cpu", "nn.scan"),
    "tpu": Execution("tpu", "fused", interpret=True),
    "gpu": Execution("gpu", "fused", interpret=True),
}


def updated(how, updates, head="softmax", corpora=1, **settings):
    """Losses of every epoch and the parameters after some updates of a lane."""
    wanted = override(tiny_settings(learning_rate=5e-3), [f"{name}={value}" for name, value in settings.items()])
    of_corpora = [tiny_corpus(f"Tiny{n}", sizes=(40, 8, 8)) for n in range(corpora)]
    job = timing_job(of_corpora, wanted, 1, 10, head)
    job = replace(job, length=job.length._replace(updates=updates))
    losses = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Job, "tagger_on", lambda self, _: self.tagger.clone(how=how))
        patch.setattr(loop, "known_to", lambda _, tokens, b: looked_up(tokens, b) if how.platform == "tpu" else b)
        for progress in loop.train(job):
            losses.append(progress.loss)
            end = progress
    assert int(end.held.step[0]) == updates
    return np.array(losses), jax.device_get(end.params)


@pytest.fixture(scope="module")
def on_a_cpu():
    return updated(Execution(), 100)


@pytest.mark.parametrize("name", INTERPRETED)
def test_a_hundred_steps_agree_to_rounding(on_a_cpu, name):
    (losses, params), (ours, own) = on_a_cpu, updated(INTERPRETED[name], 100)
    np.testing.assert_allclose(ours, losses, rtol=1e-4)
    assert losses[-1].mean() < 0.7 * losses[0].mean()  # it learns, so there is something to agree on
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_a_model_of_several_corpora_agrees_to_rounding():
    (losses, params), (ours, own) = (updated(how, 40, corpora=3) for how in (Execution(), INTERPRETED["tpu"]))
    np.testing.assert_allclose(ours, losses, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_bfloat16_agrees_as_far_as_it_rounds():
    losses, _ = updated(Execution(), 30, "crf", compute="bfloat16")
    ours, _ = updated(INTERPRETED["tpu"], 30, "crf", compute="bfloat16")
    np.testing.assert_allclose(ours, losses, rtol=0.05)


def test_parameters_are_padded_by_zeros_and_cut_again():
    job = timing_job([tiny_corpus()], tiny_settings(), 1, 4, "crf")
    tagger = job.tagger.clone(how=INTERPRETED["tpu"])
    params = jax.tree.map(lambda x: x[0], loop.initial_states(job, job.lanes, meshes.lane_mesh(1)).params)
    tiles = held(tagger, params)
    assert tiles["branch"]["task"]["kernel"].shape == (1, 256, 256)  # four gates of a direction side by side
    assert tiles["encoder"]["shared"]["recurrent"].shape == (2, 8, 128)
    for whole, part in zip(jax.tree.leaves(tiles), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(np.abs(whole).sum(), np.abs(part).sum(), rtol=1e-6)
    for again, part in zip(jax.tree.leaves(settled(tagger, tiles)), jax.tree.leaves(params), strict=True):
        np.testing.assert_array_equal(again, part)
    assert tiles["words"].shape == (*params["words"].shape[:1], 128)
    assert held(job.tagger, params) is settled(job.tagger, params) is params  # a CPU holds them as they are


def asked(form):
    return override(tiny_settings(), [f"runtime.recurrence={form}"])


@pytest.mark.parametrize("form", ["nn.scan", "scan"])
def test_a_form_that_is_named_is_taken_everywhere(form):
    assert [execution(platform, asked(form)) for platform in ("cpu", "cuda", "tpu")] == [
        Execution("cpu", form), Execution("gpu", form), Execution("tpu", form)
    ]  # fmt: skip


def test_fused_kernels_are_refused_where_there_are_none():
    with pytest.raises(InputError, match=r"^runtime.recurrence=fused: there are kernels for TPUs and NVIDIA GPUs"):
        execution("cpu", asked("fused"))


def test_on_a_cpu_nothing_is_compared(monkeypatch):
    monkeypatch.setattr(chosen, "compare", None)
    assert choose(tiny_settings(), 3, meshes.lane_mesh(2)) == Choice("scan")
    assert Settings().runtime.recurrence == "auto"


@pytest.fixture
def seconds(monkeypatch):
    """What each timing seems to take, in the order asked for: the scan's, the kernels'."""
    found = []
    monkeypatch.setattr(chosen, "_timed", lambda _: found.pop(0))
    return found


@pytest.mark.parametrize("platform", ["tpu", "gpu"])
def test_kernels_that_are_right_and_no_slower_are_chosen(seconds, platform):
    seconds += [6e-3, 2e-3]
    found = compare(tiny_settings(), 2, INTERPRETED[platform])
    assert found == Choice("fused", "recurrence: fused kernels, 2.00 ms a step against 6.00 ms of the scan")


def test_slower_kernels_are_not(seconds, monkeypatch):
    monkeypatch.setattr(
        chosen, "_case", lambda *_: (lambda: ([np.ones(2)], {"words": {}, "encoder": {}, "branch": {}}), ())
    )  # equal results
    seconds += [2e-3, 4e-3]
    found = compare(tiny_settings(), 1, INTERPRETED["gpu"])
    assert found == Choice(
        "scan", "recurrence: the scan, as the fused kernels are slower, 4.00 ms a step against 2.00 ms"
    )


def test_neither_are_kernels_that_do_not_run(monkeypatch):
    def refuses(*_):
        raise jax.errors.JaxRuntimeError("no such operation\nmore")

    monkeypatch.setattr(chosen, "compare", refuses)
    monkeypatch.setattr(chosen, "platform_of", lambda _: "cuda")
    found = choose(tiny_settings(), 3, meshes.lane_mesh(2))
    assert found == Choice(
        "scan", "recurrence: the scan, as the fused kernels can't be compared with it here (no such operation)"
    )


def test_neither_are_kernels_that_are_wrong(seconds, monkeypatch):
    from kd_jax.models.fused import gpu

    seconds += [3e-3, 1e-3]
    right = gpu.backward
    monkeypatch.setattr(gpu, "backward", lambda *args, **how: [1.1 * x for x in right(*args, **how)])
    from kd_jax.models.fused.layer import _backward

    _backward.cache_clear()
    found = compare(tiny_settings(), 1, INTERPRETED["gpu"])
    _backward.cache_clear()
    assert found.recurrence == "scan"
    assert found.why.startswith("recurrence: the scan, as the fused kernels give other values (by 0.")
