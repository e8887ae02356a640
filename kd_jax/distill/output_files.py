"""What any model said of a corpus's tokens, from a file: logits, probabilities, or labels alone.

.jsonl        a line a sentence: {"tokens": [...], "logits": [[...], ...]}, or "probabilities", or "labels": ["B-X"];
              null in place of a row for a token of which nothing is known. The first line, or one before it, has
              "label_names": ["O", ...], the names of the columns; labels need none.
.npz          arrays tokens [N] of text, label_names [J], and logits [N, J], probabilities [N, J] or labels [N], text or
              numbers of label_names; known [N] bool where there are tokens of which nothing is known
.safetensors  the same, with tokens and label_names as UTF-8 bytes, joined by line ends

Tokens are those of the sentences that are asked about, in their order, and are compared one by one.
"""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float32
from safetensors import SafetensorError
from safetensors.numpy import load_file

from kd_jax.distill.given_outputs import GivenOutputs
from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import DAMAGED_ARRAYS, json_object, kind_of

SUFFIXES = (".jsonl", ".npz", ".safetensors")
KINDS = ("logits", "probabilities", "labels")
LEAST = 1e-6  # probabilities below it count as it: their logarithm must be finite
SUM_SLACK = 1e-2
_NAMES_FIRST = '{"label_names": ["O", "B-X", "I-X"]}'


def read_outputs(path: Path) -> GivenOutputs:
    """A teacher's outputs from a file.

    Raises:
        InputError: naming the file, and the line or the token at which it is wrong; for one that says nothing of any
            token.
    """
    if kind_of(path) != "file":
        raise InputError(f"{path}: no such file; give one that ends in {', '.join(SUFFIXES)}, or hf:FOLDER")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: is none of {', '.join(SUFFIXES)}; write what the teacher says in one of these")
    said = _from_lines(path) if path.suffix == ".jsonl" else _from_arrays(path)
    if not said.tokens:
        raise InputError(f"{path}: holds no token; write what the teacher says of each sentence")
    if not said.known.any():
        raise InputError(
            f"{path}: says nothing of any of its {len(said.tokens):,} tokens (known, null); give logits, probabilities"
            " or labels of some"
        )
    return said


def _from_lines(path: Path) -> GivenOutputs:
    names: tuple[str, ...] = ()
    kind = ""
    tokens: list[str] = []
    rows: list[Any] = []
    for where, content in _objects(path):
        if "label_names" in content:
            of_line = _texts(content["label_names"], where, "label_names")
            if names and of_line != names:
                raise InputError(
                    f"{where}: other label_names than a line before; all rows have the columns of the first: give them"
                    " once"
                )
            names = of_line
            if "tokens" not in content:
                continue
        given = _kind(content, where)
        if kind not in ("", given):
            raise InputError(f"{where}: gives {given}, the lines before {kind}; give one of them in all")
        kind = given
        words, values = _texts(content.get("tokens"), where, "tokens"), content[kind]
        if not isinstance(values, list) or len(values) != len(words):
            raise InputError(f"{where}: {kind} must be a list with an entry for each of the {len(words)} tokens")
        (_check_labels if kind == "labels" else _check_rows)(values, names, where, kind)
        tokens += words
        rows += values
    known = np.array([row is not None for row in rows], bool)
    if kind == "labels":
        return GivenOutputs(path, (), tokens, None, ["O" if row is None else row for row in rows], known)
    table = np.array([[0.0] * len(names) if row is None else row for row in rows], np.float64).reshape(
        len(rows), len(names)
    )
    return GivenOutputs(path, names, tokens, _checked(path, table, kind, tokens, known), None, known)


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file's lines, each with the place that messages name."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # no other line end: JSON may hold U+2028
    except (OSError, ValueError) as fault:
        raise InputError(f"{path}: can't be read ({brief(fault)}); save it as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        yield where, json_object(line, where, '{"tokens": [...], "labels": [...]}')


def _check_labels(values: Sequence[Any], _: Sequence[str], where: str, kind: str) -> None:
    for value in values:
        if value is not None and (not isinstance(value, str) or not value):
            raise InputError(
                f'{where}: {kind} has {value!r:.40}; give texts such as "B-X" or "O", null where nothing is known'
            )


def _check_rows(values: Sequence[Any], names: Sequence[str], where: str, kind: str) -> None:
    if not names:
        raise InputError(
            f"{where}: {kind}, but no line so far says whose they are; begin with a line such as {_NAMES_FIRST}"
        )
    for row in values:
        if row is None:
            continue
        # A bool is an int to Python, but no number that a model gives.
        if not isinstance(row, list) or len(row) != len(names) or not all(type(x) in {int, float} for x in row):
            raise InputError(
                f"{where}: {kind} must be rows of {len(names)} numbers, one for each of label_names, null where nothing"
                " is known"
            )
        try:
            [float(x) for x in row]
        except OverflowError:
            raise InputError(f"{where}: {kind} has a number that is too large; give numbers that are finite") from None


def _from_arrays(path: Path) -> GivenOutputs:
    arrays = _arrays(path)
    if "tokens" not in arrays:
        raise InputError(f"{path}: has no array tokens; give them, one text a token")
    tokens = _spelt(path, arrays, "tokens")
    names = tuple(_spelt(path, arrays, "label_names")) if "label_names" in arrays else ()
    kind, known = _kind(arrays, str(path)), np.ones(len(tokens), bool)
    values = arrays[kind]
    if not values.ndim or len(values) != len(tokens):
        count = f"{len(values):,}" if values.ndim else "no"
        raise InputError(f"{path}: {kind} of {count} tokens, and {len(tokens):,} tokens; give as many")
    if "known" in arrays:
        known = _known(path, arrays["known"], len(tokens))
    if kind == "labels":
        return GivenOutputs(path, (), tokens, None, _labels(path, arrays, names, tokens, known), known)
    if not names:
        raise InputError(f"{path}: {kind}, but no array label_names says whose they are; give one text a column")
    if values.ndim != 2 or values.shape[1] != len(names) or not _is_number(values):
        shape = " x ".join(map(str, values.shape))
        raise InputError(
            f"{path}: {kind} must be rows of {len(names)} numbers, one for each of label_names, not {shape} of"
            f" {values.dtype}; mend them, or label_names"
        )
    return GivenOutputs(
        path, names, tokens, _checked(path, values.astype(np.float64), kind, tokens, known), None, known
    )


def _arrays(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("no zip archive, as numpy.savez writes it")
        with np.load(path, allow_pickle=False) as stored:
            return {name: array for name in stored.files if isinstance(array := stored[name], np.ndarray)}
    except (*DAMAGED_ARRAYS, SafetensorError, AttributeError) as fault:
        # numpy's words advise to load pickles, which can run anything.
        why = "arrays of objects are pickles, which are never loaded" if "allow_pickle" in str(fault) else brief(fault)
        raise InputError(f"{path}: can't be read ({why}); give arrays of text and of numbers") from None


def _spelt(path: Path, arrays: dict[str, Any], name: str) -> list[str]:
    """Texts of an array: NumPy's strings, or UTF-8 bytes that line ends part."""
    array = arrays[name]
    try:
        if array.dtype == np.uint8:
            text = array.tobytes().decode("utf-8").removesuffix("\n")
            return text.split("\n") if text else []
        if array.dtype.kind not in "SU" or array.ndim != 1:
            shape = " x ".join(map(str, array.shape)) or "one"
            raise InputError(f"{path}: {name} must be a row of texts, not {shape} of {array.dtype}; write them so")
        return [item if isinstance(item, str) else item.decode("utf-8") for item in array.tolist()]
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: {name} can't be read ({brief(fault)}); write UTF-8") from None


def _known(path: Path, array: Any, count: int) -> Bool[np.ndarray, "N"]:
    are_bits = array.dtype == bool or (np.issubdtype(array.dtype, np.integer) and np.isin(array, (0, 1)).all())
    if array.shape != (count,) or not are_bits:
        raise InputError(f"{path}: known must be true or false (1 or 0) for each of the {count:,} tokens")
    return np.asarray(array, bool)


def _labels(
    path: Path, arrays: dict[str, Any], names: Sequence[str], tokens: Sequence[str], known: Bool[np.ndarray, "N"]
) -> list[str]:
    """Labels by name, N; O where nothing is known."""
    values = arrays["labels"]
    if values.ndim == 1 and np.issubdtype(values.dtype, np.integer):
        if not names:
            raise InputError(f"{path}: labels are numbers, but no array label_names says of what; give it")
        numbers = np.where(known, values, 0)
        if not ((numbers >= 0) & (numbers < len(names))).all():
            raise InputError(f"{path}: labels must be numbers of label_names, 0 to {len(names) - 1}")
        texts = [names[k] for k in numbers.tolist()]
    elif values.ndim == 1 and values.dtype.kind in "SU":
        texts = _spelt(path, arrays, "labels")
    else:
        shape = " x ".join(map(str, values.shape))
        raise InputError(
            f"{path}: labels must be a row of texts such as B-X, or of whole numbers of label_names, not {shape} of"
            f" {values.dtype}"
        )
    for n, text in enumerate(texts):
        if not text and known[n]:
            raise InputError(
                f"{path}: token {n + 1:,} ({tokens[n]!r:.40}): its label is empty; write O, or False in known where"
                " nothing is known"
            )
    return [text if of_token else "O" for text, of_token in zip(texts, known, strict=True)]


def _is_number(array: Any) -> bool:
    """Whether an array holds real numbers; bfloat16 and its like are unknown to numpy."""
    return any(jnp.issubdtype(array.dtype, kind) for kind in (np.floating, np.integer))


def _kind(content: Any, where: str) -> str:
    given = [kind for kind in KINDS if kind in content]
    if len(given) != 1:
        raise InputError(f"{where}: gives {' and '.join(given) or 'nothing'}; give one of {', '.join(KINDS)}")
    return given[0]


def _texts(values: Any, where: str, what: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{where}: {what} must be a list of texts")
    return tuple(values)


def _checked(
    path: Path, table: Any, kind: str, tokens: Sequence[str], known: Bool[np.ndarray, "N"]
) -> Float32[np.ndarray, "N J"]:
    """Logits, [N, J], of a table of logits or probabilities in float64, [N, J]."""

    def fault(wrong: Bool[np.ndarray, "N"], what: str) -> None:
        if (wrong & known).any():
            n = int(np.flatnonzero(wrong & known)[0])
            raise InputError(f"{path}: token {n + 1:,} ({tokens[n]!r:.40}): its {kind} {what}")

    with np.errstate(over="ignore"):
        stored = table.astype(np.float32)
    not_finite = "are not finite in float32; leave out what the teacher does not know (known, null)"
    fault(~np.isfinite(stored).all(1), not_finite)
    if kind == "logits":
        return stored
    fault((table < 0).any(1), "have one below 0")
    fault(np.abs(table.sum(1) - 1) > SUM_SLACK, "do not add up to 1")
    return np.log(np.maximum(table, LEAST)).astype(np.float32)
