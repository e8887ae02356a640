"""A grid from the command line: an experiment whose columns are the points, trained as lanes of one program."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from kd_jax.errors import InputError, nearest
from kd_jax.experiment import Experiment, Grid
from kd_jax.structs import LossWeights

NAMES = (*LossWeights._fields, "learning_rate")
AT_MOST = 2  # a table and a picture show no more at once
Axes = tuple[tuple[str, tuple[float, ...]], ...]


def parse_grid(texts: Sequence[str]) -> Axes:
    """The axes of a grid from the values of --grid.

    Args:
        texts: such as "alpha=0,.25,.5,1".

    Raises:
        InputError: for an unknown name, one that is given twice, a value that is no number or too many axes.

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

    Args:
        experiment: whose students are of one kind.
        axes: as `parse_grid` gives them.

    Raises:
        InputError: where the students leave something open, or are of several kinds.
    """
    students, given = experiment.students, dict(axes)
    where = f"--experiment={experiment.name} --grid"
    if not students or experiment.parts:
        raise InputError(f"{where}: it has no students of its own; try --experiment=logits")
    kinds = {(s.foreign, s.start, s.assignments, s.teachers) for s in students}
    if len(kinds) > 1:
        raise InputError(f"{where}: its students are of {len(kinds)} kinds; write a file with one of them")
    mixed = all(
        not isinstance(s.alpha, Grid) and not isinstance(s.beta, Grid) and abs(s.alpha + s.beta - 1) < 1e-9
        for s in students
    )
    rest: dict[str, float | None] = {}
    for name in NAMES:
        values = {getattr(student, name) for student in students}
        if name in given or (name in ("alpha", "beta") and mixed and {"alpha", "beta"} & given.keys()):
            continue
        if len(values) > 1 or any(isinstance(value, Grid) for value in values):
            raise InputError(f"{where}: its students differ in {name}; give its values too: --grid {name}=...")
        (rest[name],) = values
    points = []
    for numbers in itertools.product(*given.values()):
        point = dict(zip(given, numbers, strict=True))
        label = "SM " + " ".join(f"{name}={value:.10g}" for name, value in point.items())
        for name, other in (("alpha", "beta"), ("beta", "alpha")):
            if mixed and other not in given and not 0 <= point.get(name, 0) <= 1:
                raise InputError(f"{where}={name}={point[name]:g}: {other} is what {name} leaves of 1; give 0 to 1")
        if mixed and "alpha" in point and "beta" not in given:
            point["beta"] = 1 - point["alpha"]
        elif mixed and "beta" in point and "alpha" not in given:
            point["alpha"] = 1 - point["beta"]
        numbers_of: dict[str, Any] = rest | point
        points.append(replace(students[0], label=label, **numbers_of))
    title = f"{experiment.title}: every point of a grid"
    name = f"{experiment.name}-grid"
    return replace(
        experiment, name=name, title=title, table=None, students=tuple(points), pairs=(), averages=(), grid=axes
    )
