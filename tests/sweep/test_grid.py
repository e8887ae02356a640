"""Grids from the command line: what their points are, what they share with other experiments, and what is refused."""

import csv
from pathlib import Path

import pytest
from helpers.runs import SIZES, ask, request

from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Grid, Student, check_experiment, load_experiment
from kd_jax.settings import Settings
from kd_jax.sweep.grid import parse_grid, with_grid
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.request import prepare

CORPORA = {"A": "hash of A", "B": "hash of B"}


def plan(experiment):
    return Plan(experiment, Settings(), CORPORA, (1,), "train+devel", Path("work"), ("A",))


def points(name, *texts):
    return {s.label: s for s in with_grid(load_experiment(name), parse_grid(texts)).students}


def test_beta_is_what_alpha_leaves_where_the_experiment_has_it_so():
    found = points("logits", "alpha=0,.25,1")
    assert {label: (s.alpha, s.beta) for label, s in found.items()} == {
        "SM alpha=0": (0.0, 1.0), "SM alpha=0.25": (0.25, 0.75), "SM alpha=1": (1.0, 0.0),
    }  # fmt: skip
    assert points("logits", "beta=.25")["SM beta=0.25"].alpha == 0.75
    both = points("logits", "alpha=1", "beta=0,2")
    assert [(s.alpha, s.beta) for s in both.values()] == [(1.0, 0.0), (1.0, 2.0)]


def test_all_points_of_a_corpus_and_seed_are_lanes_of_one_group():
    a_plan = plan(with_grid(load_experiment("logits"), parse_grid(["alpha=0,.5,1", "learning_rate=.001,.003"])))
    (group,) = a_plan.students(None)
    assert len(group.specs) == 6
    assert [spec.learning_rate for spec in group.specs] == [0.001, 0.003] * 3
    assert len({spec.model_id for spec in group.specs}) == 6


def test_a_point_that_an_experiment_has_is_its_model():
    rate = Settings().train.learning_rate
    in_grid = plan(with_grid(load_experiment("logits"), parse_grid(["alpha=0,.5", f"learning_rate={rate},.5"])))
    ids = {spec.label: spec.model_id for group in in_grid.students(None) for spec in group.specs}
    plain = {
        spec.label: spec.model_id for group in plan(load_experiment("logits")).students(None) for spec in group.specs
    }
    assert ids[f"SM alpha=0.5 learning_rate={rate:g}"] == plain["SM a=0.5"]
    assert ids["SM alpha=0.5 learning_rate=0.5"] not in plain.values()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["alpa=1"], "did you mean 'alpha'"),
        (["alpha"], "write numbers, such as --grid=alpha=0.1,0.2"),
        (["alpha=0,x"], "write numbers"),
        (["alpha=0,0.0"], "a value stands there twice"),
        (["alpha=0", "alpha=1"], "alpha is given twice"),
        (["alpha=0", "tau=1", "learning_rate=1"], "3 axes; give at most 2"),
        (["text=0,0.5"], "whole numbers of sentences, such as --grid=text=0,500,2000"),
        (["foreign=-1"], "whole numbers of sentences"),
    ],
)
def test_a_grid_that_is_none_is_refused(texts, message):
    with pytest.raises(InputError, match=message):
        parse_grid(texts)


def test_what_the_students_leave_open_has_to_be_given():
    with pytest.raises(InputError, match="its students differ in alpha; give its values too"):
        points("logits", "tau=1,2")
    with pytest.raises(InputError, match="no students of its own"):
        points("paper", "alpha=1")
    two = tuple(Student(f"a{k}", k / 2, 1 - k / 2) for k in (0, 1))
    with pytest.raises(InputError, match="students are of 2 kinds; write a file with one of them"):
        with_grid(Experiment("mine", "", students=(*two, Student("b", 0.5, 0.5, foreign=True))), parse_grid(["tau=1"]))
    tuned = Experiment("mine", "", students=(Student("a", 1.0, Grid(0, 1)),))
    with pytest.raises(InputError, match="differ in beta"):
        with_grid(tuned, parse_grid(["alpha=1"]))


@pytest.mark.parametrize(
    ("text", "message"),
    [("alpha=2", "alpha=2: beta is what alpha leaves of 1; give 0 to 1"),
     ("learning_rate=0", "learning_rate=0.0; write a finite number, more than 0"),
     ("learning_rate=nan", "learning_rate=nan"), ("alpha=inf", "alpha=inf")],
)  # fmt: skip
def test_points_are_checked_as_students_are(text, message):
    fixed = Experiment("mine", "", students=(Student("a", 0.5, 0.5),))
    with pytest.raises(InputError, match=message):
        check_experiment(with_grid(fixed, parse_grid([text])), "--grid")


def test_kinds_of_students_are_each_taken_to_every_point_of_text():
    found = points("text", "text=0,500")
    assert [*found] == ["SM text=0", "SM text=500", "self-training text=0", "self-training text=500"]
    settings = ("distill.match=soft", "distill.foreign=0")
    assert [s.assignments for s in found.values()] == [
        (*settings, "distill.text=0"),
        (*settings, "distill.text=500"),
    ] * 2
    assert {s.teachers is None for label, s in found.items() if label.startswith("SM")} == {True}
    (of_setting,) = with_grid(
        Experiment("mine", "", students=(Student("a", 0.5, 0.5, foreign=True, assignments=settings),)),
        parse_grid(["foreign=7"]),
    ).students
    assert of_setting.assignments == ("distill.match=soft", "distill.foreign=7")


def test_sentences_that_students_are_not_shown_are_no_axis(corpora, tmp_path):
    alone = Experiment("mine", "", students=(Student("a", 0.5, 0.5),))
    with pytest.raises(InputError, match="'a' has its own sentences alone; write foreign=True"):
        with_grid(alone, parse_grid(["foreign=1"]))
    with pytest.raises(InputError, match="--grid=text: there is no text; give a file or a folder of it with --text"):
        prepare(request(corpora, tmp_path, experiment="text", grid=("text=0,5",)))
    some = Experiment("some", "", students=(Student("a", 0.5, 0.5, foreign=True, assignments=("distill.text=5",)),))
    for asked, label in (("text", "SM"), (some, "a")):
        with pytest.raises(InputError, match=f": {label} is to be shown text, and there is none"):
            prepare(request(corpora, tmp_path, experiment=asked))


def test_points_that_differ_in_the_seventh_digit_are_two_columns():
    fixed = Experiment("mine", "", students=(Student("a", 0.5, 0.5),))
    assert len({s.label for s in with_grid(fixed, parse_grid(["alpha=0.30000001,0.3"])).students}) == 2


def test_a_temperature_that_nothing_reads_is_refused(corpora, tmp_path):
    with pytest.raises(InputError, match=r"match=mse has no temperature; add --set=distill\.match=soft"):
        prepare(request(corpora, tmp_path, grid=("alpha=0,0.5", "tau=1,2")))
    (plan,), _ = prepare(
        request(corpora, tmp_path, grid=("alpha=0,0.5", "tau=1,2"), assignments=(*SIZES, "match=soft"))
    )
    assert len(plan.students(None)[0].specs) == 4


def test_every_point_is_trained_and_shown(corpora, tmp_path):
    text = ask(
        corpora,
        tmp_path / "w",
        seeds="1",
        targets=["First"],
        grid=("alpha=0,0.5", "learning_rate=0.001,0.01"),
        epochs=1,
    )
    with (tmp_path / "w" / "results.csv").open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    assert len([label for label in labels if label.startswith("SM alpha=")]) == 4
    assert "SM alpha=0.5" in text
    assert list((tmp_path / "w" / "report").rglob("grid*.png"))
