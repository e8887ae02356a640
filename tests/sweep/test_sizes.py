"""Students of sizes of their own: states of a wider teacher are matched, and what is saved is the tagger alone."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import carry_out, request

from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Student
from kd_jax.sweep.forecast import known_width
from kd_jax.sweep.request import prepare
from kd_jax.training.saved_model import load_model

SMALL = ("shared_units=2", "task_units=3", "hidden_units=3", "words.dim=4")
SIZES = Experiment(
    name="of_sizes",
    title="Students of sizes of their own",
    single=(),
    multi=(),
    students=(
        Student("SM small", alpha=0.5, beta=0.5, gamma=0.5, kappa=0.5, assignments=SMALL),
        Student("alone small", alpha=1.0, beta=0.0, assignments=SMALL),
        Student("SM", alpha=0.5, beta=0.5, gamma=0.5, kappa=0.5),
    ),
)


def asked_for(corpora, workdir, experiment=SIZES):
    return request(corpora, workdir, experiment=experiment, targets=("First",), seeds="1")


def test_they_train_and_the_projection_stays_behind(corpora, tmp_path):
    asked = asked_for(corpora, tmp_path / "w")
    carry_out(asked)
    (plan,), _ = prepare(asked)
    of = {spec.label: (group, spec) for group in plan.students(None) for spec in group.specs}
    for label, units in (("SM small", 3), ("alone small", 3), ("SM", 4)):
        params = load_model(of[label][1].folder).params
        assert set(params) == {"words", "encoder", "branch"}
        assert params["branch"]["logits"]["kernel"].shape[-2] == units
        assert all(np.isfinite(x).all() for x in (params["words"], params["branch"]["logits"]["kernel"]))
    labels = 3
    # What a teacher of 4 units a direction says, whatever the student's width is.
    assert {known_width(of[label][0], labels) for label in ("SM small", "SM")} == {labels + 2 * 4 + 2 * 4}


@pytest.mark.parametrize(
    ("start", "assignments", "message"),
    [
        ("words", ("words.dim=4",), "words.dim=4 can't start from the teacher's words of 6 numbers"),
        ("parameters", ("task_units=3",), 'start="parameters" needs the teacher\'s sizes'),
    ],
)
def test_a_start_that_does_not_fit_is_one_line(corpora, tmp_path, start, assignments, message):
    student = Student("SM", alpha=0.5, beta=0.5, start=start, assignments=assignments)
    with pytest.raises(InputError, match=message):
        prepare(asked_for(corpora, tmp_path / "w", replace(SIZES, students=(student,))))


def test_vectors_of_another_size_are_one_line(corpora, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\n".join(f"a{c} 1 2 3 4 5 6" for c in "klmnpr") + "\n")
    with_vectors = replace(SIZES, assignments=(f"words.vectors={words}",))
    with pytest.raises(InputError, match=r"SM small: words.dim=4, and the vectors of words.vectors have 6 numbers"):
        prepare(asked_for(corpora, tmp_path / "w", with_vectors))


def test_vectors_of_a_column_are_one_line(corpora, tmp_path):
    """A run reads one file: a column's own would be ignored."""
    student = Student("SM", alpha=0.5, beta=0.5, assignments=("words.vectors=mine.npz",))
    with pytest.raises(InputError, match=r"SM: words.vectors=mine.npz of its own; a run reads one file of vectors"):
        prepare(asked_for(corpora, tmp_path / "w", replace(SIZES, students=(student,))))
