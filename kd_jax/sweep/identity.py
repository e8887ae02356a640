"""What makes two models the same and two rows comparable: hashes of what training depends on, and of nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kd_jax.runtime.files import digest
from kd_jax.settings import DistillConfig, Settings, to_dict
from kd_jax.structs import LossWeights
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec

TRAINING = 2
"""Part of every model's id; raised when training computes something else from the same settings."""


@dataclass(frozen=True)
class Identity:
    """What a run's models are told apart by, beside their lane groups.

    A setting that is younger than the first models is left out where it has the value that does what was done before,
    so that those models and their rows go on.

    Attributes:
        settings: of the run; a column's may differ.
        corpora: content hashes by name.
        vectors: hash of the file of pretrained word vectors; "" without.
        text: hash of the sentences of --text; "" without.
    """

    settings: Settings
    corpora: Mapping[str, str]
    vectors: str = ""
    text: str = ""

    def of(self, group: LaneGroup, seed: int, weights: LossWeights, rate: float | None) -> tuple[str, str]:
        """A model's id, and the hash of all that it depends on but its seed, which models that are averaged share.

        Args:
            group: that the model is a lane of.
            seed: of the lane.
            weights: of its loss.
            rate: its highest learning rate; None for the group's.
        """
        train = to_dict(group.settings.train)
        if rate is not None:
            train["learning_rate"] = rate
        # What is left out has no effect on training, or is part of the id in another form.
        of_length = ("epochs", "teacher_epochs", "tuning_epochs", "updates", "teacher_updates", "tuning_updates")
        for elsewhere in (*of_length, "teacher_learning_rate"):
            del train[elsewhere]
        if group.kind != "MTM":
            del train["sampling"]
        model = to_dict(group.settings.model)
        if model["constrained"] or not group.by_devel:  # decoding has no effect but on the epoch that devel chooses
            del model["constrained"]
        del model["words"]["least_coverage"]
        model["words"]["vectors"] = self.vectors  # the hash of the file in place of its path
        for part, name, before in (
            (model["words"], "train_after", 0),
            (model["words"], "unseen", "unknown"),
            (model, "compute", "float32"),
        ):
            if part[name] == before:
                del part[name]
        made_from: dict[str, Any] = {
            "training": TRAINING,
            "kind": group.kind,
            "head": group.head,
            "model": model,
            "train": train,
            "length": {"updates": group.length.updates} if group.length.updates else {"epochs": group.length.epochs},
            "protocol": group.protocol,
            "weights": list(weights),
            "corpora": [[name, self.corpora[name]] for name in group.corpora],
        }
        if not group.by_devel and "devel" not in group.splits:
            made_from["epoch"] = "last"
        # A lane whose weights ignore the teacher is the same model under any teacher: experiments share it.
        teachers = group.teachers if needs_teacher(weights, group.foreign, group.start) else ()
        if teachers:
            made_from["teachers"] = [teacher.model_id for teacher in teachers]
            made_from["distill"] = self._distill(group)
            made_from["foreign"] = group.foreign
            made_from["start"] = group.start
        model_id = digest(made_from | {"seed": seed})[:12]
        return model_id, digest(made_from | {"teachers": _taught_by(group, teachers)})[:12]

    def comparison_key(self, group: LaneGroup) -> str:
        """What a group's rows must share to be compared: with all of their table, and, after a dot, with their column.

        Corpora of a column differ in their own text and, where weights are chosen, in these; not in anything else.
        """
        model, train = to_dict(self.settings.model), to_dict(self.settings.train)
        for part, name, before in ((model["words"], "unseen", "unknown"), (train, "tuning_updates", 0)):
            if part[name] == before:
                del part[name]
        table = digest([model, train, self.vectors])
        column: list[Any] = [[name, self.corpora[name]] for name in group.corpora] if group.kind == "MTM" else []
        if group.kind == "SM":
            column = [
                _taught_by(group, group.teachers),
                self._distill(group),
                group.start,
                self._own_settings(group),
            ]
        return f"{table[:12]}.{digest(column)[:12]}"

    def _distill(self, group: LaneGroup) -> dict[str, Any]:
        """The distillation's settings, those without effect on the lane group at their defaults."""
        distill, default = group.settings.distill, DistillConfig()
        # Else a setting that changes nothing would give the same model another id, and it would be trained again.
        if not group.foreign:
            distill = replace(distill, foreign=default.foreign)
        if len(group.teachers) == 1:
            distill = replace(distill, ensemble=default.ensemble)
        chosen = to_dict(distill)
        if self.text and group.foreign and distill.text:
            chosen["text"] = [distill.text, self.text]
        else:
            del chosen["text"]
        return chosen

    def _own_settings(self, group: LaneGroup) -> list[list[str]]:
        """Settings in which a group differs from its run, but for the distillation's."""
        pairs = ((self.settings.model, group.settings.model), (self.settings.train, group.settings.train))
        return [[digest(to_dict(ours)), digest(to_dict(theirs))] for theirs, ours in pairs if ours != theirs]


def _taught_by(group: LaneGroup, teachers: Sequence[ModelSpec]) -> list[str]:
    """What students of different seeds have in common of their teachers: these, or how each one's own was made."""
    own = group.own_teachers if teachers else ()
    return [spec.config_hash if is_own else spec.model_id for spec, is_own in zip(teachers, own, strict=True)]


def needs_teacher(weights: LossWeights, foreign: bool, start: str) -> bool:
    """Whether a model is anything that it would not be without its teacher."""
    return matches(weights) or foreign or start != "random"


def matches(weights: LossWeights) -> bool:
    """Whether any term of the loss hears the teacher."""
    return bool(weights.beta or weights.gamma or weights.kappa)
