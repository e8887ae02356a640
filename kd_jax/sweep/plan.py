"""What an experiment has to train: its models, each with an id, in lane groups that are one program each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kd_jax.experiment import Experiment, Student
from kd_jax.runtime.files import digest
from kd_jax.settings import DistillConfig, Head, Settings, to_dict
from kd_jax.structs import ALPHA_ONE_SEEDS, LossWeights

GOLD_ONLY = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)
Kind = Literal["STM", "MTM", "SM"]
Chosen = Mapping[tuple[str, str], LossWeights]
"""The weights that devel chose, by (corpus, student's label)."""


@dataclass(frozen=True)
class ModelSpec:
    """One model to train: a lane of a lane group.

    Attributes:
        kind: single-task model, multi-task model or student.
        label: the table's column.
        seed: of initial values, order of the data, dropout.
        weights: of the loss terms.
        folder: where the trained model goes; its name ends in its identity.
        model_id: hash of everything that decides what the trained model is.
        config_hash: of the same but the seed: what models that are averaged have in common.
    """

    kind: Kind
    label: str
    seed: int
    weights: LossWeights
    folder: Path
    model_id: str
    config_hash: str


@dataclass(frozen=True)
class LaneGroup:
    """Models that are trained together as lanes of one program.

    Attributes:
        experiment: name of the one that asks for it.
        settings: of the run.
        kind: of all its models.
        head: of all its models.
        corpora: names; one, but for a teacher.
        specs: the lanes.
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
    specs: tuple[ModelSpec, ...]
    epochs: int
    protocol: str
    teachers: tuple[ModelSpec, ...] = ()
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
    """An experiment's lane groups.

    Attributes:
        experiment: what was asked for.
        settings: of every lane group.
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

    @cached_property
    def fixed(self) -> tuple[LaneGroup, ...]:
        """Cells that wait for no choice: single-task models, multi-task models, and the tuning itself."""
        ask = self.experiment
        single = [self._plain("STM", head, (name,), self.seeds) for name in self.targets for head in ask.single]
        return (*single, *self.multi.values(), *self.tuning)

    @cached_property
    def multi(self) -> dict[Head, LaneGroup]:
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

    @cached_property
    def tuning(self) -> tuple[LaneGroup, ...]:
        """For each corpus the candidates of all students that have something to choose, trained on train, one seed."""
        tuned = [student for student in self.experiment.students if len(student.choices) > 1]
        groups = []
        for name in self.targets if tuned else ():
            for foreign in sorted({student.foreign for student in tuned}):
                mine = [student for student in tuned if student.foreign == foreign]
                choices = dict.fromkeys(weights for student in mine for weights in student.choices)
                lanes = [(describe(weights), self.seeds[0], weights) for weights in choices]
                teachers = self._teachers(self.seeds[0])
                groups.append(self._students(name, lanes, teachers, self._for_tuning, foreign=foreign, purpose="tune"))
        return tuple(groups)

    @property
    def _for_tuning(self) -> str:
        return "train+clean" if "clean" in self.protocol else "train"

    def students(self, chosen: Chosen | None) -> tuple[LaneGroup, ...]:
        """The lane groups of the table's students.

        Args:
            chosen: the weights of every student that had something to choose; None to count lanes before that.
        """
        groups = []
        own = self.settings.distill.teacher == "own"
        for name in self.targets:
            by_teachers: dict[tuple[bool, tuple[ModelSpec, ...]], list[tuple[str, int, LossWeights]]] = {}
            for student in self.experiment.students:
                choices = student.choices
                weights = choices[0] if len(choices) == 1 or chosen is None else chosen[name, student.label]
                for seed in self.seeds:
                    teachers = self._teachers(seed if own else self.seeds[0])
                    lane = (student.label, seed_of(student, weights, seed), weights)
                    by_teachers.setdefault((student.foreign, teachers), []).append(lane)
            groups += [
                self._students(name, lanes, teachers, self.protocol, foreign=foreign)
                for (foreign, teachers), lanes in by_teachers.items()
            ]
        return tuple(groups)

    def _teachers(self, seed: int) -> tuple[ModelSpec, ...]:
        specs = [spec for head in self.experiment.teachers for spec in self.multi[head].specs]
        return tuple(m for m in specs if self.experiment.every_seed or m.seed == seed)

    def _plain(self, kind: Kind, head: Head, on: tuple[str, ...], seeds: Iterable[int]) -> LaneGroup:
        epochs = self.settings.train.epochs
        if kind == "MTM":
            epochs = self.settings.train.teacher_epochs or epochs
        group = LaneGroup(self.experiment.name, self.settings, kind, head, on, (), epochs, self.protocol)
        label = f"{kind}-CRF" if head == "crf" else kind
        return replace(group, specs=tuple(self._member(group, label, seed, GOLD_ONLY) for seed in seeds))

    def _students(
        self,
        name: str,
        lanes: Sequence[tuple[str, int, LossWeights]],
        teachers: tuple[ModelSpec, ...],
        protocol: str,
        *,
        foreign: bool,
        purpose: Literal["table", "tune"] = "table",
    ) -> LaneGroup:
        train, head = self.settings.train, self.experiment.head
        epochs = (train.tuning_epochs or train.epochs) if purpose == "tune" else train.epochs
        group = LaneGroup(
            self.experiment.name, self.settings, "SM", head, (name,), (), epochs, protocol, teachers, foreign, purpose
        )
        return replace(group, specs=tuple(self._member(group, *lane) for lane in lanes))

    def comparison_key(self, group: LaneGroup) -> str:
        """What a group's rows must share to be compared: with all of their table, and, after a dot, with their column.

        Corpora of a column differ in their own text and, where weights are chosen, in these; not in anything else.
        """
        table = digest([to_dict(self.settings.model), to_dict(self.settings.train), self.vectors])
        column: list[Any] = [[name, self.corpora[name]] for name in group.corpora] if group.kind == "MTM" else []
        if group.kind == "SM":
            column = [self._taught_by(group.teachers), self._distill(group)]
        return f"{table[:12]}.{digest(column)[:12]}"

    def _taught_by(self, teachers: Sequence[ModelSpec]) -> list[str]:
        """What students of different seeds have in common of their teachers: these, or how each one's own was made."""
        own = self.settings.distill.teacher == "own" and not self.experiment.every_seed
        return [teacher.config_hash if own else teacher.model_id for teacher in teachers]

    def _distill(self, group: LaneGroup) -> dict[str, Any]:
        """The distillation's settings, those without effect on the lane group at their defaults."""
        distill, default = self.settings.distill, DistillConfig()
        if not group.foreign:
            distill = replace(distill, foreign=default.foreign)
        if len(group.teachers) == 1:
            distill = replace(distill, ensemble=default.ensemble)
        return to_dict(distill)

    def _member(self, group: LaneGroup, label: str, seed: int, weights: LossWeights) -> ModelSpec:
        train = to_dict(self.settings.train)
        for elsewhere in ("epochs", "teacher_epochs", "tuning_epochs", *(() if group.kind == "MTM" else ("sampling",))):
            del train[elsewhere]
        made_from: dict[str, Any] = {
            "kind": group.kind,
            "head": group.head,
            "model": to_dict(self.settings.model),
            "train": train,
            "epochs": group.epochs,
            "protocol": group.protocol,
            "weights": list(weights),
            "corpora": [[name, self.corpora[name]] for name in group.corpora],
        }
        words = made_from["model"]["words"]
        words["vectors"] = self.vectors
        del words["least_coverage"]
        if not words["train_after"]:  # a model from before there was a choice is the same model
            del words["train_after"]
        if self.settings.model.compute == "float32":
            del made_from["model"]["compute"]
        teachers = group.teachers if matches(weights) or group.foreign else ()
        if teachers:
            made_from["teachers"] = [teacher.model_id for teacher in teachers]
            made_from["distill"] = self._distill(group)
            made_from["foreign"] = group.foreign
        model_id = digest(made_from | {"seed": seed})[:12]
        config_hash = digest(made_from | {"teachers": self._taught_by(teachers)})[:12]
        what = describe(weights).replace(" ", "-") if group.kind == "SM" else group.kind
        name = f"{what}-{group.head}-seed{seed}-{model_id}"
        place = "teachers" if group.kind == "MTM" else "tuning" if group.purpose == "tune" else "students"
        folder = self.workdir / place / ("" if group.kind == "MTM" else group.corpora[0]) / name
        return ModelSpec(group.kind, label, seed, weights, folder, model_id, config_hash)


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
