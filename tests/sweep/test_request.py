"""What a user asked for, and the command that asks for it again."""

import shlex
from pathlib import Path

import pytest

from kd_jax import cli
from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Student, Teacher
from kd_jax.main import define
from kd_jax.sweep.request import Request, prepare


@pytest.mark.parametrize("request_", [
    Request(),
    Request(experiment="logits", seeds="3,5", datasets=["NCBI", "my corpus"], data_dir=Path("/a b"), epochs=2),
    Request(targets=["NCBI"], workdir=Path("w"), protocol="train", scheme="NCBI:IOB1", entity_type="Gene",
            assignments=("dropout=0.3", "words.vectors=it's here"), cluster="local:2", tensorboard=True),
])  # fmt: skip
def test_the_command_of_a_request_asks_for_the_same(request_):
    program, name, *words = shlex.split(request_.command)
    assert (program, name) == ("kd-jax", "train")
    flags = cli.Flags()
    define(flags)
    assert flags.values(["train", *words])[1:] == []
    given = {f: flags.values[f].value for f in Request.__dataclass_fields__ if f != "assignments"}
    again = Request(**given, assignments=tuple(flags.values.set))
    assert {f: v or None for f, v in vars(again).items()} == {f: v or None for f, v in vars(request_).items()}


def test_a_dry_run_is_not_part_of_it():
    assert (
        Request(dry_run=True, compile_for=["v5e"]).command
        == Request().command
        == "kd-jax train --experiment=recommended --seeds=5"
    )


def test_a_batch_of_one_row_has_no_room_for_sentences_without_labels():
    with pytest.raises(InputError, match=r"SM recommended: train\.rows=1 leaves no row"):
        prepare(Request(seeds="2", assignments=("train.rows=1",)))
    assert prepare(Request(experiment="logits", seeds="2", assignments=("train.rows=1",)))


def ensemble_beside_hidden_states(**of_ensemble):
    return Experiment(
        name="beside",
        title="Beside",
        teachers=(Teacher("softmax"),),
        students=(
            Student("task", alpha=0.5, beta=0.25, gamma=0.25),
            Student("ensemble", alpha=0.5, beta=0.5, teachers=(Teacher("softmax", seeds="every"),), **of_ensemble),
        ),
    )


def test_hidden_states_are_refused_to_the_students_of_several_teachers_alone():
    plans, _ = prepare(Request(experiment=ensemble_beside_hidden_states(), seeds="2"))
    assert sorted({len(group.teachers) for group in plans[0].students(None)}) == [1, 2]
    with pytest.raises(InputError, match="beside: ensemble: hidden states of several teachers have no common axes"):
        prepare(Request(experiment=ensemble_beside_hidden_states(gamma=0.5), seeds="2"))


@pytest.mark.parametrize(("experiment", "assignments"), [
    ("recommended", ("distill.foreign=0",)),
    ("recommended", ("match=hard",)),
    ("reproduction", ("distill.foreign=9",)),  # the others see no foreign sentences
])  # fmt: skip
def test_a_setting_that_every_student_has_of_its_own_is_refused(experiment, assignments):
    with pytest.raises(InputError, match=f"{assignments[0]}: nobody would read it: {experiment} has distill"):
        prepare(Request(experiment=experiment, seeds="2", assignments=assignments))


@pytest.mark.parametrize(("experiment", "assignments"), [
    ("recommended", ("distill.foreign=9", "distill.foreign=2000")),  # the last word, and what it has
    ("recommended", ("task_units=50",)),
    ("transfer", ("distill.foreign=9",)),
    ("paper", ("distill.match=soft",)),  # some of its parts have no match of their own
])  # fmt: skip
def test_a_setting_that_some_student_reads_is_not(experiment, assignments):
    assert prepare(Request(experiment=experiment, seeds="2", assignments=assignments))[0]
