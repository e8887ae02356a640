"""Models to train, and those of them that are lanes of one program."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kd_jax.data.pipeline import Length
from kd_jax.settings import Head, ModelConfig, Settings
from kd_jax.structs import LossWeights

Kind = Literal["STM", "MTM", "SM"]


@dataclass(frozen=True)
class ModelSpec:
    """One model to train: a lane of a lane group.

    Attributes:
        kind: single-task model, multi-task model or student; "external" for a teacher that is none of ours, which has
            no seed, weights or parameters, and whose folder has what it said.
        label: the table's column.
        head: its output layer.
        corpora: what it is trained on.
        protocol: of its training.
        seed: of initial values, order of the data, dropout.
        weights: of the loss terms.
        folder: where the trained model goes; its name ends in its identity.
        model_id: hash of everything that decides what the trained model is.
        config_hash: of the same but the seed: what models that are averaged have in common.
        learning_rate: of this lane; None for the run's.
    """

    kind: Kind | Literal["external"]
    label: str
    head: Head
    corpora: tuple[str, ...]
    protocol: str
    seed: int
    weights: LossWeights
    folder: Path
    model_id: str
    config_hash: str
    learning_rate: float | None = None


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
        length: how long its lanes are trained.
        protocol: what is trained on.
        teachers: the models whose knowledge is used, its mean where they are several.
        foreign: whether other corpora's sentences are used too.
        start: where parameters start, as of `Student`.
        own_teachers: of each teacher, whether it is of the student's own seed.
        teacher_model: sizes of our teachers, which a student need not have; None for its own.
        by_devel: whether the epoch that is best on devel counts; else the last one.
        purpose: "table" for models that are shown, "teach" for teachers that are not, "tune" to choose weights.
    """

    experiment: str
    settings: Settings
    kind: Kind
    head: Head
    corpora: tuple[str, ...]
    specs: tuple[ModelSpec, ...]
    length: Length
    protocol: str
    teachers: tuple[ModelSpec, ...] = ()
    foreign: bool = False
    start: Literal["random", "words", "parameters"] = "random"
    own_teachers: tuple[bool, ...] = ()
    by_devel: bool = False
    purpose: Literal["table", "teach", "tune"] = "table"
    teacher_model: ModelConfig | None = None

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
