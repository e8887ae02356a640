"""What an experiment has to train: its models, each with an identity, grouped into cells that are one program each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kd_jax.experiment import Experiment, Student
from kd_jax.runtime.files import digest
from kd_jax.settings import Distill, Head, Settings, to_dict
from kd_jax.structs import ALPHA_ONE_SEEDS, LossWeights

GOLD_ONLY = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)
Kind = Literal["STM", "MTM", "SM"]
Chosen = Mapping[tuple[str, str], LossWeights]
"""The weights that devel chose, by (corpus, student's label)."""


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
        config_hash: of the same but the seed: what models that are averaged have in common.
    """

    kind: Kind
    label: str
    seed: int
    weights: LossWeights
    folder: Path
    identity: str
    config_hash: str


@dataclass(frozen=True)
class Cell:
    """Models that are trained together as lanes of one program.

    Attributes:
        experiment: name of the one that asks for it.
        settings: of the run.
        kind: of all its members.
        head: of all its members.
        corpora: names; one, but for a teacher.
        members: the lanes.
        epochs: passes over the training sentences.
        protocol: what is trained on.
        teachers: the models whose knowledge is used, its mean where they are several.
        foreign: whether other corpora's sentences are used too.
        purpose: "table" for models that are shown, "teach" for teachers that are not, "tune" to choose weights.
    """

    experiment: str
    settings: Settings
    kind: Kind
    head: Head
    corpora: tuple[str, ...]
    members: tuple[Member, ...]
    epochs: int
    protocol: str
    teachers: tuple[Member, ...] = ()
    foreign: bool = False
    purpose: Literal["table", "teach", "tune"] = "table"

    @property
    def title(self) -> str:
        """For people: what is trained on what."""
        what = {"SM": "students", "STM": "STM", "MTM": "MTM"}[self.kind] + ("-CRF" if self.head == "crf" else "")
        on = self.corpora[0] if len(self.corpora) == 1 else f"{len(self.corpora)} corpora"
        return f"{'choosing weights of ' if self.purpose == 'tune' else ''}{what} on {on}"

    @property
    def splits(self) -> tuple[str, ...]:
        """What is trained on."""
        return tuple(part for part in self.protocol.split("+") if part != "clean")


@dataclass(frozen=True)
class Plan:
    """An experiment's cells.

    Attributes:
        experiment: what was asked for.
        settings: of every cell.
        corpora: content hashes by name, in order.
        seeds: as asked for.
        protocol: "train+devel" or "train".
        workdir: where models go.
        targets: the corpora that single-task models and students are trained for; teachers learn from all.
        vectors: hash of the file of pretrained word vectors; "" without.
    """

    experiment: Experiment
    settings: Settings
    corpora: Mapping[str, str]
    seeds: tuple[int, ...]
    protocol: str
    workdir: Path
    targets: tuple[str, ...]
    vectors: str = ""

    @property
    def fixed(self) -> tuple[Cell, ...]:
        """Cells that wait for no choice: single-task models, multi-task models, and the tuning itself."""
        ask = self.experiment
        single = [self._plain("STM", head, (name,), self.seeds) for name in self.targets for head in ask.single]
        return (*single, *self.multi.values(), *self.tuning)

    @property
    def multi(self) -> dict[Head, Cell]:
        """The multi-task models by their output layer; of those that only teach no more seeds than teach."""
        ask = self.experiment
        shown = {head: self._plain("MTM", head, tuple(self.corpora), self.seeds) for head in ask.multi}
        many = ask.every_seed or self.settings.distill.teacher == "own"
        taught = ask.teachers if ask.students else ()
        hidden = {
            head: replace(
                self._plain("MTM", head, tuple(self.corpora), self.seeds if many else self.seeds[:1]), purpose="teach"
            )
            for head in taught
            if head not in shown
        }
        return shown | hidden

    @property
    def tuning(self) -> tuple[Cell, ...]:
        """For each corpus the candidates of all students that have something to choose, trained on train, one seed."""
        tuned = [student for student in self.experiment.students if len(student.choices) > 1]
        cells = []
        for name in self.targets if tuned else ():
            for foreign in sorted({student.foreign for student in tuned}):
                mine = [student for student in tuned if student.foreign == foreign]
                choices = dict.fromkeys(weights for student in mine for weights in student.choices)
                lanes = [(describe(weights), self.seeds[0], weights) for weights in choices]
                teachers = self._teachers(self.seeds[0])
                cells.append(self._students(name, lanes, teachers, self._for_tuning, foreign=foreign, purpose="tune"))
        return tuple(cells)

    @property
    def _for_tuning(self) -> str:
        return "train+clean" if "clean" in self.protocol else "train"

    def students(self, chosen: Chosen | None) -> tuple[Cell, ...]:
        """The cells of the table's students.

        Args:
            chosen: the weights of every student that had something to choose; None to count lanes before that.
        """
        cells = []
        own = self.settings.distill.teacher == "own"
        for name in self.targets:
            by_teachers: dict[tuple[bool, tuple[Member, ...]], list[tuple[str, int, LossWeights]]] = {}
            for student in self.experiment.students:
                choices = student.choices
                weights = choices[0] if len(choices) == 1 or chosen is None else chosen[name, student.label]
                for seed in self.seeds:
                    teachers = self._teachers(seed if own else self.seeds[0])
                    lane = (student.label, seed_of(student, weights, seed), weights)
                    by_teachers.setdefault((student.foreign, teachers), []).append(lane)
            cells += [
                self._students(name, lanes, teachers, self.protocol, foreign=foreign)
                for (foreign, teachers), lanes in by_teachers.items()
            ]
        return tuple(cells)

    def _teachers(self, seed: int) -> tuple[Member, ...]:
        members = [member for head in self.experiment.teachers for member in self.multi[head].members]
        return tuple(m for m in members if self.experiment.every_seed or m.seed == seed)

    def _plain(self, kind: Kind, head: Head, on: tuple[str, ...], seeds: Iterable[int]) -> Cell:
        epochs = self.settings.train.epochs
        if kind == "MTM":
            epochs = self.settings.train.teacher_epochs or epochs
        cell = Cell(self.experiment.name, self.settings, kind, head, on, (), epochs, self.protocol)
        label = f"{kind}-CRF" if head == "crf" else kind
        return replace(cell, members=tuple(self._member(cell, label, seed, GOLD_ONLY) for seed in seeds))

    def _students(
        self,
        name: str,
        lanes: Sequence[tuple[str, int, LossWeights]],
        teachers: tuple[Member, ...],
        protocol: str,
        *,
        foreign: bool,
        purpose: Literal["table", "tune"] = "table",
    ) -> Cell:
        train, head = self.settings.train, self.experiment.head
        epochs = (train.tuning_epochs or train.epochs) if purpose == "tune" else train.epochs
        cell = Cell(
            self.experiment.name, self.settings, "SM", head, (name,), (), epochs, protocol, teachers, foreign, purpose
        )
        return replace(cell, members=tuple(self._member(cell, *lane) for lane in lanes))

    def recipe(self, cell: Cell) -> str:
        """What a cell's rows must share to be compared: with all of their table, and, after a dot, with their column.

        Corpora of a column differ in their own text and, where weights are chosen, in these; not in anything else.
        """
        table = digest([to_dict(self.settings.model), to_dict(self.settings.train), self.vectors])
        column: list[Any] = [[name, self.corpora[name]] for name in cell.corpora] if cell.kind == "MTM" else []
        if cell.kind == "SM":
            column = [self._taught_by(cell.teachers), self._distill(cell)]
        return f"{table[:12]}.{digest(column)[:12]}"

    def _taught_by(self, teachers: Sequence[Member]) -> list[str]:
        """What students of different seeds have in common of their teachers: these, or how each one's own was made."""
        own = self.settings.distill.teacher == "own" and not self.experiment.every_seed
        return [teacher.config_hash if own else teacher.identity for teacher in teachers]

    def _distill(self, cell: Cell) -> dict[str, Any]:
        """The distillation's settings, those without effect on the cell at their defaults."""
        distill, default = self.settings.distill, Distill()
        if not cell.foreign:
            distill = replace(distill, foreign=default.foreign)
        if len(cell.teachers) == 1:
            distill = replace(distill, ensemble=default.ensemble)
        return to_dict(distill)

    def _member(self, cell: Cell, label: str, seed: int, weights: LossWeights) -> Member:
        train = to_dict(self.settings.train)
        for elsewhere in ("epochs", "teacher_epochs", "tuning_epochs", *(() if cell.kind == "MTM" else ("sampling",))):
            del train[elsewhere]
        made_from: dict[str, Any] = {
            "kind": cell.kind,
            "head": cell.head,
            "model": to_dict(self.settings.model),
            "train": train,
            "epochs": cell.epochs,
            "protocol": cell.protocol,
            "weights": list(weights),
            "corpora": [[name, self.corpora[name]] for name in cell.corpora],
        }
        words = made_from["model"]["words"]
        words["vectors"] = self.vectors
        del words["least_coverage"]
        if not words["train_after"]:  # a model from before there was a choice is the same model
            del words["train_after"]
        if self.settings.model.compute == "float32":
            del made_from["model"]["compute"]
        teachers = cell.teachers if matches(weights) or cell.foreign else ()
        if teachers:
            made_from["teachers"] = [teacher.identity for teacher in teachers]
            made_from["distill"] = self._distill(cell)
            made_from["foreign"] = cell.foreign
        identity = digest(made_from | {"seed": seed})[:12]
        config_hash = digest(made_from | {"teachers": self._taught_by(teachers)})[:12]
        what = describe(weights).replace(" ", "-") if cell.kind == "SM" else cell.kind
        name = f"{what}-{cell.head}-seed{seed}-{identity}"
        place = "teachers" if cell.kind == "MTM" else "tuning" if cell.purpose == "tune" else "students"
        folder = self.workdir / place / ("" if cell.kind == "MTM" else cell.corpora[0]) / name
        return Member(cell.kind, label, seed, weights, folder, identity, config_hash)


def seed_of(student: Student, weights: LossWeights, seed: int) -> int:
    """The seed of a student: one of its own where nothing would tell it from the single-task model."""
    return seed if matches(weights) or student.foreign else seed + ALPHA_ONE_SEEDS


def matches(weights: LossWeights) -> bool:
    """Whether any term of the loss hears the teacher."""
    return bool(weights.beta or weights.gamma or weights.kappa)


def describe(weights: LossWeights) -> str:
    """Weights as a model's label, without those that have no effect."""
    shown = {name: value for name, value in weights._asdict().items() if value != (1.0 if name == "tau" else 0.0)}
    return "SM " + " ".join(f"{name}={value:g}" for name, value in shown.items())
