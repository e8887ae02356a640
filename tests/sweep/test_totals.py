"""What experiments take together: shared models once, and a time whose source is told."""

import io
import json
from dataclasses import replace

import pytest
from helpers.made_json import harmed
from helpers.tiny import tiny_corpus, tiny_settings
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kd_jax.corpora.registry import corpus_hash
from kd_jax.cost.memory import parameters
from kd_jax.cost.timing import extent as extent_of_job
from kd_jax.experiment import load_experiment
from kd_jax.runtime import device
from kd_jax.settings import override, to_dict
from kd_jax.sweep import totals
from kd_jax.sweep.disk import disk, short_of
from kd_jax.sweep.forecast import CostModel, alone, half_taught, plan_table
from kd_jax.sweep.job import SweepData, make_job
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.status import Status

CORPORA = [tiny_corpus("A"), tiny_corpus("B", ("Drug", "Gene"))]
MATERIAL = SweepData({c.name: c for c in CORPORA}, {c.name: corpus_hash(c) for c in CORPORA})
SURVEY = CostModel(MATERIAL)
TOKENS = {c.name: sum(len(s.tokens) for split in ("train", "devel") for s in c.splits[split]) for c in CORPORA}


def plan(name, tmp_path, seeds=(1, 2), **changes):
    experiment = load_experiment(name)
    settings = override(tiny_settings(), [*experiment.assignments, *(f"{k}={v}" for k, v in changes.items())])
    names = tuple(MATERIAL.corpora)
    return Plan(experiment, settings, MATERIAL.hashes, seeds, "train+devel", tmp_path, names)


def test_shared_models_count_once(tmp_path):
    logits, ensemble = plan("logits", tmp_path), plan("ensemble", tmp_path)
    alone = [totals.totals([p], SURVEY, Status()).models for p in (logits, ensemble)]
    both = totals.totals([logits, ensemble], SURVEY, Status())
    folders = {m.folder for p in (logits, ensemble) for group in Status().groups_of(p) for m in group.specs}
    assert both.models == len(folders) < sum(alone)
    assert totals.totals([logits, logits], SURVEY, Status()) == totals.totals([logits], SURVEY, Status())


def test_lane_tokens_by_hand(tmp_path):
    """Logits: two STM and six students of each corpus, and two MTM of both, two epochs of each."""
    found = totals.totals([plan("logits", tmp_path)], SURVEY, Status())
    every = sum(TOKENS.values())
    assert found.lane_tokens == {"softmax": 2 * (2 + 6 + 2) * every}
    assert found.models == 2 * (2 + 6) + 2
    assert found.operations > 0


def test_a_teacher_that_will_not_see_all_of_its_text_is_named(tmp_path):
    one = plan("logits", tmp_path, updates=1)
    a_step = SURVEY.run_tokens(Status().groups_of(one)[0])
    whole = -(-sum(TOKENS.values()) // a_step)
    told = half_taught(plan("logits", tmp_path, updates=whole // 2), SURVEY, Status())
    assert told.startswith(f"MTM on 2 corpora: {whole // 2} updates see ")
    asked = int(told.split("train.teacher_updates=")[1].split()[0])
    assert asked == pytest.approx(whole, abs=2)
    enough = plan("logits", tmp_path, updates=whole // 2, teacher_updates=asked)
    assert half_taught(enough, SURVEY, Status()) == ""
    assert half_taught(plan("logits", tmp_path), SURVEY, Status()) == ""  # epochs see all of it


def test_students_without_others_to_learn_from_are_named(tmp_path):
    both = plan("transfer", tmp_path)
    one = replace(both, corpora={"A": MATERIAL.hashes["A"]}, targets=("A",))
    told = alone(one, Status())
    assert told.startswith("students on A: ")
    assert "--datasets" in told
    assert alone(replace(one, text="digest of some"), Status()) == ""
    assert alone(both, Status()) == alone(plan("logits", tmp_path), Status()) == ""


def test_knowledge_on_disk_by_hand(tmp_path):
    """Tables 1 and 2 ask the teachers of both seeds about all training tokens, one by one and together."""
    widths = {c.name: len(c.labels) + 2 * 4 + 2 * 5 for c in CORPORA}
    once = sum(TOKENS[name] * width for name, width in widths.items())
    logits, ensemble = plan("logits", tmp_path), plan("ensemble", tmp_path)
    assert totals.totals([logits], SURVEY, Status()).knowledge == 8 * once
    assert totals.totals([logits, ensemble], SURVEY, Status()).knowledge == 8 * once
    narrow = plan("logits", tmp_path, **{"distill.dtype": "bfloat16"})
    assert totals.totals([narrow], SURVEY, Status()).knowledge == 4 * once


def test_the_disk_that_a_run_takes_is_foretold(tmp_path):
    asked = plan("logits", tmp_path / "not yet there")
    knowledge = totals.totals([asked], SURVEY, Status()).knowledge
    found = disk([asked], totals.shares([asked], SURVEY, Status()), SURVEY)
    assert found.knowledge == knowledge
    sizes = [sum(parameters(group.settings, SURVEY.extent(group), group.head)) for group in Status().groups_of(asked)]
    assert found.models == 4 * sum(n * len(g.specs) for n, g in zip(sizes, Status().groups_of(asked), strict=True))
    assert found.checkpoints > 4 * max(sizes)
    assert found.free > found.needed
    assert short_of(found, tmp_path) is None
    short = short_of(found._replace(free=found.needed - 1), tmp_path)
    assert "name another --workdir, make room (kd-jax clean)" in short
    bounded = plan("logits", tmp_path, **{"saving.knowledge_gb": knowledge / 2 / 1e9})
    assert disk([bounded], totals.shares([bounded], SURVEY, Status()), SURVEY).knowledge == round(knowledge / 2)
    assert disk([asked], [], SURVEY).needed == 0


@pytest.mark.parametrize("name", ["logits", "transfer", "crf"])
def test_a_cells_extent_is_its_jobs(tmp_path, name):
    for group in Status().groups_of(plan(name, tmp_path)):
        job, _ = make_job(MATERIAL, group, group.specs)
        predicted, actual = SURVEY.extent(group), extent_of_job(job)
        assert parameters(group.settings, predicted, group.head) == parameters(group.settings, actual, group.head)
        assert (predicted.tokens, predicted.forms) == (actual.tokens, actual.forms)
        assert SURVEY.memory(group, 2) > SURVEY.memory(group, 1) > 0


def test_rate_of_a_work_folder_of_the_same_device_and_sizes(tmp_path):
    asked = plan("logits", tmp_path)
    assert totals.recorded_rate([asked]) is None
    lines = "".join(json.dumps({"lane_tokens_per_s": rate}) + "\n" for rate in (10, 20, 90))
    (tmp_path / "metrics.jsonl").write_text(lines)
    about = {"device": device.devices(), "settings": to_dict(asked.settings)}
    (tmp_path / "settings.json").write_text(json.dumps(about))
    assert totals.recorded_rate([asked]).of_head["crf"] == 20
    assert totals.recorded_rate([plan("logits", tmp_path, hidden_units=7)]) is None
    (tmp_path / "settings.json").write_text(json.dumps(about | {"device": "another"}))
    assert totals.recorded_rate([asked]) is None
    (tmp_path / "settings.json").write_text("{")
    assert totals.recorded_rate([asked]) is None


@given(st.lists(harmed({"epoch": 1, "lane_tokens_per_s": 20.5}).map(json.dumps) | st.text(max_size=8)))
def test_whatever_metrics_tell_a_rate_is_a_number_of_theirs(tmp_path_factory, lines):
    workdir = tmp_path_factory.mktemp("work")
    asked = plan("logits", workdir)
    about = {"device": device.devices(), "settings": to_dict(asked.settings)}
    (workdir / "settings.json").write_text(json.dumps(about))
    whole = json.dumps({"lane_tokens_per_s": 20.5})
    for told in ([], [whole], [whole, whole[:-3]]):
        (workdir / "metrics.jsonl").write_text("\n".join([*lines, *told]), encoding="utf-8")
        found = totals.recorded_rate([asked])
        assert found is not None or not told
        assert found is None or 0 < found.of_head["softmax"] < totals.FASTEST


@given(data=st.data())
def test_whatever_settings_json_holds_there_is_a_rate_or_none(tmp_path_factory, data):
    workdir = tmp_path_factory.mktemp("work")
    asked = plan("logits", workdir)
    about = {"device": device.devices(), "settings": to_dict(asked.settings)}
    (workdir / "settings.json").write_text(json.dumps(data.draw(harmed(about))))
    (workdir / "metrics.jsonl").write_text(json.dumps({"lane_tokens_per_s": 20.5}))
    found = totals.recorded_rate([asked])
    assert found is None or found.of_head["crf"] == 20.5


def test_table_says_how_long_and_at_which_rate(tmp_path, monkeypatch):
    plans = [plan("logits", tmp_path)]
    console = Console(width=160, file=io.StringIO())
    for one in plans:
        console.print(plan_table(one, SURVEY, Status()))
    monkeypatch.setattr(Status, "missing", lambda _, group: list(group.specs)[:1])
    console.print(totals.totals_table(plans, SURVEY, Status()))
    shown = " ".join(console.file.getvalue().split())
    for part in ("models to train, each once", "knowledge on disk", "steps were measured on this device", "softmax"):
        assert part in shown


class Stub:
    """A timer that has nothing to time."""

    def __init__(self, job):
        self.rate = 10.0 if job.head == "crf" else 20.0

    def epoch(self):
        return self.rate

    def close(self):
        pass


def test_each_output_layer_has_a_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(totals, "StepTimer", Stub)
    open_shares = totals.shares([plan("crf_softmax", tmp_path)], SURVEY, Status())
    assert totals.measured_rate(open_shares, MATERIAL).of_head == {"softmax": 20.0, "crf": 10.0}


@pytest.mark.parametrize("name", ["reproduction", "controls"])
def test_students_that_start_at_a_teacher_which_is_not_here_have_a_rate(tmp_path, monkeypatch, name):
    monkeypatch.setattr(totals, "StepTimer", Stub)
    open_shares = totals.shares([plan(name, tmp_path)], SURVEY, Status())
    students = [share for share in open_shares if share.group.start != "random"]
    assert students
    assert totals.measured_rate(students, MATERIAL).of_head == {"softmax": 20.0}


def test_nothing_to_train(tmp_path, monkeypatch):
    monkeypatch.setattr(Status, "missing", lambda *_: [])
    console = Console(width=160, file=io.StringIO())
    console.print(totals.totals_table([plan("logits", tmp_path)], SURVEY, Status()))
    assert "lane-tokens/s" not in console.file.getvalue()
