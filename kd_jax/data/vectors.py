"""Pretrained word vectors for the words of a vocabulary."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32

from kd_jax.data.vector_files import Row, Rows, open_vectors
from kd_jax.errors import InputError

_EXACT, _CASE, _DIGITS, _MISSING = range(4)
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class VectorReport:
    """How a file of word vectors covers a vocabulary.

    Attributes:
        path: of the file.
        form: of the file.
        dim: of its vectors.
        rows: that it has.
        exact: words found as they are.
        by_case: words found in lower case, or in whatever case the file has them.
        by_digits: words found with every digit as 0, in the file or in the vocabulary.
        missing: words not found.
        warnings: what a user should know.
    """

    path: Path
    form: str
    dim: int
    rows: int
    exact: int
    by_case: int
    by_digits: int
    missing: int
    warnings: tuple[str, ...]

    @property
    def found(self) -> int:
        """Words found in any way."""
        return self.exact + self.by_case + self.by_digits

    @property
    def coverage(self) -> float:
        """Share of the vocabulary that was found; 1 of an empty vocabulary."""
        return self.found / (self.found + self.missing) if self.found + self.missing else 1.0

    def __str__(self) -> str:
        ways = f"{self.exact:,} as they are, {self.by_case:,} by case, {self.by_digits:,} by digits"
        return (
            f"{self.path}: {self.rows:,} vectors of {self.dim} numbers ({self.form}) for {self.found:,} of"
            f" {self.found + self.missing:,} words, {100 * self.coverage:.1f} % ({ways})"
        )


def load_vectors(
    path: Path,
    vocabulary: Sequence[str],
    dim: int | None = None,
    *,
    normalise: bool = True,
    least_coverage: float = 0.0,
) -> tuple[Float32[np.ndarray, "W D"], Bool[np.ndarray, "W"], VectorReport]:
    """The vectors of a vocabulary's words.

    A word is looked up as it is; then in lower case on both sides; then with digits as 0 on the side that is not
    written so already. The first way that succeeds counts, and of several vectors found so the file's first.

    Args:
        path: as for `kd_jax.data.vector_files.open_vectors`.
        vocabulary: W different words.
        dim: that the vectors must have; None takes what the file has.
        normalise: whether the second and third way are tried.
        least_coverage: share of the vocabulary, 0 to 1, that must be found.

    Returns:
        Vectors, [W, dim], 0 where none was found; which were found, [W]; and a report.

    Raises:
        InputError: for a file that can't be used, vectors of another dimension, numbers that are not finite, or less
            coverage than asked for; a file with none of the words is refused in any case.
    """
    with open_vectors(path) as opened:
        if dim is not None and opened.dim != dim:
            raise InputError(
                f"{path}: vectors of {opened.dim} numbers, but {dim} are wanted; see --set=words.dim={opened.dim}"
            )
        matrix = np.zeros((len(vocabulary), opened.dim), np.float32)
        level = np.full(len(vocabulary), _MISSING)
        index = _Index(vocabulary, normalise)
        rows = duplicates = 0
        for row in opened.rows:
            rows += 1
            for way, i in index.matches(row.word):
                duplicates += int(way == level[i] == _EXACT)
                if way < level[i]:
                    matrix[i] = _vector(path, opened, row)
                    level[i] = way
    exact, by_case, by_digits, missing = np.bincount(level, minlength=4).tolist()
    warnings = _warnings(path, opened.promised, rows, duplicates)
    report = VectorReport(path, opened.form, opened.dim, rows, exact, by_case, by_digits, missing, warnings)
    if vocabulary and not report.found:
        raise InputError(
            f"{path}: vectors for 0.0 % of {len(vocabulary):,} words; are they of another language? Give others"
        )
    if report.coverage < least_coverage:
        raise InputError(
            f"{path}: vectors for {100 * report.coverage:.1f} % of {len(vocabulary):,} words, at least"
            f" {100 * least_coverage:.1f} % are wanted; give vectors of this field, or lower words.least_coverage"
        )
    return matrix, level < _MISSING, report


class _Index:
    """Finds the words of a vocabulary that a word of a file may stand for."""

    def __init__(self, vocabulary: Sequence[str], normalise: bool):
        self._normalise = normalise
        self._exact = {word.encode("utf-8", "surrogatepass"): i for i, word in enumerate(vocabulary)}
        if len(self._exact) != len(vocabulary):
            raise ValueError("a word is twice in the vocabulary")
        self._lower = defaultdict[str, list[int]](list)
        self._zeroed = defaultdict[str, list[int]](list)
        for i, word in enumerate(vocabulary):
            lower = word.lower()
            self._lower[lower].append(i)
            if (zeroed := _DIGIT.sub("0", lower)) != lower:
                self._zeroed[zeroed].append(i)

    def matches(self, word: bytes) -> list[tuple[int, int]]:
        """Ways and places in the vocabulary, the best ways first."""
        exact = self._exact.get(word)
        matches = [] if exact is None else [(_EXACT, exact)]
        if self._normalise:
            lower = word.decode("utf-8", "replace").lower()
            matches += [(_CASE, i) for i in self._lower.get(lower, ())]
            matches += [(_DIGITS, i) for i in self._zeroed.get(lower, ())]
            if (zeroed := _DIGIT.sub("0", lower)) != lower:
                matches += [(_DIGITS, i) for i in self._lower.get(zeroed, ())]
        return matches


def _vector(path: Path, opened: Rows, row: Row) -> Float32[np.ndarray, "D"]:
    try:
        vector = opened.decode(row.raw)
    except ValueError:
        vector = None
    if vector is None or not np.isfinite(vector).all():
        word = row.word[:40].decode("utf-8", "replace")
        raise InputError(f"{path}{row.place}: the vector of {word!r} is not all finite numbers; damaged: get it anew")
    return vector


def _warnings(path: Path, promised: int | None, rows: int, duplicates: int) -> tuple[str, ...]:
    if promised is not None and rows < promised:
        raise InputError(f"{path}: ends after {rows:,} of {promised:,} words; broken off: get it anew")
    warnings = []
    if promised is not None and rows > promised:
        warnings.append(f"{path}: {rows:,} words where its header promises {promised:,}")
    if duplicates:
        warnings.append(f"{path}: {duplicates:,} words of the vocabulary occur again; the first vector counts")
    return tuple(warnings)
