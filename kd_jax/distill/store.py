"""Knowledge on disk: a teacher's `Outputs` for every token of a split, as plain .npy arrays with a manifest.

Arrays hold one row a token and no padding. They are memory-mapped when read, so the largest corpus fits a small
machine. The manifest says what they were made from and holds their checksums: knowledge of another teacher, of another
text, or with a flipped bit is noticed before it teaches anyone.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from kd_jax.distill.scale import Moments, moments_of, together
from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import DAMAGED_ARRAYS, digest, digest_file, read_json, whole_folder
from kd_jax.structs import Outputs

FORMAT = 2  # 2: moments are kept
MANIFEST = "manifest.json"
# .npy knows no bfloat16: its bits are stored as uint16
_ON_DISK: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(np.uint16),
}


class Stored(NamedTuple):
    """A teacher's outputs, and what the variance of all of them is computed from.

    Attributes:
        outputs: fields [N, width], or None.
        moments: `Moments` of each field, or None.
        known: tokens that the teacher says something of, [N]; the others' rows are 0. None for all.
    """

    outputs: Outputs
    moments: Outputs
    known: Bool[np.ndarray, "N"] | None = None


class StaleError(Exception):
    """Stored knowledge can't be used, with the reason: it is to be computed again."""


def write(
    folder: Path,
    source: dict[str, Any],
    shape: tuple[int, Outputs],
    dtype: str,
    chunks: Iterable[tuple[Int[np.ndarray, "n"], Outputs]],
) -> None:
    """Store knowledge, chunk by chunk.

    Args:
        folder: where it goes.
        source: what it was made from, in plain JSON types; reading asks for the same.
        shape: number of tokens N, and the width of each field; 0 for one that the teacher does not have.
        dtype: "float32", "bfloat16" or "float16".
        chunks: rows, [n] of 0 .. N - 1, and their outputs, [n, width]. Rows that never come are tokens that the teacher
            says nothing of: they are kept as such, and no student hears of them.

    Raises:
        InputError: where the disk refuses; nothing is then left behind.
    """
    count, widths = shape
    known = np.zeros(count, bool)
    with whole_folder(folder, (MANIFEST, "*.npy")) as partial:
        arrays = {
            name: _allocated(partial / f"{name}.npy", _ON_DISK[dtype], (count, width))
            for name, width in widths._asdict().items()
        }
        for rows, outputs in chunks:
            known[rows] = True
            for name, values in outputs._asdict().items():
                narrow = np.asarray(values).astype(jnp.dtype(dtype))  # numpy alone knows no bfloat16
                arrays[name][rows] = narrow.view(_ON_DISK[dtype])
        for array in arrays.values():
            array.flush()
        fields = Outputs(**{name: array.view(jnp.dtype(dtype)) for name, array in arrays.items()})
        of_fields = moments_of(fields, None if known.all() else known)
        del arrays, fields
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "source": source,
            "dtype": dtype,
            "tokens": count,
            "arrays": {
                name: {"shape": [count, width], "sha256": digest_file(partial / f"{name}.npy")}
                for name, width in widths._asdict().items()
            },
            "moments": {name: of._asdict() | {"mean": of.mean.tolist()} for name, of in of_fields._asdict().items()},
        }
        if not known.all():
            manifest["unknown"] = np.flatnonzero(~known).tolist()
        manifest["sha256"] = digest(manifest)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _allocated(path: Path, dtype: np.dtype[Any], shape: tuple[int, int]) -> Any:
    """An array on disk whose blocks are all there: writing to a mapped hole would end the process on a full disk."""
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def source(folder: Path) -> dict[str, Any]:
    """What stored knowledge was made from, as its manifest says.

    Raises:
        StaleError: where there is none, or it is damaged.
    """
    try:
        return dict(_manifest(folder)["source"])
    except FileNotFoundError as missing:
        raise StaleError(f"{missing.filename}: missing") from None
    except (*DAMAGED_ARRAYS, AttributeError) as fault:
        raise StaleError(f"{folder}: can't be read ({brief(fault)})") from None


def _manifest(folder: Path) -> Any:
    manifest = read_json(folder / MANIFEST)
    if manifest["format"] != FORMAT:
        raise StaleError(f"{folder}: format {manifest['format']!s:.40}, this version writes {FORMAT}")
    if manifest.pop("sha256", None) != digest(manifest):
        raise StaleError(f"{folder / MANIFEST}: damaged, its checksum differs")
    return manifest


def read(folder: Path, source: dict[str, Any]) -> Stored:
    """Stored knowledge, memory-mapped.

    Args:
        folder: where it is.
        source: what it must have been made from.

    Returns:
        Fields [N, width] in the dtype they are stored in, with their moments.

    Raises:
        StaleError: where there is none, it is of another source or version, or it is damaged.
    """
    try:
        manifest = _manifest(folder)
        if manifest["source"] != source:
            wrong = [key for key in source if manifest["source"].get(key) != source[key]]
            raise StaleError(f"{folder}: made from other {' and '.join(wrong) or 'source'}")
        dtype, known = manifest["dtype"], _known(manifest)
        fields, of_fields = {}, {}
        for name in Outputs._fields:
            path, expected = folder / f"{name}.npy", manifest["arrays"][name]
            if digest_file(path) != expected["sha256"]:
                raise StaleError(f"{path}: damaged, its checksum differs")
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            if list(array.shape) != expected["shape"]:
                raise StaleError(f"{path}: shape {list(array.shape)}, not {expected['shape']!s:.40}")
            if array.dtype != _ON_DISK[dtype]:
                raise StaleError(f"{path}: holds {array.dtype}, which is not how {dtype} is stored")
            fields[name] = array.view(jnp.dtype(dtype))
            if known is not None and len(known) != len(array):
                raise StaleError(f"{folder / MANIFEST}: damaged, it knows of other tokens")
            count = len(array) if known is None else int(known.sum())
            of_fields[name] = _moments(manifest["moments"][name], (count, array.shape[1]))
    except FileNotFoundError as missing:
        raise StaleError(f"{missing.filename}: missing") from None
    except (*DAMAGED_ARRAYS, AttributeError) as fault:
        raise StaleError(f"{folder}: can't be read ({brief(fault)})") from None
    return Stored(Outputs(**fields), Outputs(**of_fields), known)


def _known(manifest: dict[str, Any]) -> Bool[np.ndarray, "N"] | None:
    """Tokens that are known, as a manifest has them.

    Raises:
        ValueError: where it has something else.
    """
    if "unknown" not in manifest:
        return None
    rows, count = manifest["unknown"], manifest["tokens"]
    if type(count) is not int or not all(type(row) is int and 0 <= row < count for row in rows):
        raise ValueError("unknown tokens that are none")
    known = np.ones(count, bool)
    known[rows] = False
    return known


def _moments(kept: Any, shape: tuple[int, ...]) -> Moments:
    """Moments as a manifest has them.

    Raises:
        ValueError: where they are not those of an array of this shape.
    """
    count, width = shape
    mean = np.asarray(kept["mean"], np.float64)
    spread, square = float(kept["spread"]), float(kept["square"])
    if kept["tokens"] != count or mean.shape != (width,) or spread < 0 or square < 0:
        raise ValueError("moments of other arrays")
    return Moments(count, mean, spread, square)


def join(parts: Iterable[Stored], wanted: Outputs) -> Stored:
    """Knowledge of several splits as one, with only the fields that some loss term reads.

    Args:
        parts: in the order of the tokens.
        wanted: for each field whether it is read.

    Returns:
        Host arrays [N_1 + N_2 + ..., width]; None for a field that is not read.

    Raises:
        InputError: where there is no knowledge at all, or none of a field that is read.
    """
    every = list(parts)
    if not every:
        raise InputError("no knowledge to join")
    columns = [*zip(*(part.outputs for part in every), strict=True)]
    of_columns = [*zip(*(part.moments for part in every), strict=True)]
    for name, use, column in zip(Outputs._fields, wanted, columns, strict=True):
        if use and not column[0].shape[1]:
            raise InputError(f"a teacher that gives no {name} can't be matched in it: give that term the weight 0")
    tokens = [np.ones(len(p.outputs.logits), bool) if p.known is None else p.known for p in every]
    return Stored(
        Outputs(*(np.concatenate(column) if use else None for column, use in zip(columns, wanted, strict=True))),
        Outputs(*(together(column) if use else None for column, use in zip(of_columns, wanted, strict=True))),
        None if all(part.known is None for part in every) else np.concatenate(tokens),
    )
