"""What an experiment has to train: its models, each with an identity, grouped into cells that are one program each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kd_jax.files import digest
from kd_jax.settings import Experiment, Head, Settings, Student, to_dict
from kd_jax.types import Corpus, LossWeights

ALPHA_ONE_SEEDS = 1000
"""Added to the seeds of students without any matching term, which would else be the single-task model once more."""

GOLD_ONLY = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)
Kind = Literal["STM", "MTM", "SM"]


@dataclass(frozen=True)
class Member:
    """One model to train: a lane of a cell.

    Attributes:
        kind: single-task model, multi-task model or student.
        label: the table's column.
        seed: of initial values, order of the data, dropout.
        weights: of the loss terms.
        folder: where the trained model goes; its name ends in its identity.
        identity: hash of everything that decides what the trained model is.
    """

    kind: Kind
    label: str
    seed: int
    weights: LossWeights
    folder: Path
    identity: str


@dataclass(frozen=True)
class Cell:
    """Models that are trained together as lanes of one program.

    Attributes:
        kind: of all its members.
        head: of all its members.
        corpora: names; one, but for a teacher.
        members: the lanes.
        epochs: passes over the training sentences.
        teacher: identity of the model whose knowledge is used; "" without.
    """

    kind: Kind
    head: Head
    corpora: tuple[str, ...]
    members: tuple[Member, ...]
    epochs: int
    teacher: str = ""

    @property
    def title(self) -> str:
        """For people: what is trained on what."""
        on = self.corpora[0] if len(self.corpora) == 1 else f"{len(self.corpora)} corpora"
        return f"{'students' if self.kind == 'SM' else self.kind} on {on}"


@dataclass(frozen=True)
class Plan:
    """An experiment's cells in the order in which they run.

    Attributes:
        experiment: what was asked for.
        settings: of every cell.
        protocol: "train+devel" or "train".
        seeds: as asked for.
        single: one cell a corpus.
        teacher: the multi-task cell.
        students: one cell a corpus, none where the experiment has no students.
    """

    experiment: Experiment
    settings: Settings
    protocol: str
    seeds: tuple[int, ...]
    single: tuple[Cell, ...]
    teacher: Cell
    students: tuple[Cell, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All of them, in order."""
        return (*self.single, self.teacher, *self.students)


def seed_of(student: Student, seed: int) -> int:
    """The seed of a student: its own where no matching term would tell it from the single-task model."""
    return seed if student.beta or student.gamma or student.kappa else seed + ALPHA_ONE_SEEDS


def make_plan(
    experiment: Experiment,
    settings: Settings,
    corpora: Sequence[Corpus],
    hashes: dict[str, str],
    seeds: Sequence[int],
    protocol: str,
    workdir: Path,
) -> Plan:
    """The cells of an experiment.

    Args:
        experiment: from a file of experiments/.
        settings: of the run.
        corpora: that it runs on.
        hashes: of each corpus's content.
        seeds: of the table.
        protocol: "train+devel" or "train".
        workdir: where models go.

    Returns:
        Cells with every model named. A model's identity is a function of what decides its parameters and of nothing
        else, so that experiments in one work folder share their models.
    """
    head = experiment.teacher.head
    names = tuple(corpus.name for corpus in corpora)
    common = {"model": to_dict(settings.model), "train": to_dict(settings.train), "protocol": protocol, "head": head}
    teacher_epochs = settings.train.teacher_epochs or settings.train.epochs

    def member(kind: Kind, label: str, seed: int, weights: LossWeights, on: tuple[str, ...], taught: dict) -> Member:  # type: ignore[type-arg]
        made_from = common | {
            "kind": kind,
            "seed": seed,
            "weights": list(weights),
            "corpora": [[name, hashes[name]] for name in on],
            **taught,
        }
        identity = digest(made_from)[:12]
        name = f"{label.replace(' ', '-').replace('/', '-')}-{head}-seed{seed}-{identity}"
        folder = workdir / "teachers" / name if kind == "MTM" else workdir / "students" / on[0] / name
        return Member(kind, label, seed, weights, folder, identity)

    def plain(kind: Kind, on: tuple[str, ...], epochs: int) -> Cell:
        return Cell(kind, head, on, tuple(member(kind, kind, seed, GOLD_ONLY, on, {}) for seed in seeds), epochs)

    teacher = plain("MTM", names, teacher_epochs)
    taught = {"teacher": teacher.members[0].identity, "distill": to_dict(settings.distill)}

    def students_on(name: str) -> Cell:
        members = [
            member(
                "SM",
                student.label,
                seed_of(student, seed),
                LossWeights(student.alpha, student.beta, student.gamma, student.kappa, student.tau),
                (name,),
                taught,
            )
            for student in experiment.students
            for seed in seeds
        ]
        return Cell("SM", head, (name,), tuple(members), settings.train.epochs, teacher.members[0].identity)

    return Plan(
        experiment,
        settings,
        protocol,
        tuple(seeds),
        tuple(plain("STM", (name,), settings.train.epochs) for name in names),
        teacher,
        tuple(students_on(name) for name in names) if experiment.students else (),
    )
