"""What an experiment is: the columns of a table, and what teaches the students among them."""

import itertools
from dataclasses import dataclass
from typing import Literal

from kd_jax.settings import Head
from kd_jax.structs import LossWeights


class Grid(tuple[float, ...]):
    """Values to choose from: each corpus gets the one that is best on its devel, trained on its train."""

    __slots__ = ()

    def __new__(cls, *values: float) -> "Grid":
        """Grid(0, 0.5, 1)."""
        return super().__new__(cls, values)


@dataclass(frozen=True)
class Teacher:
    """A model that teaches.

    Attributes:
        head: its output layer.
        model: "MTM", trained on all corpora, or "STM", trained on the student's alone (born-again networks, Furlanello
            et al. 2018; with other corpora's sentences, self-training).
        seeds: "own" teaches students by the teacher of their own seed, "first" all of them by that of the first seed,
            "every" by the mean of the teachers of all seeds, numbers by that of the teachers of these seeds, whatever
            seeds are run; "" as the setting distill.teacher says.
        corpora: of --datasets that an MTM learns from, its students' own among them; () for all of them. Beside the
            table's own MTM such a teacher only teaches.
        external: the name under which `kd-jax teach` stored what a model of another kind says; it has neither head,
            model, seeds nor corpora, and no BiLSTM whose states could be matched.
    """

    head: Head = "softmax"
    model: Literal["MTM", "STM"] = "MTM"
    seeds: Literal["", "own", "first", "every"] | tuple[int, ...] = ""
    corpora: tuple[str, ...] = ()
    external: str = ""


@dataclass(frozen=True)
class Average:
    """A column that trains nothing: the mean logits of the models of all seeds that are run, decoded like one model's.

    It is what an ensemble's students are to be measured by: what their teachers have together, or what as many
    single-task models would have had.

    Attributes:
        label: the column's name, such as "3 STMs averaged".
        model: "MTM" or "STM".
        head: of the models.
    """

    label: str
    model: Literal["MTM", "STM"] = "MTM"
    head: Head = "softmax"


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
        foreign: whether it is also shown other corpora's sentences, which have a teacher's outputs but no labels.
        teachers: who teaches it; None for the experiment's teachers.
        start: where its parameters start: "random", at the "words" of its teacher, or at all of its teacher's
            "parameters" (fine-tuning).
        assignments: settings of its own, as for --set: sizes, how the teacher is matched, label smoothing.
        learning_rate: of its own, where the schedule is highest; None for the run's. Unlike one among the assignments
            it is a number of a lane, so that students that differ in it train as one program.
    """

    label: str
    alpha: float | Grid
    beta: float | Grid
    gamma: float | Grid = 0.0
    kappa: float | Grid = 0.0
    tau: float | Grid = 1.0
    foreign: bool = False
    teachers: tuple[Teacher, ...] | None = None
    start: Literal["random", "words", "parameters"] = "random"
    assignments: tuple[str, ...] = ()
    learning_rate: float | None = None

    @property
    def choices(self) -> tuple[LossWeights, ...]:
        """Every combination of its weights in which some term reaches the logits; one where nothing is to choose."""
        fields = (self.alpha, self.beta, self.gamma, self.kappa, self.tau)
        values = [field if isinstance(field, Grid) else (field,) for field in fields]
        combinations = (LossWeights(*map(float, combination)) for combination in itertools.product(*values))
        return tuple(weights for weights in combinations if weights.alpha or weights.beta)


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
        teachers: the models that teach; the logits of several are averaged.
        students: the columns beside STM and MTM.
        averages: columns of several models' mean.
        assignments: settings that it needs, as for --set; the user's go over them.
        pairs: labels of columns whose difference is in question, named before the run; tests over corpora are then
            about these pairs alone, and corrected for as many. None for all pairs.
        grid: names and values of a grid whose points its students are; nothing for a table of columns.
        parts: names of the experiments that this one is made of; it has then no columns of its own.
    """

    name: str
    title: str
    table: int | None = None
    head: Head = "softmax"
    single: tuple[Head, ...] = ("softmax",)
    multi: tuple[Head, ...] = ("softmax",)
    teachers: tuple[Teacher, ...] = (Teacher(),)
    students: tuple[Student, ...] = ()
    averages: tuple[Average, ...] = ()
    assignments: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    grid: tuple[tuple[str, tuple[float, ...]], ...] = ()
    parts: tuple[str, ...] = ()


def plain_label(kind: str, head: Head) -> str:
    """The table's column of models that are not taught: STM, STM-CRF, MTM or MTM-CRF."""
    return f"{kind}-CRF" if head == "crf" else kind
