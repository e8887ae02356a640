"""A shipped model: one folder that tags without the modules that trained it, on a CPU, an NVIDIA GPU or a TPU.

model.json            what it is: labels, how words are read, whether it is constrained, where it comes from
vocabulary.json       its words and characters
weights.safetensors   its arrays; int8 ones with a scale for each of their last axis, "NAME.scale"; "ngrams" where it
                      reads words that it does not know by the n-grams of their characters
program.stablehlo     the function of arrays and rows, network and Viterbi, as jax.export serialises it
README.md             a card for people and for model hubs
requirements.txt      the packages that tagging with it needs
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from safetensors import SafetensorError
from safetensors.flax import load_file

from kd_jax.data.ngrams import NgramIndex, NgramVectors
from kd_jax.data.vocab import Vocabulary
from kd_jax.errors import InputError, brief
from kd_jax.export.found import SHIPPED
from kd_jax.runtime.files import check_readable, digest_file, kind_of, read_json
from kd_jax.settings import CharConfig, WordConfig, from_dict
from kd_jax.structs import Array
from kd_jax.tagging.model import Penalty, TextModel
from kd_jax.tagging.rows import Rows

FORMAT = 1
MANIFEST, VOCABULARY, WEIGHTS, PROGRAM = "model.json", "vocabulary.json", "weights.safetensors", "program.stablehlo"
SCALE = ".scale"
NGRAMS = "ngrams"
PLATFORMS = ("cpu", "cuda", "tpu")


def is_shipped(folder: Path) -> bool:
    """Whether a folder holds a shipped model rather than a trained one."""
    return kind_of(folder / PROGRAM) == "file"


def open_shipped(folder: Path, constrained: bool | None) -> TextModel:
    """Read what kd_jax.ship wrote.

    Args:
        folder: of it.
        constrained: whether forbidden sequences are ruled out; None for what it was shipped with.

    Raises:
        InputError: where something is missing, damaged, of another version, or made for other devices.
    """
    check_readable(folder)
    try:
        about = read_json(folder / MANIFEST)
        if about.get("kind") != SHIPPED or about.get("format") != FORMAT:
            raise InputError(
                f"{folder}: a shipped model of format {about.get('format')!s:.40}; this kd_jax reads {FORMAT}"
            )
        _check_jax(folder, about.get("jax"))  # older folders do not say
        for file in (PROGRAM, WEIGHTS, VOCABULARY):
            if digest_file(folder / file) != about["sha256"][file]:
                raise InputError(f"{folder}/{file}: damaged, the checksum differs; ship the model again")
        for name, kind in (("corpus", str), ("labels", list), ("constrained", bool), ("about", dict)):
            if not isinstance(about[name], kind):
                raise InputError(f"{folder}/{MANIFEST}: damaged at {name!r}; ship the model again")
        words = read_json(folder / VOCABULARY)
        vocabulary = Vocabulary(tuple(words["words"]), frozenset(), words["chars"])
        of_words, of_chars = (
            from_dict(WordConfig, about["words"], "words."),
            from_dict(CharConfig, about["chars"], "chars."),
        )
        params = restored(load_file(folder / WEIGHTS))
        dual = params.pop(NGRAMS, None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as fault:
        raise InputError(f"{folder}: can't be read ({brief(fault)}); ship the model again") from None
    if jax.default_backend() not in {"cpu", "gpu", "tpu"}:
        raise InputError(f"{folder}: is for {', '.join(PLATFORMS)}; this is {jax.default_backend()}")
    return TextModel(
        name=about["corpus"],
        labels=tuple(about["labels"]),
        vocabulary=vocabulary,
        words=of_words,
        chars=of_chars,
        constrained=about["constrained"] if constrained is None else constrained,
        about=about["about"],
        params=params,
        function=_called((folder / PROGRAM).read_bytes()),
        ngrams=None if dual is None else NgramVectors(NgramIndex(vocabulary.words), np.asarray(dual)),
    )


def _check_jax(folder: Path, made_with: str | None) -> None:
    """Refuse a program of a later JAX, which would fail in the middle of being compiled."""
    if made_with is not None and tuple(map(int, made_with.split(".")[:2])) > jax.__version_info__[:2]:
        raise InputError(
            f"{folder}: its program is of jax {made_with}, and this is {jax.__version__}, which can't read later ones;"
            f" pip install 'jax>={made_with}', or ship the model again with this one"
        )


@lru_cache
def _called(program: bytes) -> Callable[[Any, Rows, Penalty], tuple[Array, Array]]:
    # Kept by its bytes: of folders with one and the same program it is compiled once.
    call = jax.jit(export.deserialize(bytearray(program)).call)
    return lambda params, rows, penalty: call(params, tuple(rows.given().values()), tuple(penalty))


def restored(weights: Mapping[str, Array]) -> dict[str, Array]:
    """Arrays by name in float32, as they are computed with, from float32, bfloat16 or int8 ones with their scales."""
    return {
        name: jnp.float32(weight) * weights[name + SCALE] if name + SCALE in weights else jnp.float32(weight)
        for name, weight in weights.items()
        if not name.endswith(SCALE)
    }


def narrowed(params: Mapping[str, Array], dtype: str) -> dict[str, Array]:
    """Arrays by name as they are shipped.

    Args:
        params: float32.
        dtype: "float32", "bfloat16", or "int8": matrices then in 255 steps between the extremes of each of their last
            axis, with a scale; vectors stay float32, and what predicts unseen words is in bfloat16.

    Returns:
        What `restored` takes.
    """
    out: dict[str, Array] = {}
    for name, param in params.items():
        x = np.asarray(param, np.float32)
        if dtype != "int8" or x.ndim < 2 or "crf" in name:
            out[name] = jnp.asarray(x, jnp.bfloat16 if dtype == "bfloat16" and "crf" not in name else jnp.float32)
            continue
        if name == NGRAMS:  # its first row, the mean, is far smaller than the others and would be lost in their steps
            out[name] = jnp.asarray(x, jnp.bfloat16)
            continue
        # tiny: a column of zeros would divide by 0. The extremes become -127 and 127; -128 is not used.
        scale = np.maximum(np.abs(x).max(-2, keepdims=True), np.finfo(np.float32).tiny) / 127
        out[name] = jnp.asarray(np.rint(x / scale), jnp.int8)
        out[name + SCALE] = jnp.asarray(scale)
    return out
