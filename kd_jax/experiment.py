"""What an experiment is, the columns of a table and what teaches the students among them, and where it is found."""

import itertools
import runpy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from kd_jax import cli
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.files import kind_of, name_part
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
        external: the name under which `kd-jax teach` stored what a model of another kind says; it has neither head,
            model nor seeds, and no BiLSTM whose states could be matched.
    """

    head: Head = "softmax"
    model: Literal["MTM", "STM"] = "MTM"
    seeds: Literal["", "own", "first", "every"] | tuple[int, ...] = ""
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


def check_experiment(experiment: Experiment, where: str) -> None:
    """Refuse an experiment that could not be run as it says, as strictly as flags are.

    Args:
        experiment: what a file sets.
        where: the file.

    Raises:
        InputError: naming the field, its value and what it may be.
    """
    heads = get_args(Head)
    for field in ("single", "multi"):
        for head in getattr(experiment, field):
            if head not in heads:
                raise InputError(f"{where}: {field} has {head!r}; {nearest(str(head), heads)}")
    if experiment.head not in heads:
        raise InputError(f"{where}: head={experiment.head!r}; {nearest(str(experiment.head), heads)}")
    _check_columns(experiment, where)
    for student in experiment.students:
        _check_student(student, where)
        _check_match(student, experiment.teachers if student.teachers is None else student.teachers, where)
    for teacher in (*experiment.teachers, *(t for s in experiment.students for t in s.teachers or ())):
        _check_teacher(teacher, where)


def _check_columns(experiment: Experiment, where: str) -> None:
    for average in experiment.averages:
        if not isinstance(average, Average):
            raise InputError(f"{where}: averages has {average!r:.60}; write Average(label, model=...)")
        _check_kind(average, where)
    labels = [*(s.label for s in experiment.students), *(a.label for a in experiment.averages)]
    plain = [plain_label(kind, head) for kind in ("STM", "MTM") for head in get_args(Head)]
    shown = [plain_label("STM", head) for head in experiment.single]
    shown += [plain_label("MTM", head) for head in experiment.multi]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"{where}: two columns have the label {label!r}; give each a name of its own")
        if label in shown:  # rows of both would have one key, and the later ones would replace the others
            raise InputError(f"{where}: {label!r} is the column of a plain model; give yours a name of its own")
    written: dict[str, str] = {}
    for label in (*shown, *labels):  # counts by sentence are kept in files named after labels
        other = written.setdefault(name_part(label).casefold(), label)
        if other != label:
            raise InputError(f"{where}: labels {other!r} and {label!r} are one as a file's name; change more of one")
    for pair in experiment.pairs:
        if not isinstance(pair, tuple) or len(set(pair)) != 2:
            raise InputError(f"{where}: pairs has {pair!r:.60}; write two different columns, such as ('SM a=0', 'STM')")
        for label in pair:
            if label not in (*labels, *plain):
                raise InputError(f"{where}: pairs has {label!r}; {nearest(str(label), (*labels, *plain))}")


def plain_label(kind: str, head: Head) -> str:
    """The table's column of models that are not taught: STM, STM-CRF, MTM or MTM-CRF."""
    return f"{kind}-CRF" if head == "crf" else kind


def _check_student(student: Student, where: str) -> None:
    if not isinstance(student, Student):
        raise InputError(f"{where}: students has {student!r:.60}; write Student(...)")
    for field in ("alpha", "beta", "gamma", "kappa", "tau"):
        value = getattr(student, field)
        for number in value if isinstance(value, Grid) else (value,):
            least = "more than 0" if field == "tau" else "0 or more"
            if not isinstance(number, int | float) or not 0 <= number < float("inf") or (field == "tau" and not number):
                raise InputError(f"{where}: {student.label}: {field}={number!r:.40}; write a finite number, {least}")
    if not student.choices:
        raise InputError(f"{where}: {student.label}: no term reaches the logits; give alpha or beta a weight")
    rate = student.learning_rate
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise InputError(f"{where}: {student.label}: learning_rate={rate!r:.40}; write a finite number, more than 0")
    if student.start not in ("random", "words", "parameters"):
        known = ("random", "words", "parameters")
        raise InputError(f"{where}: {student.label}: start={student.start!r}; {nearest(str(student.start), known)}")


def _check_match(student: Student, teachers: tuple[Teacher, ...], where: str) -> None:
    """Refuse what a teacher that is none of ours does not have."""
    names = [teacher.external for teacher in teachers if isinstance(teacher, Teacher) and teacher.external]
    if not names:
        return
    if any(weights.gamma or weights.kappa for weights in student.choices):
        raise InputError(
            f"{where}: {student.label}: external teacher {names[0]!r} gives logits and no BiLSTM states;"
            " set gamma and kappa to 0"
        )
    if student.start != "random":
        raise InputError(
            f"{where}: {student.label}: external teacher {names[0]!r} has no {student.start} to start from;"
            ' write start="random"'
        )


def _check_teacher(teacher: Teacher, where: str) -> None:
    if not isinstance(teacher, Teacher):
        raise InputError(f"{where}: teachers has {teacher!r:.60}; write Teacher(head=...)")
    if teacher.external:
        if not isinstance(teacher.external, str):
            raise InputError(f"{where}: Teacher(external={teacher.external!r:.60}); write a name of kd-jax teach")
        if teacher != Teacher(external=teacher.external):
            raise InputError(
                f"{where}: Teacher(external={teacher.external!r}) has no head, model or seeds; leave them out"
            )
    _check_kind(teacher, where)
    value, known = teacher.seeds, ("own", "first", "every")
    if isinstance(value, tuple):
        if not value or len(set(value)) < len(value) or not all(type(n) is int and n >= 0 for n in value):
            raise InputError(f"{where}: Teacher(seeds={value!r:.60}); write different whole numbers, such as (1, 2, 3)")
    elif value not in ("", *known):
        raise InputError(f"{where}: Teacher(seeds={value!r}); {nearest(str(value), known)}")


def _check_kind(column: Teacher | Average, where: str) -> None:
    for field, known in (("head", get_args(Head)), ("model", ("MTM", "STM"))):
        value = getattr(column, field)
        if value not in known:
            raise InputError(f"{where}: {type(column).__name__}({field}={value!r}); {nearest(str(value), known)}")


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
    if path.suffix != ".py" or kind_of(path) != "file":
        raise InputError(f"--experiment={name}: no such experiment; {nearest(name, experiments())}")
    try:
        loaded = runpy.run_path(str(path)).get("EXPERIMENT")
    except Exception as fault:
        raise InputError(f"{path}: can't be run ({type(fault).__name__}: {fault})") from fault
    if not isinstance(loaded, Experiment):
        raise InputError(
            f"{path}: sets no EXPERIMENT = Experiment(...); see {experiments()['logits']} for one that does"
        )
    check_experiment(loaded, str(path))
    if loaded.name in experiments() and path != experiments()[loaded.name]:
        raise InputError(
            f"{path}: name={loaded.name!r} is a built-in experiment's; its rows would stand among that one's"
        )
    return loaded


def check_own(experiment: Experiment) -> None:
    """Refuse an experiment made in Python that could not be run, or that takes the name of a built-in one.

    Raises:
        InputError: as of `check_experiment`.
    """
    check_experiment(experiment, "experiment")
    if experiment.name in experiments() and experiment != load_experiment(experiment.name):
        raise InputError(
            f"experiment: name={experiment.name!r} is a built-in experiment's; its rows would stand among that one's"
        )
