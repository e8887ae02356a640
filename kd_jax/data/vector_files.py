"""Files of word vectors, read row by row: text, word2vec binary, .npy and .npz, each also packed by gzip.

Nothing is unpickled and no row is kept, so a file of any size passes through a few megabytes of memory.
"""

import gzip
import os
import re
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from kd_jax.data.vector_heads import BYTE_ORDER_MARK, agreed, all_numbers, dimension, is_binary, refuse_foreign
from kd_jax.errors import InputError
from kd_jax.runtime.files import kind_of

MOST_DIMENSIONS = 4096
_LONGEST_LINE = 1 << 20
_LONGEST_WORD = 1 << 16
_CHUNK = 1 << 20
_WORD_LISTS = (".txt", ".vocab", ".words")
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error, struct.error)


class Row(NamedTuple):
    """A word, its vector as the file has it, and the place of both, such as "line 12"."""

    word: bytes
    raw: object
    place: str


class Rows(NamedTuple):
    """An open file of word vectors.

    Attributes:
        form: of the file, for people.
        dim: of its vectors.
        promised: rows that it says to have; None where it does not say.
        rows: to be read once.
        decode: from what a row holds to its vector, [dim]; raises ValueError for what is none.
    """

    form: str
    dim: int
    promised: int | None
    rows: Iterator[Row]
    decode: Callable[[object], Float32[np.ndarray, "D"]]


@contextmanager
def open_vectors(path: Path) -> Iterator[Rows]:
    """The rows of a file of word vectors, whose form is recognised by its content.

    Args:
        path: text with or without a header (word2vec, GloVe, fastText .vec); word2vec binary; .npz with arrays `words`
            (strings [N]) and `vectors` (floats [N, D]); .npy of vectors with their words, one a line, beside it in
            .txt, .vocab or .words.

    Raises:
        InputError: for what is none of these, or is damaged or broken off; while rows are read, too.
    """
    try:
        if (kind := kind_of(path)) != "file":
            raise InputError(f"{path}: {'not a file' if kind else 'no such file'}; give a file of word vectors")
        with ExitStack() as opened:
            yield _open(path, opened)
    except _DAMAGED as fault:
        reason = getattr(fault, "strerror", None) or str(fault) or "it ends too early"
        raise InputError(f"{path}: can't be read to its end ({reason}); damaged or broken off: get it anew") from None


def _open(path: Path, opened: ExitStack) -> Rows:
    def stream(of: Path = path) -> IO[bytes]:
        with of.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        return opened.enter_context(gzip.open(of, "rb") if packed else of.open("rb"))  # type: ignore[arg-type]

    with stream() as file:
        head = file.read(_CHUNK).removeprefix(BYTE_ORDER_MARK)
    refuse_foreign(path, head)
    if head.startswith(b"\x93NUMPY"):
        return _npy(path, stream(), stream)
    if head.startswith(b"PK\x03\x04"):
        return _npz(path, opened)
    first, _, rest = head.partition(b"\n")
    header = re.fullmatch(rb"\s*(\d{1,15})[ \t]+(\d{1,15})\s*", first)
    second = rest.partition(b"\n")[0].split()
    if header and len(second) == 2 and all_numbers(second[1:]) and int(header[2]) not in {1, agreed(rest)}:
        header = None  # a word that is a number, with a vector of one
    if not header:
        return _text(path, stream(), None, _check_dim(path, dimension(path, head)))
    promised, dim = int(header[1]), _check_dim(path, int(header[2]))
    if is_binary(path, rest, dim):
        return _binary(path, stream(), promised, dim)
    if (agreed_dim := agreed(rest)) not in {0, dim}:
        raise InputError(
            f"{path}:1: says that vectors have {dim} numbers, but those below have {agreed_dim}; get it anew"
        )
    return _text(path, stream(), promised, dim)


def _check_dim(path: Path, dim: int) -> int:
    if not 0 < dim <= MOST_DIMENSIONS:
        raise InputError(f"{path}:1: vectors of {dim} numbers; no file of word vectors, or a damaged one")
    return dim


def _text(path: Path, file: IO[bytes], promised: int | None, dim: int) -> Rows:
    def rows() -> Iterator[Row]:
        for number, line in _lines(path, file):
            if (number == 1 and promised is not None) or not line.strip():
                continue
            row = line.rstrip(b" \t\r").replace(b"\t", b" ")
            if b"  " in row:
                row = re.sub(b" +", b" ", row)
            numbers = row.count(b" ")
            word, _, raw = row.partition(b" ")
            if numbers > dim:  # a word with blanks, as GloVe has; the last `dim` fields are its vector
                word, *fields = row.rsplit(b" ", dim)
                raw = b" ".join(fields)
            if numbers < dim or (numbers > dim and all_numbers(word.split(b" ")[1:])):
                raise InputError(
                    f"{path}:{number}: {numbers} numbers where there should be {dim}; damaged or broken off"
                )
            yield Row(word, raw, f":{number}")

    def decode(raw: object) -> Float32[np.ndarray, "D"]:
        with np.errstate(all="ignore"):
            return np.array(raw.split(b" "), np.float32)  # type: ignore[attr-defined]

    return Rows("text" if promised is None else "text with header", dim, promised, rows(), decode)


def _lines(path: Path, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise InputError(f"{path}:{number}: a line of over {_LONGEST_LINE >> 20} MiB; no file of word vectors")
        yield (
            number,
            line.removesuffix(b"\n").removesuffix(b"\r").removeprefix(BYTE_ORDER_MARK if number == 1 else b""),
        )


def _binary(path: Path, file: IO[bytes], promised: int, dim: int) -> Rows:
    size = 4 * dim

    def rows() -> Iterator[Row]:
        file.readline(_LONGEST_LINE)
        buffer, at = b"", 0
        for number in range(1, promised + 1):
            while (gap := buffer.find(b" ", at)) < 0 or len(buffer) < gap + 1 + size:
                if gap - at > _LONGEST_WORD or (gap < 0 and len(buffer) - at > _LONGEST_WORD):
                    raise InputError(f"{path}: word {number} is too long; no word2vec binary, or a damaged one")
                chunk = file.read(_CHUNK)
                if not chunk:
                    raise InputError(f"{path}: ends within word {number:,} of {promised:,}; broken off: get it anew")
                buffer, at = buffer[at:] + chunk, 0
            yield Row(buffer[at:gap].lstrip(b"\n"), buffer[gap + 1 : gap + 1 + size], f": word {number:,}")
            at = gap + 1 + size
        if (buffer[at:] + file.read(_CHUNK)).strip():
            raise InputError(f"{path}: goes on after the {promised:,} words that its header promises; get it anew")

    return Rows("word2vec binary", dim, promised, rows(), lambda raw: np.frombuffer(raw, "<f4"))  # type: ignore[call-overload]


def _npy(path: Path, file: IO[bytes], stream: Callable[[Path], IO[bytes]]) -> Rows:
    stem = path.name.removesuffix(".gz").removesuffix(".npy")
    beside = [path.with_name(stem + suffix) for suffix in _WORD_LISTS]
    listed = next((file_of_words for file_of_words in beside if file_of_words.is_file()), None)
    if listed is None:
        names = ", ".join(file_of_words.name for file_of_words in beside)
        raise InputError(f"{path}: the words of these vectors are missing; put them, one a line, beside it in {names}")
    shape, dtype = _array_header(path, file, "vectors")
    words = (line for _, line in _lines(listed, stream(listed)))
    return _from_arrays(path, "npy", words, str(listed), file, shape, dtype)


def _npz(path: Path, opened: ExitStack) -> Rows:
    archive = opened.enter_context(zipfile.ZipFile(path))
    names = {name.removesuffix(".npy") for name in archive.namelist()}
    if not {"words", "vectors"} <= names:
        held = ", ".join(sorted(names)[:8])
        raise InputError(
            f"{path}: holds {held}; a .npz needs the arrays words and vectors, another zip is to be unpacked"
        )
    try:
        words = opened.enter_context(archive.open("words.npy"))
        vectors = opened.enter_context(archive.open("vectors.npy"))
    except RuntimeError as fault:  # encrypted, or packed in a way that Python does not know
        raise InputError(f"{path}: can't be unpacked: {fault}") from None
    (count,), kind = _array_header(path, words, "words")
    shape, dtype = _array_header(path, vectors, "vectors")
    if count != shape[0]:
        raise InputError(f"{path}: {count:,} words, but {shape[0]:,} vectors; it can't be told which belongs to which")
    decoded = (_encode(word) for word in _items(path, words, count, kind))
    return _from_arrays(path, "npz", decoded, "its array words", vectors, shape, dtype)


def _from_arrays(
    path: Path,
    form: str,
    words: Iterator[bytes],
    list_name: str,
    file: IO[bytes],
    shape: tuple[int, ...],
    dtype: np.dtype,
) -> Rows:
    count, dim = shape[0], _check_dim(path, shape[1])

    def rows() -> Iterator[Row]:
        vectors = _items(path, file, count, np.dtype((dtype, (dim,))))
        for number, vector in enumerate(vectors, start=1):
            word = next(words, None)
            if word is None:
                raise InputError(f"{path}: {count:,} vectors, but {list_name} ends after {number - 1:,} words")
            yield Row(word, vector, f": row {number:,}")
        if next(words, None) is not None:
            raise InputError(f"{path}: {count:,} vectors, but {list_name} holds more words")

    def decode(raw: object) -> Float32[np.ndarray, "D"]:
        with np.errstate(all="ignore"):
            return np.asarray(raw, np.float32)

    return Rows(form, dim, count, rows(), decode)


def _array_header(path: Path, file: IO[bytes], name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array that can be read without unpickling, row by row."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, columns_first, dtype = read(file)
    except (ValueError, TypeError, SyntaxError, LookupError, tokenize.TokenError, RecursionError, Warning):
        raise InputError(f"{path}: no array {name} that numpy can read without unpickling; save it anew") from None
    rank, kinds, wanted = (1, "US", "strings [N]") if name == "words" else (2, "f", "floats [N, D]")
    if dtype.hasobject or dtype.kind not in kinds or len(shape) != rank or not 0 < dtype.itemsize <= _LONGEST_WORD:
        how = "pickled objects, which are never loaded" if dtype.hasobject else f"{dtype} {list(shape)}"
        raise InputError(f"{path}: the array {name} should be {wanted}, not {how}")
    if columns_first and rank > 1:
        raise InputError(f"{path}: the array {name} is stored by columns; save numpy.ascontiguousarray of it")
    return shape, dtype


def _items(path: Path, file: IO[bytes], count: int, dtype: np.dtype) -> Iterator[Shaped[np.ndarray, "..."]]:
    """The items of an array, from its bytes."""
    done = 0
    step = max(1, _CHUNK // dtype.itemsize)
    while done < count:
        wanted = min(step, count - done) * dtype.itemsize
        data = file.read(wanted)
        while len(data) < wanted and (more := file.read(wanted - len(data))):
            data += more
        if len(data) < wanted:
            raise InputError(f"{path}: ends after {done + len(data) // dtype.itemsize:,} of {count:,} rows; broken off")
        yield from np.frombuffer(data, dtype)
        done += wanted // dtype.itemsize


def _encode(word: object) -> bytes:
    return word if isinstance(word, bytes) else os.fspath(str(word)).encode("utf-8", "surrogatepass")
