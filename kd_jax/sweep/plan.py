"""What an experiment has to train: its models, each with an id, in lane groups that are one program each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from kd_jax.data.pipeline import Length
from kd_jax.distill.external import folder_of
from kd_jax.experiment import Experiment, Student, plain_label
from kd_jax.settings import Head, Settings, override
from kd_jax.structs import ALPHA_ONE_SEEDS, GOLD_ONLY, LossWeights
from kd_jax.sweep.identity import Identity, needs_teacher
from kd_jax.sweep.lane_group import Kind, LaneGroup, ModelSpec

TUNING_SEEDS = 2
"""Seeds that candidates are compared with: the least from which a standard error can be had."""

Chosen = Mapping[tuple[str, str], LossWeights]
"""The weights that devel chose, by (corpus, student's label)."""


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
        externals: hash of what teachers that are none of ours said, by (name, corpus).
        text: hash of the sentences of --text; "" without.
    """

    experiment: Experiment
    settings: Settings
    corpora: Mapping[str, str]
    seeds: tuple[int, ...]
    protocol: str
    workdir: Path
    targets: tuple[str, ...]
    vectors: str = ""
    externals: Mapping[tuple[str, str], str] = field(default_factory=dict)
    text: str = ""

    @cached_property
    def identity(self) -> Identity:
        """What tells its models from others."""
        return Identity(self.settings, self.corpora, self.vectors, self.text)

    @cached_property
    def fixed(self) -> tuple[LaneGroup, ...]:
        """Groups that wait for no choice: single-task models, multi-task models, and the tuning itself."""
        ask = self.experiment
        single = [self._plain("STM", head, (name,), self.seeds) for name in self.targets for head in ask.single]
        multi = [self._plain("MTM", head, tuple(self.corpora), self.seeds) for head in ask.multi]
        return (*single, *multi, *self._hidden_teachers([*single, *multi]), *self.tuning)

    def _hidden_teachers(self, shown: Sequence[LaneGroup]) -> list[LaneGroup]:
        """Models that only teach, of no more seeds than teach, and those that are shown in an average alone."""
        # A model's folder ends in its id, so two specs of one folder are one model, whoever asks for it.
        known = {spec.folder for group in shown for spec in group.specs}
        wanted = [(group.corpora, group.teachers) for group in (*self.tuning, *self.students(None))]
        for average in self.experiment.averages:
            wanted += [((name,), self.plain(average.model, average.head, name).specs) for name in self.targets]
        hidden: dict[tuple[str, Head, tuple[str, ...], str], LaneGroup] = {}
        for on, specs in wanted:
            for spec in specs:
                if spec.kind != "external" and spec.folder not in known:
                    known.add(spec.folder)
                    corpora = spec.corpora if spec.kind == "MTM" else on
                    key = (spec.kind, spec.head, corpora, spec.protocol)
                    needed = self._plain(spec.kind, spec.head, corpora, [spec.seed], spec.protocol)
                    # Alike but for the seed: lanes of one program.
                    before = hidden.get(key)
                    needed = needed if before is None else replace(before, specs=(*before.specs, *needed.specs))
                    hidden[key] = replace(needed, purpose="teach")
        return list(hidden.values())

    @cached_property
    def tuning(self) -> tuple[LaneGroup, ...]:
        """For each corpus the candidates of all students that have something to choose, trained on train.

        Their teachers are trained on train too, so that devel is as new to them as test will be to those of the table.
        """
        tuned = [student for student in self.experiment.students if len(student.choices) > 1]
        kinds = dict.fromkeys((_kind_of(student), student.learning_rate) for student in tuned)
        groups = []
        for name in self.targets:
            for kind in kinds:
                mine = [student for student in tuned if (_kind_of(student), student.learning_rate) == kind]
                # A dict and not a set: the same order in every process, and candidates that two grids share once.
                choices = dict.fromkeys(weights for student in mine for weights in student.choices)
                # Lanes of one program read one teacher's outputs, so seeds with other teachers are another group.
                lanes: dict[tuple[ModelSpec, ...], list[tuple[str, int, LossWeights, float | None]]] = {}
                # Students of several kinds have candidates of the same weights, which are columns of their own.
                prefix = f"{mine[0].label}: " if len(kinds) > 1 else ""
                for seed in self.seeds[:TUNING_SEEDS]:
                    for weights in choices:
                        teachers = self._teachers(mine[0], seed, name, self._for_tuning)
                        lanes.setdefault(teachers, []).append((prefix + describe(weights), seed, weights, kind[1]))
                groups += [
                    self._students(mine[0], name, some, teachers, self._for_tuning, purpose="tune")
                    for teachers, some in lanes.items()
                ]
        return tuple(groups)

    def candidates(self, student: Student, name: str) -> list[ModelSpec]:
        """The candidates that a student's weights on a corpus are chosen among, of every seed that chooses."""
        found: list[ModelSpec] = []
        for seed in self.seeds[:TUNING_SEEDS]:
            teachers = self._teachers(student, seed, name, self._for_tuning)
            lanes = [(describe(weights), seed, weights, student.learning_rate) for weights in student.choices]
            found += self._students(student, name, lanes, teachers, self._for_tuning, purpose="tune").specs
        return found

    @property
    def _by_devel(self) -> bool:
        """Whether devel chooses an epoch: not where models that are shown are trained on it.

        Candidates and their teachers are then scored at their last epoch too, as what is chosen from them will be.
        """
        return "devel" not in self.protocol

    @property
    def _for_tuning(self) -> str:
        return "train+clean" if "clean" in self.protocol else "train"

    def students(self, chosen: Chosen | None) -> tuple[LaneGroup, ...]:
        """The lane groups of the table's students.

        Args:
            chosen: the weights of every student that had something to choose; None to count lanes before that.
        """
        groups = []
        for name in self.targets:
            lanes: dict[tuple[Any, ...], list[tuple[str, int, LossWeights, float | None]]] = {}
            example: dict[tuple[Any, ...], Student] = {}
            for student in self.experiment.students:
                choices = student.choices
                # Before the choice any weights do for counting: lanes cost the same whatever theirs are.
                weights = choices[0] if len(choices) == 1 or chosen is None else chosen[name, student.label]
                for seed in self.seeds:
                    key = (_kind_of(student), self._teachers(student, seed, name, self.protocol))
                    example.setdefault(key, student)
                    lane = student.label, seed_of(student, weights, seed), weights, student.learning_rate
                    lanes.setdefault(key, []).append(lane)
            groups += [self._students(example[key], name, some, key[1], self.protocol) for key, some in lanes.items()]
        return tuple(groups)

    def _own_teachers(self, student: Student) -> tuple[bool, ...]:
        """Of each of a student's teachers, in the order of `_teachers`, whether it is of the student's own seed."""
        own: list[bool] = []
        for teacher in self.experiment.teachers if student.teachers is None else student.teachers:
            which = teacher.seeds or self.settings.distill.teacher
            alike = len(which) if isinstance(which, tuple) else len(self.seeds) if which == "every" else 1
            own += [False] if teacher.external else [which == "own"] * alike
        return tuple(own)

    def _teachers(self, student: Student, seed: int, name: str, protocol: str) -> tuple[ModelSpec, ...]:
        """Who teaches a student of a seed on a corpus."""
        specs: list[ModelSpec] = []
        for teacher in self.experiment.teachers if student.teachers is None else student.teachers:
            if teacher.external:
                specs.append(self._external(teacher.external, name, protocol))
                continue
            which = teacher.seeds or self.settings.distill.teacher
            named = {"own": (seed,), "first": self.seeds[:1], "every": self.seeds}
            seeds = which if isinstance(which, tuple) else named[which]
            learnt = [each for each in self.corpora if not teacher.corpora or each in teacher.corpora]
            corpora = tuple(learnt) if teacher.model == "MTM" else (name,)
            specs += self._plain(teacher.model, teacher.head, corpora, seeds, protocol).specs
        return tuple(specs)

    def _external(self, teacher: str, name: str, protocol: str) -> ModelSpec:
        folder, of_outputs = folder_of(self.workdir, teacher), self.externals[teacher, name]
        return ModelSpec(
            "external", teacher, "softmax", (name,), protocol, 0, GOLD_ONLY, folder, of_outputs, of_outputs
        )

    def plain(self, kind: Kind, head: Head, name: str) -> LaneGroup:
        """The single-task models of a corpus, or the multi-task ones that know it, one of every seed."""
        return self._plain(kind, head, tuple(self.corpora) if kind == "MTM" else (name,), self.seeds)

    def _plain(
        self, kind: Kind, head: Head, on: tuple[str, ...], seeds: Iterable[int], protocol: str = ""
    ) -> LaneGroup:
        train = self.settings.train
        length, rate = Length(train.epochs, train.updates), None
        if kind == "MTM":
            length = Length(train.teacher_epochs or train.epochs, train.teacher_updates or train.updates)
            rate = train.teacher_learning_rate or None
        # Without lanes first, since a spec's id is made from its group.
        group = LaneGroup(
            self.experiment.name, self.settings, kind, head, on, (), length, protocol or self.protocol,
            by_devel=self._by_devel,
        )  # fmt: skip
        label = plain_label(kind, head)
        return replace(group, specs=tuple(self._spec(group, label, seed, GOLD_ONLY, rate) for seed in seeds))

    def _students(
        self,
        student: Student,
        name: str,
        lanes: Sequence[tuple[str, int, LossWeights, float | None]],
        teachers: tuple[ModelSpec, ...],
        protocol: str,
        purpose: Literal["table", "tune"] = "table",
    ) -> LaneGroup:
        settings = override(self.settings, student.assignments)
        train, head = settings.train, self.experiment.head
        length = Length(train.epochs, train.updates)
        if purpose == "tune":
            length = Length(
                train.tuning_epochs or train.epochs, min(train.updates, train.tuning_updates or train.updates)
            )
        group = LaneGroup(
            self.experiment.name, settings, "SM", head, (name,), (), length, protocol, teachers, student.foreign,
            student.start, self._own_teachers(student), self._by_devel, purpose, self.settings.model,
        )  # fmt: skip
        return replace(group, specs=tuple(self._spec(group, *lane) for lane in lanes))

    def _spec(
        self, group: LaneGroup, label: str, seed: int, weights: LossWeights, rate: float | None = None
    ) -> ModelSpec:
        model_id, config_hash = self.identity.of(group, seed, weights, rate)
        what = describe(weights).replace(" ", "-") if group.kind == "SM" else group.kind
        name = f"{what}-{group.head}-seed{seed}-{model_id}"
        place = "teachers" if group.kind == "MTM" else "tuning" if group.purpose == "tune" else "students"
        folder = self.workdir / place / ("" if group.kind == "MTM" else group.corpora[0]) / name
        return ModelSpec(
            group.kind, label, group.head, group.corpora, group.protocol, seed, weights, folder, model_id, config_hash,
            None if rate == group.settings.train.learning_rate else rate,
        )  # fmt: skip


def seed_of(student: Student, weights: LossWeights, seed: int) -> int:
    """The seed of a student: one of its own where nothing would tell it from the single-task model."""
    differs = needs_teacher(weights, student.foreign, student.start) or student.assignments or student.learning_rate
    return seed if differs else seed + ALPHA_ONE_SEEDS


def _kind_of(student: Student) -> tuple[Any, ...]:
    """What students must have in common to train in one group."""
    return student.foreign, student.start, student.assignments, student.teachers


def describe(weights: LossWeights) -> str:
    """Weights as a model's label, without those that have no effect."""
    shown = {name: value for name, value in weights._asdict().items() if value != (1.0 if name == "tau" else 0.0)}
    return "SM " + " ".join(f"{name}={value:g}" for name, value in shown.items())
