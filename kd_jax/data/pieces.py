"""Vectors of words from vectors of their pieces: a table of pieces, and BERT's rules that cut a word into them.

The rules are those of the reference implementation (google-research/bert, tokenization.py; Wu et al. 2016 for
WordPiece), so that a table made from an encoder serves where neither the encoder nor its tokenizer is installed.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Shaped

from kd_jax.errors import InputError
from kd_jax.runtime.files import DAMAGED_ARRAYS

_CJK = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


@dataclass(frozen=True)
class Rules:
    """How a word is cut.

    Attributes:
        clean: drop characters that print nothing.
        split_cjk: cut around every Chinese character.
        strip_accents: drop accents.
        lowercase: read in lower case.
        prefix: that a piece has which does not begin a part.
        longest: characters of a part; a longer one is unknown.
    """

    clean: bool = True
    split_cjk: bool = True
    strip_accents: bool = True
    lowercase: bool = True
    prefix: str = "##"
    longest: int = 100

    def parts(self, word: str) -> list[str]:
        """The parts that are cut into pieces each on its own: between blanks, and every punctuation mark alone."""
        if self.clean:
            word = "".join(" " if char.isspace() else char for char in word if not _prints_nothing(char))
        if self.split_cjk:
            word = "".join(f" {char} " if _is_cjk(char) else char for char in word)
        if self.strip_accents:
            word = "".join(char for char in unicodedata.normalize("NFD", word) if unicodedata.category(char) != "Mn")
        if self.lowercase:
            word = "".join(char.lower() for char in word)  # each alone: a final sigma is no case of its own here
        return "".join(f" {char} " if _is_punctuation(char) else char for char in word).split()


@dataclass(frozen=True)
class PieceTable:
    """Pieces with vectors.

    Attributes:
        pieces: P of them, as the rules spell them.
        vectors: theirs, [P, D].
        rules: by which words are cut.
    """

    pieces: tuple[str, ...]
    vectors: Float32[np.ndarray, "P D"]
    rules: Rules

    @cached_property
    def ids(self) -> dict[str, int]:
        """Row of each piece."""
        return {piece: row for row, piece in enumerate(self.pieces)}

    def cut(self, word: str) -> list[int]:
        """Rows of a word's pieces; a part that can't be cut whole has none."""
        return [row for part in self.rules.parts(word) for row in self._greedy(part)]

    def _greedy(self, part: str) -> Iterator[int]:
        """The longest piece that fits, again and again."""
        rows, start = list[int](), 0
        while start < len(part) <= self.rules.longest:
            prefix = self.rules.prefix if start else ""
            for end in range(len(part), start, -1):
                if (row := self.ids.get(prefix + part[start:end])) is not None:
                    rows.append(row)
                    start = end
                    break
            else:
                return iter(())  # BERT's rule: a part that can't be spelt to its end is unknown as a whole
        return iter(rows)

    def words(self, words: Sequence[str]) -> tuple[Float32[np.ndarray, "N D"], Bool[np.ndarray, "N"]]:
        """Vectors of words.

        Args:
            words: N of them, as they are written in a text.

        Returns:
            The mean of the vectors of each word's pieces, [N, D], 0 where it has none; and whether it has one, [N].
        """
        matrix = np.zeros((len(words), self.vectors.shape[1]), np.float32)
        has_piece = np.zeros(len(words), bool)
        for i, word in enumerate(words):
            if rows := self.cut(word):
                matrix[i], has_piece[i] = self.vectors[rows].mean(0), True
        return matrix, has_piece

    def arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """What is beside `words` and `vectors` in a .npz of word vectors; `read_pieces` is the inverse."""
        return {
            "pieces": np.array([piece.encode() for piece in self.pieces]),
            "piece_vectors": self.vectors,
            "piece_rules": np.array([json.dumps(asdict(self.rules)).encode()]),
        }


def read_pieces(path: Path) -> PieceTable | None:
    """The table of pieces in a file of word vectors; None where it has none.

    Args:
        path: of the file.

    Raises:
        InputError: for a table that is damaged.
    """
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":  # pieces are kept in .npz only
            return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if "pieces" not in arrays:
                return None
            pieces = tuple(piece.decode() for piece in arrays["pieces"].tolist())
            vectors = arrays["piece_vectors"].astype(np.float32)
            rules = Rules(**json.loads(arrays["piece_rules"][0]))
    except (*DAMAGED_ARRAYS, AttributeError) as fault:
        raise InputError(f"{path}: its table of pieces can't be read ({fault}); make it anew") from None
    if vectors.ndim != 2 or len(vectors) != len(pieces) or not np.isfinite(vectors).all():
        raise InputError(f"{path}: its table of pieces is no table of {len(pieces):,} finite vectors; make it anew")
    return PieceTable(pieces, vectors, rules)


def _prints_nothing(char: str) -> bool:
    return char in "\0\ufffd" or (char not in "\t\n\r" and unicodedata.category(char).startswith("C"))


def _is_cjk(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _CJK)


def _is_punctuation(char: str) -> bool:
    ascii_mark = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return ascii_mark or unicodedata.category(char).startswith("P")
