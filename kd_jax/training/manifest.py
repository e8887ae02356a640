"""What a finished model's folder says of it, read without JAX: the manifest in its model.json."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_jax.errors import InputError
from kd_jax.evaluation.scores import EntityScores
from kd_jax.runtime.files import digest, read_json
from kd_jax.structs import LossWeights

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """What a finished model's folder says of it: how it was trained, and how well that went.

    Attributes:
        model: "STM", "MTM" or "SM".
        label: the table's column.
        head: "softmax" or "crf".
        seed: of its lane.
        weights: of the loss terms.
        protocol: what it was trained on.
        identity: hash of everything that decides what it is.
        teachers: folder names of those it learned from.
        settings: of the run, in plain JSON types.
        corpora: content hashes by name.
        split: that was scored.
        status: "ok", or "diverged at step N".
        epochs: trained, or the epoch that devel selected.
        tokens: trained on, those of all epochs together.
        seconds: the lane's share of the time that its training took.
        devel_f1: F1 on devel in percent, the mean over its corpora; None where it was trained on devel.
        scores: by corpus, without counts; those of a diverged lane mean nothing.
        params_sha256: of its parameters.
        styles: how raw text is cut into tokens for each corpus, by name, as its training sentences are; nothing in
            models of before 0.2.0.
    """

    model: str
    label: str
    head: str
    seed: int
    weights: LossWeights
    protocol: str
    identity: str
    teachers: tuple[str, ...]
    settings: Mapping[str, Any]
    corpora: Mapping[str, str]
    split: str
    status: str
    epochs: int
    tokens: int
    seconds: float
    devel_f1: float | None
    scores: Mapping[str, EntityScores]
    params_sha256: str = ""
    styles: Mapping[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it has a score and may teach: it did not diverge."""
        return self.status == "ok"

    def to_json(self) -> dict[str, Any]:
        """All but the checksum, in plain JSON types: `about` in the model's folder."""
        about = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del about["params_sha256"]
        scores = {name: score.to_json() for name, score in self.scores.items()}
        return about | {"weights": self.weights._asdict(), "teachers": list(self.teachers), "scores": scores}

    @classmethod
    def from_json(cls, about: Mapping[str, Any], params_sha256: str) -> "Manifest":
        """What `to_json` wrote.

        Raises:
            ValueError: where a field is missing or of another type, by name.
        """
        for name, kinds in _FIELDS.items():
            if name not in about or type(about[name]) not in kinds:
                raise ValueError(f"{name!r}")
        weights = about["weights"]
        if weights.keys() != set(LossWeights._fields) or not all(type(w) in _NUMBER for w in weights.values()):
            raise ValueError("'weights'")
        styles = about.get("styles", {})
        if type(styles) is not dict:
            raise ValueError("'styles'")
        listed = {"teachers": about["teachers"], "corpora": about["corpora"].values(), "styles": styles.values()}
        for name, texts in listed.items():
            if not all(type(text) is str for text in texts):
                raise ValueError(f"{name!r}")
        fields = {name: about[name] for name in _FIELDS} | {
            "weights": LossWeights(**weights),
            "teachers": tuple(about["teachers"]),
            "scores": {name: EntityScores.from_json(score) for name, score in about["scores"].items()},
        }
        return cls(**fields, params_sha256=params_sha256, styles=styles)


_NUMBER = {int, float}
_FIELDS: dict[str, set[type]] = {
    **{name: {str} for name in ("model", "label", "head", "protocol", "identity", "split", "status")},
    **{name: {int} for name in ("seed", "epochs", "tokens")},
    **{name: {dict} for name in ("weights", "settings", "corpora", "scores")},
    "teachers": {list},
    "seconds": _NUMBER,
    "devel_f1": _NUMBER | {type(None)},
}


def read_manifest(folder: Path) -> Manifest | None:
    """What a finished model's folder says of it; None where there is none.

    Raises:
        InputError: where it is damaged or of another version.
    """
    description = read_description(folder)
    try:
        return None if description is None else Manifest.from_json(description["about"], description["params_sha256"])
    except ValueError as fault:
        raise InputError(f"{folder}/model.json: damaged at {fault}; remove {folder} to train it again") from None


def read_description(folder: Path) -> dict[str, Any] | None:
    """All of a model.json, in plain JSON types; None where there is none."""
    try:
        description = read_json(folder / "model.json")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{folder}/model.json: can't be read ({fault}); remove the folder to train it again") from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        version = description.get("format") if isinstance(description, dict) else "unknown"
        raise InputError(
            f"{folder}: format {version!s:.40}, this version of kd_jax reads {FORMAT}; use the version that wrote it,"
            " or remove the folder to train it again"
        )
    if "sha256" in description and description.pop("sha256") != digest(description):
        raise InputError(f"{folder}/model.json: damaged, its checksum differs; remove {folder} to train it again")
    for name, kind in (("about", dict), ("settings", dict), ("tasks", list), ("labels", list), ("params_sha256", str)):
        if not isinstance(description.get(name), kind):
            raise InputError(f"{folder}/model.json: damaged at {name!r}; remove {folder} to train it again")
    return description
