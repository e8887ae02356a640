"""Tokenised sentences laid out in rows of a few fixed shapes, and predictions for the rows cut into sentences again.

A single sentence gets a small row, many get batches of one shape, and a long one a row of its own as long as the next
power of two. No sentence is cut: one of more tokens than the longest row is read in windows that overlap, and of each
window only what has CONTEXT tokens on both sides, or the sentence's end, is kept.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32, Shaped

from kd_jax.data.packing import NO_TOKEN, lay_out, pack
from kd_jax.data.vocab import Forms
from kd_jax.structs import Array

SMALL = (1, 32)  # (R, T) for a sentence of at most 32 tokens
MEDIUM = (1, 128)
BATCH = (16, 128)
LONGEST = 4096
CONTEXT = 256


class Rows(NamedTuple):
    """One batch of sentences as a tagging program reads it.

    Attributes:
        word: row of the word table of each distinct form, [U].
        chars: characters of each distinct form, 0 after its end, [U, C].
        form_index: which distinct form a token is, [R, T].
        starts: whether a sentence starts here; True on padding, [R, T].
        mask: whether a token is real, [R, T].
        vectors: of distinct forms that the word table lacks, read where `word` is the unknown word, [U, D]; None where
            the table's unknown word is read for all of them.
    """

    word: Int32[Array, "U"]
    chars: Int32[Array, "U C"]
    form_index: Int32[Array, "R T"]
    starts: Bool[Array, "R T"]
    mask: Bool[Array, "R T"]
    vectors: Float32[Array, "U D"] | None = None

    def given(self) -> dict[str, Shaped[Array, "*axes"]]:
        """The arrays that there are, by name."""
        return {name: array for name, array in self._asdict().items() if array is not None}


class Prediction(NamedTuple):
    """What a model predicts for a sentence of n tokens: label ids, [n], and their probabilities, [n]."""

    labels: Int32[np.ndarray, "n"]
    probabilities: Float32[np.ndarray, "n"]


Program = Callable[[Rows], tuple[Int[Array, "R T"], Float[Array, "R T"]]]
"""From rows to label ids and their probabilities, both [R, T]."""


def label_sentences(
    sentences: Sequence[Sequence[str]], describe: Callable[[Sequence[str]], Forms], run: Program
) -> list[Prediction]:
    """Labels of every token of some sentences.

    Args:
        sentences: tokens of N sentences.
        describe: distinct forms as the model reads them.
        run: the model.

    Returns:
        The prediction for each sentence, in order.
    """
    windows = [
        (number, first, last) for number, tokens in enumerate(sentences) for first, last in _windows(len(tokens))
    ]
    # Forms are looked up and spelt out once for all sentences, however often they occur.
    ids: dict[str, int] = {}
    form = np.array([ids.setdefault(t, len(ids)) for n, a, b in windows for t in sentences[n][a:b]], np.int32)
    forms = describe(list(ids))
    offsets = np.concatenate([[0], np.cumsum([last - first for _, first, last in windows])]).astype(np.int64)
    labels, probabilities = np.zeros(len(form), np.int32), np.zeros(len(form), np.float32)
    running = [(token, run(rows)) for token, rows in _batches(form, forms, offsets)]  # all are started before one ends
    for token, (of_rows, their_probabilities) in running:
        real = token != NO_TOKEN
        labels[token[real]] = np.asarray(of_rows)[real]
        probabilities[token[real]] = np.asarray(their_probabilities)[real]
    parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in sentences]
    for w, (number, first, last) in enumerate(windows):
        begin = first + (CONTEXT if first else 0)
        end = last - (CONTEXT if last < len(sentences[number]) else 0)
        kept = slice(offsets[w] + begin - first, offsets[w] + end - first)
        parts[number].append((labels[kept], probabilities[kept]))
    return [Prediction(*map(np.concatenate, zip(*part, strict=True))) for part in parts]


def _windows(length: int) -> Iterator[tuple[int, int]]:
    first = 0
    while length - first > LONGEST:
        yield first, first + LONGEST
        first += LONGEST - 2 * CONTEXT
    yield first, length


def _batches(
    form: Int32[np.ndarray, "N"], forms: Forms, offsets: Int[np.ndarray, "_"]
) -> Iterator[tuple[Int32[np.ndarray, "R T"], Rows]]:
    """Token positions [R, T], NO_TOKEN on padding, and what the model reads there."""
    lengths = np.diff(offsets)
    total = int(lengths.sum())
    by_shape: dict[tuple[int, int], list[int]] = {}
    for window in np.argsort(-lengths, kind="stable").tolist():
        shape = _shape(int(lengths[window]), total)
        by_shape.setdefault(shape, []).append(window)
    for shape, chosen in by_shape.items():
        token, starts = lay_out(pack(lengths.tolist(), shape[1], chosen), offsets, shape)
        for positions, start in zip(token, starts, strict=True):
            yield positions, _read(positions, start, form, forms)


def _shape(length: int, total: int) -> tuple[int, int]:
    """(R, T) for a sentence of so many tokens, of so many in all."""
    # Few shapes, since each is compiled once. A text that fits one small row gets one: a user who tags
    # a single sentence waits for it.
    if total <= SMALL[1]:
        return SMALL
    if total <= MEDIUM[1]:
        return MEDIUM
    return BATCH if length <= BATCH[1] else (1, 1 << (length - 1).bit_length())


def _read(
    positions: Int32[np.ndarray, "R T"], starts: Bool[np.ndarray, "R T"], form: Int32[np.ndarray, "N"], forms: Forms
) -> Rows:
    mask = positions != NO_TOKEN
    distinct, index = np.unique(form[positions[mask]], return_inverse=True)
    # U is part of the shape that a program is compiled for, so it is one of two: every token a form of its own, or half
    # as many, which text of a full batch nearly always has.
    tokens = positions.size
    size = tokens // 2 if positions.shape == BATCH and len(distinct) <= tokens // 2 else tokens
    word, chars = np.zeros(size, np.int32), np.zeros((size, forms.chars.shape[1]), np.int32)
    word[: len(distinct)], chars[: len(distinct)] = forms.word[distinct], forms.chars[distinct]
    form_index = np.zeros(positions.shape, np.int32)
    form_index[mask] = index
    if forms.vectors is None:
        return Rows(word, chars, form_index, starts, mask)
    vectors = np.zeros((size, forms.vectors.shape[1]), np.float32)
    vectors[: len(distinct)] = forms.vectors[distinct]
    return Rows(word, chars, form_index, starts, mask, vectors)
