"""Whether a plan fits on a device that need not be here."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.tiny import tiny_corpus, tiny_settings
from rich.console import Console

from kd_jax.corpora.registry import corpus_hash
from kd_jax.cost.memory import program_bytes
from kd_jax.cost.targets import TARGETS
from kd_jax.errors import InputError
from kd_jax.experiment import load_experiment
from kd_jax.settings import Settings, from_dict
from kd_jax.sweep import fits as whether
from kd_jax.sweep.fits import compile_largest, fit_table, fits
from kd_jax.sweep.forecast import CostModel
from kd_jax.sweep.job import SweepData
from kd_jax.sweep.lanes import SAFE
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.request import Request, execute
from kd_jax.sweep.status import Status

CORPORA = [tiny_corpus("A"), tiny_corpus("B")]
HASHES = {c.name: corpus_hash(c) for c in CORPORA}
COST_MODEL = CostModel(SweepData({c.name: c for c in CORPORA}, HASHES))
PLAN = Plan(
    load_experiment("baselines"), tiny_settings(), HASHES, (1, 2, 3, 4, 5), "train+devel", Path("w"), ("A", "B")
)
V5E, H100 = TARGETS["v5e"], TARGETS["h100"]


def of_title(target, title="STM on A"):
    (found,) = [one for one in fits([PLAN], COST_MODEL, Status(), target) if one.title == title]
    return found


def taken(lanes, tiles):
    group = next(group for group in Status().groups_of(PLAN) if group.title == "STM on A")
    return program_bytes(group.settings, COST_MODEL.extent(group), group.head, lanes, in_turn=False, tpu=tiles)


def shown(target, *compiled):
    console = Console(width=80, file=io.StringIO())
    console.print(fit_table(fits([PLAN], COST_MODEL, Status(), target), target, compiled))
    return " ".join(console.file.getvalue().split())


@pytest.mark.parametrize(("target", "tiles"), [(V5E, True), (H100, False)])
def test_what_fits_is_said_with_its_bytes(target, tiles):
    found = of_title(target)
    assert (found.lanes, found.at_once, found.bytes, found.whole) == (5, 5, taken(5, tiles), True)
    assert f"the whole plan fits on {target.name}, every lane group at once" in shown(target)


def test_lanes_that_do_not_fit_together_are_parted():
    small = replace(H100, bytes=round(taken(3, False) / SAFE) + 1)
    assert of_title(small).at_once == 3
    assert "lane groups in parts" in shown(small)


def test_lanes_are_shared_out_over_chips():
    small = replace(H100, bytes=round(taken(3, False) / SAFE) + 1, chips=2)
    assert of_title(small).at_once == 5  # three and two


def test_a_plan_of_which_no_lane_fits_says_so():
    tiny = replace(V5E, bytes=1000)
    assert not of_title(tiny).whole
    assert "the plan does not fit on v5e: not even one lane of" in shown(tiny)


COMPILED = {
    "program": "teacher",
    "lanes": 5,
    "argument_bytes": 10**9,
    "temporary_bytes": 10**9,
    "device_bytes": 2 * 10**9,
}


def test_the_compiler_has_the_last_word():
    assert "the whole plan fits on v5e" in shown(V5E, COMPILED | {"program": "train"}, COMPILED)
    refused = {"program": "teacher", "lanes": 5, "fault": "does not fit: needs 24.63G of 15.75G"}
    too_large = COMPILED | {"argument_bytes": 2 * 10**9}  # which XLA for GPUs compiles all the same
    for last, why in ((refused, "24.63G of 15.75G"), (too_large, "3.00 GB of 2.00 GB")):
        said = shown(V5E, COMPILED | {"program": "train"}, last)
        assert "the whole plan fits" not in said
        assert "the plan does not fit on v5e, its compiler says" in said
        assert f"the largest training of several corpora, 5 lanes at once, does not fit: needs {why}" in said


@pytest.mark.parametrize("cluster", ["", "local:2"])
def test_it_is_a_question_about_a_plan(tmp_path, cluster):
    with pytest.raises(InputError, match=r"^--compile_for: tells whether a plan fits; add --dry_run$"):
        execute(Request(workdir=tmp_path / "w", compile_for=["v5e"], cluster=cluster), Console())
    assert not list(tmp_path.iterdir())


def test_the_largest_of_each_kind_is_compiled_with_its_own_settings(monkeypatch):
    asked = []
    cost = {"device": "v5e", "program": "train", "lanes": 5, "fault": "does not fit"}
    monkeypatch.setattr(whether, "compile_for", lambda requests, _: asked.extend(requests) or [cost])
    assert compile_largest(fits([PLAN], COST_MODEL, Status(), V5E), Path("corpora"), None, V5E) == [cost, cost]
    train, teacher = asked
    assert (train.programs, train.lanes, len(train.datasets)) == (("train",), (5,), 1)
    assert (teacher.programs, teacher.lanes, teacher.datasets) == (("teacher",), (5,), ("A", "B"))
    assert from_dict(Settings, teacher.settings) == PLAN.settings
