"""A grid from the command line: an experiment whose columns are the points, trained as lanes of one program."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kd_jax.errors import InputError, nearest
from kd_jax.experiment import Experiment, Grid, Student
from kd_jax.structs import LossWeights

SENTENCES = {"text": "distill.text", "foreign": "distill.foreign"}  # axes that are settings: how many are shown
WEIGHTS = (*LossWeights._fields, "learning_rate")
NAMES = (*WEIGHTS, *SENTENCES)
AT_MOST = 2  # a table and a picture show no more at once
Axes = tuple[tuple[str, tuple[float, ...]], ...]


def parse_grid(texts: Sequence[str]) -> Axes:
    """The axes of a grid from the values of --grid.

    Args:
        texts: such as "alpha=0,.25,.5,1".

    Raises:
        InputError: for an unknown name, one that is given twice, a value that is no number (of sentences no whole one)
            or too many axes.

    >>> parse_grid(["alpha=0,.5,1", "learning_rate=.001,.002"])
    (('alpha', (0.0, 0.5, 1.0)), ('learning_rate', (0.001, 0.002)))
    """
    axes: dict[str, tuple[float, ...]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        if name not in NAMES:
            raise InputError(f"--grid={text:.80}: {nearest(name, NAMES)}")
        if name in axes:
            raise InputError(f"--grid={text:.80}: {name} is given twice; write all of its values into one")
        try:
            numbers = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise InputError(f"--grid={text:.80}: write numbers, such as --grid={name}=0.1,0.2") from None
        if name in SENTENCES and not all(number >= 0 and number.is_integer() for number in numbers):
            raise InputError(f"--grid={text:.80}: write whole numbers of sentences, such as --grid={name}=0,500,2000")
        if len(set(numbers)) < len(numbers):
            raise InputError(f"--grid={text:.80}: a value stands there twice")
        axes[name] = numbers
    if len(axes) > AT_MOST:
        raise InputError(f"--grid: {len(axes)} axes; give at most {AT_MOST}, which a table and a picture can show")
    return tuple(axes.items())


def with_grid(experiment: Experiment, axes: Axes) -> Experiment:
    """An experiment whose students are all points of a grid.

    What the grid does not name is as in the experiment's students: one number, or 1 - alpha where their alpha and beta
    always add up to 1. The points are an experiment of their own, NAME-grid, which shares its models with others.
    Students of several kinds, each of a kind of its own, are each taken to every point.

    Args:
        experiment: whose students are of one kind, or each of another.
        axes: as `parse_grid` gives them.

    Raises:
        InputError: where the students leave something open, or some are of one kind and others of another.
    """
    where = f"--experiment={experiment.name} --grid"
    if not experiment.students or experiment.parts:
        raise InputError(f"{where}: it has no students of its own; try --experiment=logits")
    kinds: dict[object, list[Student]] = {}
    for student in experiment.students:
        kinds.setdefault((student.foreign, student.start, student.assignments, student.teachers), []).append(student)
    if 1 < len(kinds) < len(experiment.students):
        raise InputError(f"{where}: its students are of {len(kinds)} kinds; write a file with one of them")
    points = []
    for students in kinds.values():
        points += _points(students, dict(axes), where, "SM" if len(kinds) == 1 else students[0].label)
    title = f"{experiment.title}: every point of a grid"
    name = f"{experiment.name}-grid"
    return replace(
        experiment, name=name, title=title, table=None, students=tuple(points), pairs=(), averages=(), grid=axes
    )


def _points(
    students: Sequence[Student], given: dict[str, tuple[float, ...]], where: str, name_of: str
) -> list[Student]:
    """Students of one kind at every point."""
    mixed = all(
        not isinstance(s.alpha, Grid) and not isinstance(s.beta, Grid) and abs(s.alpha + s.beta - 1) < 1e-9
        for s in students
    )
    rest: dict[str, float | None] = {}
    for name in WEIGHTS:
        values = {getattr(student, name) for student in students}
        if name in given or (name in ("alpha", "beta") and mixed and {"alpha", "beta"} & given.keys()):
            continue
        if len(values) > 1 or any(isinstance(value, Grid) for value in values):
            raise InputError(f"{where}: its students differ in {name}; give its values too: --grid {name}=...")
        (rest[name],) = values
    shown = sorted(SENTENCES.keys() & given.keys())
    if shown and not students[0].foreign:
        raise InputError(f"{where}={shown[0]}: {students[0].label!r} has its own sentences alone; write foreign=True")
    points = []
    for numbers in itertools.product(*given.values()):
        point = dict(zip(given, numbers, strict=True))
        label = f"{name_of} " + " ".join(f"{name}={value:.10g}" for name, value in point.items())
        for name, other in (("alpha", "beta"), ("beta", "alpha")):
            if mixed and other not in given and not 0 <= point.get(name, 0) <= 1:
                raise InputError(f"{where}={name}={point[name]:g}: {other} is what {name} leaves of 1; give 0 to 1")
        sentences = {SENTENCES[name]: point.pop(name) for name in SENTENCES if name in point}
        if mixed and "alpha" in point and "beta" not in given:
            point["beta"] = 1 - point["alpha"]
        elif mixed and "beta" in point and "alpha" not in given:
            point["alpha"] = 1 - point["beta"]
        numbers_of: dict[str, Any] = rest | point
        assignments = tuple(a for a in students[0].assignments if a.partition("=")[0] not in sentences)
        assignments += tuple(f"{setting}={number:.0f}" for setting, number in sentences.items())
        points.append(replace(students[0], label=label, assignments=assignments, **numbers_of))
    return points
