"""What an experiment is, the columns of a table and what teaches the students among them, and where it is found."""

import itertools
import runpy
from dataclasses import dataclass
from pathlib import Path

from kd_jax import cli
from kd_jax.errors import InputError, nearest
from kd_jax.settings import Head
from kd_jax.structs import LossWeights


class Grid(tuple[float, ...]):
    """Values to choose from: each corpus gets the one that is best on its devel, trained on its train."""

    __slots__ = ()

    def __new__(cls, *values: float) -> "Grid":
        """Grid(0, 0.5, 1)."""
        return super().__new__(cls, values)


@dataclass(frozen=True)
class Student:
    """A student of one table column: its label and its loss weights.

    Attributes:
        label: the column's name, such as "SM a=0.5".
        alpha: weight of the cross-entropy with the gold labels, or of the CRF's negative log-likelihood.
        beta: weight of the logits' squared error, or of the soft labels.
        gamma: weight of the task BiLSTM outputs' squared error.
        kappa: weight of the shared BiLSTM outputs' squared error.
        tau: temperature of soft labels.
        foreign: whether it is also shown other corpora's sentences, which have knowledge but no labels.
    """

    label: str
    alpha: float | Grid
    beta: float | Grid
    gamma: float | Grid = 0.0
    kappa: float | Grid = 0.0
    tau: float | Grid = 1.0
    foreign: bool = False

    @property
    def choices(self) -> tuple[LossWeights, ...]:
        """Every combination of its weights in which some term reaches the logits; one where nothing is to choose."""
        fields = (self.alpha, self.beta, self.gamma, self.kappa, self.tau)
        values = [field if isinstance(field, Grid) else (field,) for field in fields]
        found = (LossWeights(*map(float, combination)) for combination in itertools.product(*values))
        return tuple(weights for weights in found if weights.alpha or weights.beta)


@dataclass(frozen=True)
class Experiment:
    """One table of the paper, or a study beyond it.

    Attributes:
        name: as on the command line.
        title: one line for people.
        table: number of the paper's table, or None.
        head: output layer of the students.
        single: output layers of the single-task models shown beside them.
        multi: output layers of the multi-task models shown beside them.
        teachers: output layers of the multi-task models that teach; the logits of several are averaged.
        every_seed: whether the teachers of all seeds are averaged, not only those of one.
        students: the columns beside STM and MTM.
        assignments: settings that it needs, as for --set; the user's go over them.
        parts: names of the experiments that this one is made of; it has then no columns of its own.
    """

    name: str
    title: str
    table: int | None = None
    head: Head = "softmax"
    single: tuple[Head, ...] = ("softmax",)
    multi: tuple[Head, ...] = ("softmax",)
    teachers: tuple[Head, ...] = ("softmax",)
    every_seed: bool = False
    students: tuple[Student, ...] = ()
    assignments: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()


_PACKAGE = Path(__file__).resolve().parent


def _place(bundled: str, checkout: str) -> Path:
    inside = _PACKAGE / "_bundled" / bundled
    return inside if inside.is_dir() else _PACKAGE.parent / checkout


def sample_corpora() -> Path:
    """Folder of the bundled sample corpora."""
    return _place("sample", "data/sample")


def experiments() -> dict[str, Path]:
    """The experiment files that come along, by name."""
    return {path.stem: path for path in sorted(_place("experiments", "experiments").glob("[!_]*.py"))}


def load_experiment(name: str) -> Experiment:
    """The experiment of a name, or of a file of one's own.

    Args:
        name: such as "logits", or the path of a .py file that sets EXPERIMENT.

    Raises:
        InputError: for an unknown name, with the nearest ones, or a file without EXPERIMENT.
    """
    path = experiments().get(name)
    if path is None:
        path = cli.path(name, "any", "--experiment=")
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"--experiment={name}: no such experiment; {nearest(name, experiments())}")
    try:
        found = runpy.run_path(str(path)).get("EXPERIMENT")
    except Exception as fault:
        raise InputError(f"{path}: can't be run ({type(fault).__name__}: {fault})") from fault
    if not isinstance(found, Experiment):
        raise InputError(
            f"{path}: sets no EXPERIMENT = Experiment(...); see {experiments()['logits']} for one that does"
        )
    return found
