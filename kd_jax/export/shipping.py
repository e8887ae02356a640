"""Writing a shipped model: the program exported for every platform, the weights beside it."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export
from safetensors.flax import save

from kd_jax.errors import InputError
from kd_jax.export.found import SHIPPED
from kd_jax.export.hub import CARD, REQUIREMENTS, hub_card, requirements
from kd_jax.export.shipped import FORMAT, MANIFEST, NGRAMS, PLATFORMS, PROGRAM, VOCABULARY, WEIGHTS, narrowed
from kd_jax.models.tagger import Tagger
from kd_jax.runtime.files import digest_file, whole_folder
from kd_jax.settings import to_dict
from kd_jax.structs import Array
from kd_jax.tagging.model import Penalty, TextModel
from kd_jax.tagging.program import label_rows
from kd_jax.tagging.rows import Rows


def ship(model: TextModel, tagger: Tagger, folder: Path, dtype: str) -> None:
    """Write a model's folder, whole or not at all.

    Args:
        model: as trained.
        tagger: its module.
        folder: that isn't there yet.
        dtype: of the weights: "float32", "bfloat16" or "int8".

    Raises:
        InputError: where the folder already exists or the disk refuses.
    """
    if folder.exists():
        raise InputError(f"--out={folder}: already exists; name another folder")
    weights = flat(model.params)
    if model.ngrams is not None:
        weights[NGRAMS] = model.ngrams.dual
    with whole_folder(folder) as partial:
        (partial / PROGRAM).write_bytes(exported(model, tagger))
        (partial / WEIGHTS).write_bytes(save(narrowed(weights, dtype)))
        words = {"words": model.vocabulary.words, "chars": model.vocabulary.chars}
        (partial / VOCABULARY).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
        (partial / CARD).write_text(hub_card(model.name, model.labels, model.about), encoding="utf-8")
        (partial / REQUIREMENTS).write_text(requirements(), encoding="utf-8")
        about = {
            "kind": SHIPPED,
            "format": FORMAT,
            "corpus": model.name,
            "labels": model.labels,
            "words": to_dict(dataclasses.replace(model.words, vectors="")),
            "chars": to_dict(model.chars),
            "constrained": model.constrained,
            "weights": dtype,
            "platforms": PLATFORMS,
            "jax": jax.__version__,
            "about": model.about,
            "sha256": {name: digest_file(partial / name) for name in (PROGRAM, WEIGHTS, VOCABULARY)},
        }
        (partial / MANIFEST).write_text(json.dumps(about, indent=1), encoding="utf-8")


def exported(model: TextModel, tagger: Tagger) -> bytes:
    """The tagging program for every platform and any number of rows R, of tokens a row T and of distinct forms U."""

    def run(params: dict[str, Array], rows: tuple[Array, ...], penalty: Penalty) -> tuple[Array, Array]:
        return label_rows(tagger, nested(params), Rows(*rows), penalty)

    r, t, u = export.symbolic_shape("R, T, U")
    shape, k = jax.ShapeDtypeStruct, len(model.labels)
    # Narrow weights are widened when they are read (`restored`), so one program does for all of them.
    params = {name: shape(x.shape, jnp.float32) for name, x in flat(model.params).items()}
    integer, boolean = jnp.int32, jnp.bool_
    rows = (
        shape((u,), integer),
        shape((u, model.chars.longest), integer),
        shape((r, t), integer),
        shape((r, t), boolean),
        shape((r, t), boolean),
        *(() if model.ngrams is None else (shape((u, model.words.dim), jnp.float32),)),
    )
    # An argument and not a constant: whether sequences are ruled out is chosen when the model is opened.
    penalty = tuple(shape(s, jnp.float32) for s in ((k,), (k,), (k, k)))
    return bytes(export.export(jax.jit(run), platforms=PLATFORMS)(params, rows, penalty).serialize())


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, Array]:
    """Nested arrays by dotted names."""
    arrays: dict[str, Array] = {}
    for name, value in params.items():
        arrays |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value}
    return arrays


def nested(params: Mapping[str, Array]) -> dict[str, Any]:
    """The inverse of `flat`."""
    out: dict[str, Any] = {}
    for name, value in params.items():
        *path, last = name.split(".")
        place = out
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return out
