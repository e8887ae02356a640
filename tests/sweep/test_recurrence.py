"""The form of the recurrence: what was chosen once is followed, by whoever resumes and by every node."""

import errno
import json
from dataclasses import replace

import pytest
from helpers.runs import carry_out, request
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.cost.timing import timing_job
from kd_jax.errors import InputError
from kd_jax.experiment import Average, Experiment, Student, Teacher
from kd_jax.settings import override
from kd_jax.sweep import group, recurrence
from kd_jax.sweep.recurrence import recurrence_of
from kd_jax.training import loop
from kd_jax.training.execution import Choice, execution


@pytest.fixture
def job():
    return timing_job([tiny_corpus()], tiny_settings(), 2, 4)


@pytest.fixture
def choices(monkeypatch):
    """What comparisons on this seeming TPU find, in turn."""
    found = []
    monkeypatch.setattr(recurrence.meshes, "platform_of", lambda _: "tpu")
    monkeypatch.setattr(recurrence, "choose", lambda *_: found.pop(0))
    return found


def test_a_choice_is_made_once_and_said_once(job, choices, tmp_path):
    choices += [Choice("scan", "too slow"), Choice("fused", "fast")]
    said = []
    assert [recurrence_of(job, None, tmp_path, said.append) for _ in range(3)] == ["scan"] * 3
    assert said == ["too slow"]
    (file,) = (tmp_path / "recurrence").iterdir()
    assert json.loads(file.read_text()) == {"recurrence": "scan", "why": "too slow"}


def test_other_shapes_are_compared_anew(job, choices, tmp_path):
    choices += [Choice("scan", "too slow"), Choice("fused", "fast")]
    other = timing_job([tiny_corpus()], tiny_settings(rows=5), 2, 4)
    assert [recurrence_of(x, None, tmp_path, print) for x in (job, other, job)] == ["scan", "fused", "scan"]


def test_whoever_resumes_goes_on_as_it_was(job, choices, tmp_path):
    assert recurrence_of(job, "fused", tmp_path, print) == "fused"


def test_a_node_that_was_slower_follows(job, monkeypatch, choices, tmp_path):
    def slow(*_):
        choices.append(Choice("fused", "fast"))
        monkeypatch.setattr(recurrence, "choose", lambda *_: choices.pop(0))
        assert recurrence_of(job, None, tmp_path, print) == "fused"  # another node, meanwhile
        return Choice("scan", "too slow")

    monkeypatch.setattr(recurrence, "choose", slow)
    said = []
    assert recurrence_of(job, None, tmp_path, said.append) == "fused"
    assert said == []


def test_the_lanes_that_are_trained_together_do_not_matter(job, choices, tmp_path):
    choices.append(Choice("fused", "fast"))
    fewer = replace(job, lanes=job.lanes[:1])
    assert [recurrence_of(x, None, tmp_path, print) for x in (job, fewer)] == ["fused"] * 2


def test_a_file_system_without_links_will_do(job, monkeypatch, choices, tmp_path):
    def refuses(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(recurrence.os, "link", refuses)
    choices.append(Choice("fused", "fast"))
    assert [recurrence_of(job, None, tmp_path, print) for _ in range(2)] == ["fused"] * 2
    (file,) = (tmp_path / "recurrence").iterdir()
    assert json.loads(file.read_text())["recurrence"] == "fused"


def test_on_a_cpu_nothing_is_chosen_or_written(job, tmp_path):
    assert recurrence_of(job, "fused", tmp_path, print) == "scan"
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_is_a_line(job, choices, tmp_path):
    choices.append(Choice("fused", "fast"))
    (tmp_path / "recurrence").write_text("")
    with pytest.raises(InputError, match=r"recurrence/.*json: can't be written"):
        recurrence_of(job, None, tmp_path, print)


def test_what_is_set_goes_first(job, tmp_path):
    named = replace(job, settings=override(job.settings, ["runtime.recurrence=nn.scan"]))
    assert recurrence_of(named, "fused", tmp_path, print) == "nn.scan"


def test_training_scores_teachers_outputs_and_averages_have_the_form_of_the_run(corpora, tmp_path, monkeypatch):
    forms = []

    def noted(platform, settings, chosen=None):
        forms.append(chosen)
        return execution(platform, settings, chosen)

    monkeypatch.setattr(loop, "execution", noted)
    for module in (recurrence, group):
        monkeypatch.setattr(module, "recurrence_of", lambda *_: "nn.scan")
    taught = Experiment(
        name="taught",
        title="Taught",
        teachers=(Teacher("softmax"),),
        averages=(Average("MTMs averaged"),),
        students=(Student("SM", alpha=0.5, beta=0.5),),
    )
    rows = carry_out(request(corpora, tmp_path / "w", experiment=taught, datasets=["First"])).rows
    assert {row.label for row in rows} >= {"STM", "MTM", "SM", "MTMs averaged"}
    assert set(forms) == {"nn.scan"}
