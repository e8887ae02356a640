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
from jaxtyping import Int

from kd_jax.data.vocab import Vocabulary
from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import DAMAGED_ARRAYS, digest, digest_file, read_json, whole_folder
from kd_jax.settings import ModelConfig, from_dict, to_dict
from kd_jax.training.manifest import FORMAT, read_description

OURS = ("model.json", "vocabulary.json", "counts.npz", "params", "card.json", "card.md")  # written by a run


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


def save_model(folder: Path, model: TrainedModel, counts: Mapping[str, Int[np.ndarray, "_ 3"] | None]) -> str:
    """Write a model's folder, whole or not at all.

    Args:
        folder: where it goes; an existing one is replaced.
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
        with ocp.StandardCheckpointer() as writer:  # closing it waits until everything is on disk
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


def load_model(folder: Path) -> TrainedModel:
    """Read a model's folder.

    Raises:
        InputError: where it is missing, of another version, or damaged.
    """
    description = read_description(folder)
    if description is None:
        raise InputError(f"{folder}: no model here (no model.json); give the folder of a trained model")
    try:
        _check_files(folder, description.get("files", {}))  # models of before do not list them
        settings = from_dict(ModelConfig, description["settings"], "settings.")
        tasks, labels = tuple(description["tasks"]), tuple(tuple(names) for names in description["labels"])
        words = read_json(folder / "vocabulary.json")
        vocabulary = Vocabulary(tuple(words["words"]), frozenset(words["singles"]), words["chars"])
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(tuple(leaf[1:]), leaf[0]),
            description["params_shapes"],
            is_leaf=lambda x: isinstance(x, list),
        )
        with ocp.StandardCheckpointer() as reader:
            params = jax.tree.map(np.asarray, reader.restore((folder / "params").absolute(), shapes))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, InputError) as fault:
        raise InputError(f"{folder}: damaged ({brief(fault)}); remove it to train it again") from None
    if digest_arrays(params) != description["params_sha256"]:
        raise InputError(f"{folder}/params: damaged, the checksum differs; remove {folder} to train it again")
    return TrainedModel(
        about=description["about"],
        settings=settings,
        tasks=tasks,
        labels=labels,
        vocabulary=vocabulary,
        params=params,
    )


def load_counts(folder: Path) -> dict[str, Int[np.ndarray, "_ 3"]]:
    """Entities by sentence of each scored corpus, as `save_model` was given them.

    Raises:
        InputError: where they are missing or damaged.
    """
    try:
        with (folder / "counts.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except DAMAGED_ARRAYS as fault:
        raise InputError(f"{folder}/counts.npz: damaged ({brief(fault)}); remove {folder} to train it again") from None
