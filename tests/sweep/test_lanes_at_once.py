"""Lanes in groups give what they give together; a choice is made once, from memory and timing, and kept."""

import io
import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from helpers.made_json import harmed
from helpers.tiny import tiny_corpus, tiny_settings
from hypothesis import given
from rich.console import Console

from kd_jax.corpora.registry import corpus_hash
from kd_jax.cost.timing import timing_job
from kd_jax.errors import InputError
from kd_jax.evaluation.score_tables import ScoreTables
from kd_jax.experiment import load_experiment
from kd_jax.runtime import device
from kd_jax.runtime.interrupt import Interrupt
from kd_jax.runtime.progress import ProgressMeter
from kd_jax.settings import override
from kd_jax.sweep import lanes as lane_groups
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData, make_job
from kd_jax.sweep.lanes import choose, choose_lanes, fitting, known_lanes, record_lanes, split_lanes, timed_before
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.runner import InProcess, Sweep
from kd_jax.sweep.status import Status
from kd_jax.training.saved_model import load_model

CORPUS = tiny_corpus("A")
MATERIAL = SweepData({"A": CORPUS}, {"A": corpus_hash(CORPUS)})


def plan_of(workdir, *changes, seeds=(1, 2, 3, 4, 5)):
    settings = override(tiny_settings(epochs=1), changes)
    return Plan(load_experiment("baselines"), settings, MATERIAL.hashes, seeds, "train+devel", workdir, ("A",))


def cell_of(workdir, *changes):
    return plan_of(workdir, *changes).fixed[0]


def at_once(group, workdir, job, log):
    """What a run does with a lane group whose settings do not say how many lanes train at the same time."""
    here = device.devices()
    if known := known_lanes(group, workdir, here):
        return known
    return record_lanes(group, workdir, choose_lanes(group, job, timed_before(group, workdir, here)), log)


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 5), (2, [1, 2, 2]), (3, [2, 3]), (4, [2, 3]), (5, [5])])
def test_groups_hold_every_model_once_and_no_more_than_asked(tmp_path, limit, sizes):
    group = cell_of(tmp_path)
    twice = replace(group, specs=(*group.specs, group.specs[0]))
    found = split_lanes(twice, limit)
    assert sorted(len({m.folder for m in g.specs}) for g in found) == sizes
    assert [m for g in found for m in dict.fromkeys(g.specs)] == list(group.specs)


def test_what_fits_is_the_most_that_fits():
    for memory in range(1, 200):
        n = fitting(9, lambda lanes: 5 + 10 * lanes, memory)
        allowed = [k for k in range(1, 10) if 5 + 10 * k <= lane_groups.SAFE * memory]
        assert n == max(allowed, default=1)
    assert fitting(9, lambda _: 10**30, None) == 9


def test_groups_train_what_all_lanes_train_together(tmp_path):
    models = []
    for folder, size in (("together", "0"), ("groups", "1")):
        plan = plan_of(tmp_path / folder, f"at_once={size}", seeds=(1, 2))
        (tmp_path / folder).mkdir()
        told = Console(file=io.StringIO(), width=200)
        with ProgressMeter(1, tmp_path / folder / "metrics.jsonl", told) as meter:
            context = RunContext(tmp_path / folder, meter, Interrupt(), Status(), device.devices())
            tables, engine = ScoreTables(tmp_path / folder), InProcess(MATERIAL, context)
            Sweep(plan, MATERIAL, context, tables, engine).finish(plan.fixed[:1])
        models.append([load_model(spec.folder).params for spec in plan.fixed[0].specs])
        assert told.file.getvalue().count("lane-tokens/s, scoring included") == {"0": 1, "1": 2}[size]
    for together, alone in zip(*models, strict=True):
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)


def test_a_run_too_large_for_memory_is_split_and_the_choice_is_kept(tmp_path, monkeypatch):
    group, told = cell_of(tmp_path), []

    def job():
        return make_job(MATERIAL, group, group.specs)[0]

    whole = choose(job(), None, {}, "t")
    assert whole.at_once == 5
    one = choose(job(), whole.predicted // 2, {}, "t")
    assert 1 <= one.at_once < 5
    assert one.predicted <= lane_groups.SAFE * (whole.predicted // 2)
    monkeypatch.setattr(device, "available_memory", lambda: whole.predicted // 2)
    assert at_once(group, tmp_path, job, told.append) == one.at_once
    assert f"{one.at_once} of 5 lanes at once" in told[0]
    monkeypatch.setattr(device, "available_memory", lambda: None)

    def never():
        raise AssertionError("chosen already")

    assert at_once(group, tmp_path, never, told.append) == one.at_once
    assert len(told) == 1
    monkeypatch.setattr(device, "devices", lambda: "another")
    assert at_once(group, tmp_path, job, told.append) == 5
    (tmp_path / "lanes.json").write_text("{")
    with pytest.raises(InputError, match=r"lanes.json: can't be used"):
        at_once(group, tmp_path, job, told.append)


def test_not_even_one_lane_is_said(tmp_path, monkeypatch):
    job = timing_job([CORPUS], tiny_settings(), 2, 4)
    with pytest.raises(InputError, match="one lane takes about"):
        choose(job, 1000, {}, "STM on A")
    monkeypatch.setattr(device, "available_memory", lambda: 1000)
    alone = plan_of(tmp_path, "at_once=0", seeds=(1,)).fixed[0]
    with pytest.raises(InputError, match="one lane takes about"):
        at_once(alone, tmp_path, lambda: make_job(MATERIAL, alone, alone.specs)[0], [].append)


KEPT = {
    "format": lane_groups.FORMAT,
    "cells": {
        "of another cell": {
            "cell": "STM on B",
            "device": "another",
            "program": "p",
            "lanes": 4,
            "at_once": 2,
            "predicted_bytes": 1000,
            "bytes_at_hand": None,
            "lane_tokens_per_s": {"4": 10, "2": 10.5},
        }
    },
}


@given(harmed(KEPT))
def test_any_lanes_json_is_used_or_refused_in_one_line(tmp_path_factory, content):
    workdir = tmp_path_factory.mktemp("work")
    group, file = cell_of(workdir), workdir / "lanes.json"
    of_cell = lane_groups._key(group.specs)
    text = json.dumps(content).replace("of another cell", of_cell).replace('"another"', json.dumps(device.devices()))
    file.write_text(text)
    try:
        lanes = at_once(group, workdir, lambda: make_job(MATERIAL, group, group.specs)[0], [].append)
    except InputError as refused:
        told = str(refused)
        assert told.startswith(f"{file}: can't be used (")
        assert "remove it" in told
        assert "\n" not in told
        assert file.read_text() == text
    else:
        assert lanes >= 1
        assert len(split_lanes(group, lanes)) <= 5


@pytest.mark.parametrize(
    "harm",
    [{"at_once": 0}, {"at_once": True}, {"at_once": "2"}, {"device": None}, {"lane_tokens_per_s": {"4": "fast"}}],
)
def test_a_damaged_entry_is_named(tmp_path, harm):
    whole = KEPT["cells"]["of another cell"]
    (tmp_path / "lanes.json").write_text(json.dumps(KEPT | {"cells": {"whole": whole, "harmed": whole | harm}}))
    with pytest.raises(InputError, match=r"lanes.json: can't be used \(damaged at 'harmed'\); remove it"):
        at_once(cell_of(tmp_path), tmp_path, lambda: None, print)


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [({16: 100, 8: 60}, 16), ({16: 100, 8: 99, 4: 50}, 8), ({16: 10, 8: 20, 4: 30, 2: 40}, 2)],
)
def test_an_accelerator_takes_the_number_of_lanes_that_is_fastest(rates, chosen, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(lane_groups, "rate", lambda _, n: (asked.append(n), float(rates[n]))[1])
    monkeypatch.setattr(lane_groups.jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(lane_groups.jax, "local_device_count", lambda: 2)
    job = timing_job([CORPUS], tiny_settings(), 16, 4)
    found = choose(job, None, {}, "t")
    assert found.at_once == chosen
    assert asked == list(rates)
    assert choose(job, None, found.rates, "t").at_once == chosen
    assert asked == list(rates)


def test_timings_have_the_form_that_was_chosen_once_of_lanes_that_fit(monkeypatch):
    compared, timed = [], []
    monkeypatch.setattr(lane_groups, "rate", lambda job, n: (timed.append(job.recurrence), float(-n))[1])
    monkeypatch.setattr(lane_groups.jax, "default_backend", lambda: "gpu")
    job = timing_job([CORPUS], tiny_settings(), 16, 4)
    choose(job, None, {}, "t", lambda fits: (compared.append(len(fits.lanes)), "fused")[1])
    assert compared == [16]
    assert len(timed) >= 3
    assert set(timed) == {"fused"}


@pytest.mark.slow
def test_a_measured_rate_is_of_real_steps():
    assert lane_groups.rate(timing_job([CORPUS], tiny_settings(), 2, 4), 1) > 0


def test_memory_at_hand_is_bounded_by_every_control_group(tmp_path, monkeypatch):
    for folder, bound in ((tmp_path, "max"), (tmp_path / "job", "5000")):
        folder.mkdir(exist_ok=True)
        (folder / "memory.max").write_text(bound + "\n")
        (folder / "memory.current").write_text("2000\n")
    own = device.Path.read_text
    monkeypatch.setattr(
        device.Path, "read_text", lambda p, **k: "0::/job\n" if str(p) == "/proc/self/cgroup" else own(p, **k)
    )
    assert device._left_in_groups(tmp_path) == [3000]
    assert 0 < device.available_memory() < 2**50
