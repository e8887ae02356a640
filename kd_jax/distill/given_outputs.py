"""What any model said of a corpus's tokens, as a teacher that is read sentence by sentence."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int

from kd_jax.errors import InputError
from kd_jax.runtime.files import digest_file
from kd_jax.structs import Sentence

SURE = 0.99  # probability of a label that is given without any


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
