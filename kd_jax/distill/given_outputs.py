"""What any model said of a corpus's tokens, from a file: logits, probabilities, or labels alone.

.jsonl        a line a sentence: {"tokens": [...], "logits": [[...], ...]}, or "probabilities", or "labels": ["B-X"];
              null in place of a row for a token of which nothing is known. The first line, or one before it, has
              "label_names": ["O", ...], the names of the columns; labels need none.
.npz          arrays tokens [N] of text, label_names [J], and logits [N, J], probabilities [N, J] or labels [N], text or
              numbers of label_names; known [N] bool where there are tokens of which nothing is known
.safetensors  the same, with tokens and label_names as UTF-8 bytes, joined by line ends

Tokens are those of the sentences that are asked about, in their order, and are compared one by one.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int
from safetensors import SafetensorError
from safetensors.numpy import load_file

from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import DAMAGED_ARRAYS, digest_file
from kd_jax.structs import Sentence

SUFFIXES = (".jsonl", ".npz", ".safetensors")
KINDS = ("logits", "probabilities", "labels")
SURE = 0.99  # probability of a label that is given without any
LEAST = 1e-6  # probabilities below it count as it: their logarithm must be finite
SUM_SLACK = 1e-2


@dataclass
class GivenOutputs:
    """A teacher that is a file, read sentence by sentence in the order in which it was written.

    Attributes:
        path: of the file.
        label_names: its labels, J; empty where it gives labels by name.
        tokens: all of them, N.
        values: logits [N, J], or None.
        labels: labels by name, N, or None.
        known: tokens of which something is known, [N].
        at: tokens that were asked for.
    """

    path: Path
    label_names: tuple[str, ...]
    tokens: list[str]
    values: Float32[np.ndarray, "N J"] | None
    labels: list[str] | None
    known: Bool[np.ndarray, "N"]
    at: int = 0

    @property
    def title(self) -> str:
        """Its name in messages and in what is stored."""
        return self.path.name

    @cached_property
    def parameters(self) -> str:
        """Checksum of the file."""
        return digest_file(self.path)

    def names(self, labels: Sequence[str]) -> tuple[str, ...]:
        """Its labels; of one that gives labels by name those of the corpus, and whatever else it gives."""
        return tuple(dict.fromkeys((*labels, *self.labels))) if self.labels is not None else self.label_names

    def part(self, sentences: Sequence[Sentence], labels: Sequence[str], where: str) -> "Part":
        """What it says of the sentences that come next.

        Args:
            sentences: their tags are not read.
            labels: the corpus's.
            where: their corpus and split, for messages.

        Raises:
            InputError: naming the sentence and the token at which the file has another, or ends.
        """
        first = self.at
        for number, sentence in enumerate(sentences, start=1):
            place = f"{self.path}: {where}, sentence {number}"
            if self.at + len(sentence.tokens) > len(self.tokens):
                raise InputError(
                    f"{place}: the file ends, after {len(self.tokens):,} tokens, and {len(sentences) - number + 1:,} of"
                    f" {len(sentences):,} sentences are missing; give every sentence, in the corpus's order"
                )
            for n, (ours, theirs) in enumerate(zip(sentence.tokens, self.tokens[self.at :], strict=False), start=1):
                if ours != theirs:
                    raise InputError(
                        f"{place}, token {n}: the file has {theirs!r:.40}, the corpus {ours!r:.40}; give the corpus's"
                        " own tokens, in its order"
                    )
            self.at += len(sentence.tokens)
        rows = np.flatnonzero(self.known[first : self.at])
        return Part(self._logits(first + rows, self.names(labels)), rows, self.at - first)

    def end(self) -> None:
        """See that everything was asked for.

        Raises:
            InputError: where tokens are left.
        """
        if left := len(self.tokens) - self.at:
            raise InputError(
                f"{self.path}: has {left:,} tokens more than the corpora and splits that are asked for; say which it is"
                " of with --datasets and --splits"
            )

    def _logits(self, rows: Int[np.ndarray, "n"], names: Sequence[str]) -> Float32[np.ndarray, "n J"]:
        if self.values is not None:
            return self.values[rows]
        of_name = {name: k for k, name in enumerate(names)}
        likeliest = np.array([of_name[(self.labels or [])[row]] for row in rows], np.int64)
        sure = likeliest[:, None] == np.arange(len(names))
        return np.log(np.where(sure, SURE, (1 - SURE) / max(1, len(names) - 1))).astype(np.float32)


@dataclass(frozen=True)
class Part:
    """What a file says of some sentences: logits of the rows that are known, of `tokens` in all."""

    values: Float32[np.ndarray, "n J"]
    rows: Int[np.ndarray, "n"]
    tokens: int

    def logits(
        self, _: Sequence[Sentence], advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n J"]]]:
        """All of it at once, as of a teacher that reads."""
        advance(self.tokens)
        yield self.rows, self.values


def read_outputs(path: Path) -> GivenOutputs:
    """A teacher's outputs from a file.

    Raises:
        InputError: naming the file, and the line or the token at which it is wrong.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; give one that ends in {', '.join(SUFFIXES)}, or hf:FOLDER")
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: is none of {', '.join(SUFFIXES)}; write what the teacher says in one of these")
    return _from_lines(path) if path.suffix == ".jsonl" else _from_arrays(path)


def _from_lines(path: Path) -> GivenOutputs:
    names: tuple[str, ...] = ()
    kind = ""
    tokens: list[str] = []
    rows: list[Any] = []
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # no other line end: JSON may hold U+2028
    except (OSError, ValueError) as fault:
        raise InputError(f"{path}: can't be read ({brief(fault)}); save it as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as fault:
            raise InputError(f"{where}: no JSON ({brief(fault)}); write an object a line, one a sentence") from None
        if not isinstance(content, dict):
            raise InputError(f"{where}: no object; write one a line, such as {{'tokens': [...], 'labels': [...]}}")
        names = names or _texts(content.get("label_names", []), where, "label_names")
        if "tokens" not in content and "label_names" in content:
            continue
        of_line = _kind(content, where)
        if kind not in ("", of_line):
            raise InputError(f"{where}: gives {of_line}, the lines before {kind}; give one of them in all")
        kind = of_line
        words, values = _texts(content.get("tokens"), where, "tokens"), content[kind]
        if not isinstance(values, list) or len(values) != len(words):
            raise InputError(f"{where}: {kind} must be a list with an entry for each of the {len(words)} tokens")
        tokens += words
        rows += values
    known = np.array([row is not None for row in rows], bool)
    if kind == "labels":
        return GivenOutputs(path, (), tokens, None, list(_texts([r or "O" for r in rows], str(path), kind)), known)
    try:
        table = np.array([[0.0] * len(names) if row is None else row for row in rows], np.float64)
    except (ValueError, TypeError):
        raise InputError(f"{path}: {kind} must be rows of {len(names)} numbers, one for each of label_names") from None
    return GivenOutputs(path, names, tokens, _checked(path, table, kind, names, tokens, known), None, known)


def _from_arrays(path: Path) -> GivenOutputs:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays: dict[str, Any] = {name: file[name] for name in file.files}
        else:
            arrays = load_file(path)
        tokens = _spelt(arrays.get("tokens"))
        names = tuple(_spelt(arrays.get("label_names", np.zeros(0, "U1"))))
    except (*DAMAGED_ARRAYS, OSError, SafetensorError, AttributeError) as fault:
        raise InputError(f"{path}: can't be read ({brief(fault)}); it holds tokens, label_names and logits") from None
    kind, known = _kind(arrays, str(path)), np.ones(len(tokens), bool)
    values = arrays[kind]
    if len(values) != len(tokens):
        raise InputError(f"{path}: {kind} of {len(values):,} tokens, and {len(tokens):,} tokens; give as many")
    if "known" in arrays:
        known = np.asarray(arrays["known"], bool)
        if known.shape != (len(tokens),):
            raise InputError(f"{path}: known must be one number for each of the {len(tokens):,} tokens")
    if kind != "labels":
        return GivenOutputs(path, names, tokens, _checked(path, values, kind, names, tokens, known), None, known)
    if np.issubdtype(values.dtype, np.integer):
        if len(values) and not 0 <= values.min() <= values.max() < len(names):
            raise InputError(f"{path}: labels must be numbers of label_names, 0 to {len(names) - 1}")
        return GivenOutputs(path, (), tokens, None, [names[k] for k in values.tolist()], known)
    return GivenOutputs(path, (), tokens, None, _spelt(values), known)


def _spelt(array: Any) -> list[str]:
    """Texts of an array: NumPy's strings, or UTF-8 bytes that line ends part."""
    if array.dtype == np.uint8:
        text = array.tobytes().decode("utf-8").removesuffix("\n")
        return text.split("\n") if text else []
    if array.dtype.kind == "S":
        return [item.decode("utf-8") for item in array.tolist()]
    if array.dtype.kind != "U":
        raise ValueError("tokens and label_names must be text")
    return [str(item) for item in array.tolist()]


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
    path: Path,
    table: Any,
    kind: str,
    names: Sequence[str],
    tokens: Sequence[str],
    known: Bool[np.ndarray, "N"],
) -> Float32[np.ndarray, "N J"]:
    """Logits, [N, J], of logits or probabilities."""
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or table.shape[1] != len(names) or not names:
        raise InputError(f"{path}: {kind} must be rows of {len(names)} numbers, one for each of label_names")

    def fault(wrong: Bool[np.ndarray, "N"], what: str) -> None:
        if (wrong & known).any():
            n = int(np.flatnonzero(wrong & known)[0])
            raise InputError(f"{path}: token {n + 1:,} ({tokens[n]!r:.40}): its {kind} {what}")

    fault(~np.isfinite(table).all(1), "are not finite; leave out what the teacher does not know (known, null)")
    if kind == "logits":
        return table.astype(np.float32)
    fault((table < 0).any(1), "have one below 0")
    fault(np.abs(table.sum(1) - 1) > SUM_SLACK, "do not add up to 1")
    return np.log(np.maximum(table, LEAST)).astype(np.float32)
