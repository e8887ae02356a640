"""A trained model as a folder: its manifest and words in JSON, its parameters by orbax."""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from kd_jax.data.vocab import Vocabulary
from kd_jax.errors import InputError, brief
from kd_jax.evaluation.scores import EntityScores
from kd_jax.runtime.files import DAMAGED_ARRAYS, digest, digest_file, whole_folder
from kd_jax.settings import ModelConfig, from_dict, to_dict
from kd_jax.structs import LossWeights

FORMAT = 1
OURS = ("model.json", "vocabulary.json", "counts.npz", "params", "card.json", "card.md")  # written by a run


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

    @property
    def ok(self) -> bool:
        """Whether it has a score and may teach: it did not diverge."""
        return self.status == "ok"

    def to_json(self) -> dict[str, Any]:
        """All but the checksum, in plain JSON types: `about` in the model's folder."""
        about = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
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
        for name, texts in (("teachers", about["teachers"]), ("corpora", about["corpora"].values())):
            if not all(type(text) is str for text in texts):
                raise ValueError(f"{name!r}")
        found = {name: about[name] for name in _FIELDS} | {
            "weights": LossWeights(**weights),
            "teachers": tuple(about["teachers"]),
            "scores": {name: EntityScores.from_json(score) for name, score in about["scores"].items()},
        }
        return cls(**found, params_sha256=params_sha256)


_NUMBER = {int, float}
_FIELDS: dict[str, set[type]] = {
    **{name: {str} for name in ("model", "label", "head", "protocol", "identity", "split", "status")},
    **{name: {int} for name in ("seed", "epochs", "tokens")},
    **{name: {dict} for name in ("weights", "settings", "corpora", "scores")},
    "teachers": {list},
    "seconds": _NUMBER,
    "devel_f1": _NUMBER | {type(None)},
}


@dataclass(frozen=True)
class TrainedModel:
    """A trained model with everything needed to run it.

    Attributes:
        about: what it is, in plain JSON types: a `Manifest` as `to_json` gives it.
        settings: its sizes.
        tasks: corpus names.
        labels: label names of each task.
        vocabulary: its words and characters.
        params: host arrays, as `init_params` shapes them.
    """

    about: dict[str, Any]
    settings: ModelConfig
    tasks: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    vocabulary: Vocabulary
    params: Any


def silence_tensorstore_threads() -> None:
    """Let threads of tensorstore not print that an event loop is closed.

    Where one of several arrays can't be read or written, orbax raises, and closes the loop that the threads of the
    others would report to.
    """
    log = sys.unraisablehook

    def say_others(unraisable: Any) -> None:
        if not (unraisable.exc_type is RuntimeError and str(unraisable.exc_value) == "Event loop is closed"):
            log(unraisable)

    sys.unraisablehook = say_others


def digest_arrays(tree: Any) -> str:
    """SHA-256 of the arrays of a pytree with their paths, dtypes and shapes, in hex."""
    total = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        array = np.ascontiguousarray(leaf)
        total.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def save_model(folder: Path, model: TrainedModel, counts: Mapping[str, np.ndarray | None]) -> str:
    """Write a model's folder, whole or not at all.

    Args:
        folder: where it goes; what stands there is replaced.
        model: the model.
        counts: entities by sentence of each scored corpus, [N, 3], saved beside it by the corpora's names.

    Returns:
        The checksum of its parameters.

    Raises:
        InputError: where the disk refuses.
    """
    description = {
        "format": FORMAT,
        "about": model.about,
        "settings": to_dict(model.settings),
        "tasks": model.tasks,
        "labels": model.labels,
        "params_sha256": digest_arrays(model.params),
        "params_shapes": jax.tree.map(lambda x: [str(x.dtype), *x.shape], model.params),
    }
    words = dataclasses.asdict(model.vocabulary) | {"singles": sorted(model.vocabulary.singles)}
    with whole_folder(folder, OURS) as partial:
        (partial / "vocabulary.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
        np.savez(partial / "counts.npz", **{name: np.int32(c) for name, c in counts.items()})  # type: ignore[arg-type]
        with ocp.StandardCheckpointer() as writer:
            writer.save((partial / "params").absolute(), model.params)
        description["files"] = _digests(partial)
        description["sha256"] = digest(description)
        (partial / "model.json").write_text(json.dumps(description, indent=1), encoding="utf-8")
    return str(description["params_sha256"])


def _digests(folder: Path) -> dict[str, str]:
    """Checksums of the files that words and parameters are read from, by their names in a model's folder."""
    files = [folder / "vocabulary.json", *(folder / "params").rglob("*")]
    return {str(path.relative_to(folder)): digest_file(path) for path in sorted(files) if path.is_file()}


def _check_files(folder: Path, expected: dict[str, str]) -> None:
    """Refuse damaged files by name, before orbax reads them, whose threads print tracebacks of their own."""
    now = _digests(folder)
    for name, digest_then in expected.items():
        if now.get(name) != digest_then:
            raise InputError(f"{name} is missing" if name not in now else f"the checksum of {name} differs")


def read_manifest(folder: Path) -> Manifest | None:
    """What a finished model's folder says of it; None where there is none.

    Raises:
        InputError: where it is damaged or of another version.
    """
    found = _description(folder)
    try:
        return None if found is None else Manifest.from_json(found["about"], found["params_sha256"])
    except ValueError as fault:
        raise InputError(f"{folder}/model.json: damaged at {fault}; remove {folder} to train it again") from None


def _description(folder: Path) -> dict[str, Any] | None:
    """All of a model.json, in plain JSON types; None where there is none."""
    try:
        found = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{folder}/model.json: can't be read ({fault}); remove the folder to train it again") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        version = found.get("format") if isinstance(found, dict) else "unknown"
        raise InputError(
            f"{folder}: format {version!s:.40}, this version of kd_jax reads {FORMAT}; use the version that wrote it,"
            " or remove the folder to train it again"
        )
    if "sha256" in found and found.pop("sha256") != digest(found):
        raise InputError(f"{folder}/model.json: damaged, its checksum differs; remove {folder} to train it again")
    for name, kind in (("about", dict), ("settings", dict), ("tasks", list), ("labels", list), ("params_sha256", str)):
        if not isinstance(found.get(name), kind):
            raise InputError(f"{folder}/model.json: damaged at {name!r}; remove {folder} to train it again")
    return found


def load_model(folder: Path) -> TrainedModel:
    """Read a model's folder.

    Raises:
        InputError: where it is missing, of another version, or damaged.
    """
    found = _description(folder)
    if found is None:
        raise InputError(f"{folder}: no model here (no model.json); give the folder of a trained model")
    try:
        _check_files(folder, found.get("files", {}))  # models of before do not list them
        settings = from_dict(ModelConfig, found["settings"], "settings.")
        tasks, labels = tuple(found["tasks"]), tuple(tuple(names) for names in found["labels"])
        words = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        vocabulary = Vocabulary(tuple(words["words"]), frozenset(words["singles"]), words["chars"])
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(tuple(leaf[1:]), leaf[0]),
            found["params_shapes"],
            is_leaf=lambda x: isinstance(x, list),
        )
        with ocp.StandardCheckpointer() as reader:
            params = jax.tree.map(np.asarray, reader.restore((folder / "params").absolute(), shapes))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, InputError) as fault:
        raise InputError(f"{folder}: damaged ({brief(fault)}); remove it to train it again") from None
    if digest_arrays(params) != found["params_sha256"]:
        raise InputError(f"{folder}/params: damaged, the checksum differs; remove {folder} to train it again")
    return TrainedModel(
        about=found["about"],
        settings=settings,
        tasks=tasks,
        labels=labels,
        vocabulary=vocabulary,
        params=params,
    )


def load_counts(folder: Path) -> dict[str, np.ndarray]:
    """Entities by sentence of each scored corpus, as `save_model` was given them.

    Raises:
        InputError: where they are missing or damaged.
    """
    try:
        with (folder / "counts.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except DAMAGED_ARRAYS as fault:
        raise InputError(f"{folder}/counts.npz: damaged ({brief(fault)}); remove {folder} to train it again") from None
