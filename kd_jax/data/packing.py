"""Sentences laid end to end in rows of one length, and rows grouped into the batches of an epoch.

A token is known by its position in its corpora's flat token arrays; a batch is positions, so labels and a teacher's
knowledge are gathered on the device and nothing is copied twice. Neighbours in a row have no influence on each other:
the recurrent state is reset where a sentence starts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from kd_jax.structs import Array

NO_TOKEN = -1


class Known(NamedTuple):
    """What flat tables say of a batch's tokens and forms; a TPU looks it up row by row, the host while it waits.

    Attributes:
        chars: characters of the distinct forms, U last, which fills registers, [S, C, U].
        single: whether a form's word occurs once in training, [S, U].
        label: gold label of each token, anything on padding, [S, R, T].
        labelled: whether it is known, anything on padding, [S, R, T].
    """

    chars: Int32[Array, "*S C U"]
    single: Bool[Array, "*S U"]
    label: Int32[Array, "*S R T"]
    labelled: Bool[Array, "*S R T"]


class Batches(NamedTuple):
    """S batches of one shape.

    Attributes:
        token: position of each token in the flat arrays, NO_TOKEN on padding, [S, R, T].
        starts: whether a sentence starts here; True on padding too, [S, R, T].
        form_index: which distinct form of the batch this is, [S, R, T].
        form: the batch's distinct forms, [S, U].
        form_to_word: which distinct word of the batch a form has, [S, U].
        word: the batch's distinct rows of the word table, the unknown word first; padded with a row that does not
            exist, so that a scatter drops it, [S, V].
        task: index of the corpus that the batch is from, [S].
        learning_rate: 0 for a batch that only fills up the shape, [S].
        known: what the flat tables say of these tokens and forms, where the host looked it up; else None.
    """

    token: Int32[Array, "*S R T"]
    starts: Bool[Array, "*S R T"]
    form_index: Int32[Array, "*S R T"]
    form: Int32[Array, "*S U"]
    form_to_word: Int32[Array, "*S U"]
    word: Int32[Array, "*S V"]
    task: Int32[Array, "*S"]
    learning_rate: Float32[Array, "*S"]
    known: Known | None = None


def look_up(
    batches: Batches,
    chars: Int32[np.ndarray, "F C"],
    single: Bool[np.ndarray, "F"],
    label: Int32[np.ndarray, "N"],
    labelled: Bool[np.ndarray, "N"],
) -> Batches:
    """Batches, with any leading axes, and with them what the flat tables, host arrays, say of them."""
    token = np.maximum(batches.token, 0)
    of_forms = chars[batches.form].swapaxes(-1, -2), single[batches.form]
    return batches._replace(known=Known(*of_forms, label[token], labelled[token]))


def pack(lengths: Sequence[int], row_length: int, order: Sequence[int], window: int = 16) -> list[list[int]]:
    """Sentences into rows, first fit among the newest open rows.

    First fit wastes little where sentences are far shorter than a row; the window bounds the search.

    Args:
        lengths: tokens of each sentence, at most row_length.
        row_length: tokens a row holds.
        order: in which the sentences are placed.
        window: how many rows stay open.

    Returns:
        The sentences of each row, in order.

    >>> pack([5, 4, 3, 2], 8, [0, 1, 2, 3])
    [[0, 2], [1, 3]]
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (tokens left, row), the newest last
    for sentence in order:
        need = lengths[sentence]
        for place, (left, row) in enumerate(room):
            if need <= left:
                rows[row].append(sentence)
                room[place] = (left - need, row)
                break
        else:
            rows.append([sentence])
            room.append((row_length - need, len(rows) - 1))
            if len(room) > window:
                room.remove(min(room))  # the fullest: least likely to take another
    return rows


def lay_out(
    rows: Sequence[Sequence[int]], offsets: Int[np.ndarray, "_"], shape: tuple[int, int]
) -> tuple[Int32[np.ndarray, "S R T"], Bool[np.ndarray, "S R T"]]:
    """Rows as token positions.

    Args:
        rows: the sentences of each row.
        offsets: position of each sentence's first token and, last, the number of tokens, [N + 1].
        shape: (rows a batch R, tokens a row T).

    Returns:
        token and starts, [S, R, T], the last batch filled up with empty rows.

    >>> token, starts = lay_out([[0, 1]], np.array([0, 2, 3]), (1, 4))  # sentences of 2 tokens and 1
    >>> token.tolist(), starts.tolist()
    ([[[0, 1, 2, -1]]], [[[True, False, True, True]]])
    """
    n_rows, row_length = shape
    steps = -(-len(rows) // n_rows)
    token = np.full((steps * n_rows, row_length), NO_TOKEN, np.int32)
    starts = np.ones((steps * n_rows, row_length), bool)  # on padding too, so that no state comes out of it
    for r, row in enumerate(rows):
        at = 0
        for sentence in row:
            first, last = offsets[sentence], offsets[sentence + 1]
            token[r, at : at + last - first] = np.arange(first, last)
            starts[r, at + 1 : at + last - first] = False
            at += last - first
    return token.reshape(steps, n_rows, row_length), starts.reshape(steps, n_rows, row_length)


class HostBatch(NamedTuple):
    """One batch on the host: fields as in `Batches`, without S, U and V as large as they need be, no rate yet."""

    token: Int32[np.ndarray, "R T"]
    starts: Bool[np.ndarray, "R T"]
    form_index: Int32[np.ndarray, "R T"]
    form: Int[np.ndarray, "U"]
    form_to_word: Int[np.ndarray, "U"]
    word: Int[np.ndarray, "V"]
    task: int


def index_forms(
    token: Int32[np.ndarray, "S R T"],
    starts: Bool[np.ndarray, "S R T"],
    form_of: Int[np.ndarray, "N"],
    word_of: Int[np.ndarray, "F"],
    task: int,
) -> list[HostBatch]:
    """Batches with their distinct forms and words.

    Args:
        token: [S, R, T] positions.
        starts: [S, R, T].
        form_of: form of each token, [N].
        word_of: row of the word table of each form, [F].
        task: the corpus they are from.
    """
    batches = []
    for positions, start in zip(token, starts, strict=True):
        real = positions != NO_TOKEN
        form, index = np.unique(form_of[positions[real]], return_inverse=True)
        form_index = np.zeros(positions.shape, np.int32)
        form_index[real] = index
        word = np.unique(np.append(word_of[form], 0))  # row 0, the unknown word, sorts first
        batches.append(HostBatch(positions, start, form_index, form, np.searchsorted(word, word_of[form]), word, task))
    return batches


class Shape(NamedTuple):
    """Shape of batches: steps S, rows R, tokens a row T, distinct forms U, distinct words V."""

    steps: int
    rows: int
    row_length: int
    forms: int
    words: int


def stack(
    host_batches: Sequence[HostBatch], learning_rates: Sequence[float | np.float32], shape: Shape, absent_word: int
) -> Batches:
    """Batches of one shape, followed by empty ones.

    Args:
        host_batches: at most S, none larger than the shape.
        learning_rates: of each.
        shape: of the result.
        absent_word: a row that the word table does not have.

    Returns:
        Host arrays.
    """
    steps, rows, row_length, n_forms, n_words = shape
    out = Batches(
        token=np.full((steps, rows, row_length), NO_TOKEN, np.int32),
        starts=np.ones((steps, rows, row_length), bool),
        form_index=np.zeros((steps, rows, row_length), np.int32),
        form=np.zeros((steps, n_forms), np.int32),
        form_to_word=np.zeros((steps, n_forms), np.int32),
        word=np.full((steps, n_words), absent_word, np.int32),
        task=np.zeros(steps, np.int32),
        learning_rate=np.zeros(steps, np.float32),
    )
    for s, (host_batch, learning_rate) in enumerate(zip(host_batches, learning_rates, strict=True)):
        out.token[s], out.starts[s], out.form_index[s] = host_batch.token, host_batch.starts, host_batch.form_index
        out.form[s, : len(host_batch.form)], out.form_to_word[s, : len(host_batch.form)] = (
            host_batch.form,
            host_batch.form_to_word,
        )
        out.word[s, : len(host_batch.word)] = host_batch.word
        out.task[s], out.learning_rate[s] = host_batch.task, learning_rate
    return out


def round_up(size: int, multiple: int) -> int:
    """The smallest multiple that holds size."""
    return -(-size // multiple) * multiple
