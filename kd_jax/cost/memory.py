"""Bytes that a train program takes, by its shapes: known before anything is compiled."""

from typing import NamedTuple

from kd_jax.data.packing import round_up
from kd_jax.data.pipeline import CHUNK
from kd_jax.models.padding import LANES, Widths
from kd_jax.settings import Head, Settings


class ProblemSize(NamedTuple):
    """How large the things are that a program works on.

    Attributes:
        tokens: of its corpora, N.
        forms: distinct forms of its corpora, F.
        word_rows: of the word table, W.
        alphabet: distinct characters.
        labels: of the task that has most, K.
        tasks: branches, B.
        batch_forms: distinct forms that a batch has room for, U.
        batch_words: distinct words that a batch has room for, V.
        steps: of one chunk, S.
        known: bytes of the teacher's outputs for all tokens.
    """

    tokens: int
    forms: int
    word_rows: int
    alphabet: int
    labels: int
    tasks: int
    batch_forms: int
    batch_words: int
    steps: int = CHUNK
    known: int = 0


class Kept(NamedTuple):
    """Numbers that a program holds at its fullest moment, for each unit, input, character or parameter."""

    shared: float
    task: float
    inputs: float
    hidden: float
    characters: float
    touched: float
    branches: float


# Fitted by least squares to XLA's memory_analysis() of programs of 15 sizes (docs/notes/performance.md, Memory);
# tests/cost/test_memory.py holds predictions within a fifth of it.
KEPT = Kept(shared=13.0, task=17.6, inputs=5.1, hidden=0.7, characters=10.9, touched=1.85, branches=3.4)
IN_PLACE = 0.5  # copies of branches on an accelerator, which puts one back without copying the others
DECODING = 3  # arrays of [rows, labels, labels] that Viterbi's algorithm has at a time
AT_ONCE = 1.15  # what lanes at the same time take on the way, beside as many single ones
AT_ONCE_TILED = 0.65  # the same on a TPU, whose kernels keep gates and characters on the chip


class Parameters(NamedTuple):
    """How many numbers one lane's parameters are: the word table, the encoder, all branches."""

    words: int
    encoder: int
    branches: int


def parameters(settings: Settings, extent: ProblemSize, head: Head, *, tiles: bool = False) -> Parameters:
    """One lane's parameters.

    Args:
        settings: sizes.
        extent: of the corpora.
        head: a CRF has transitions too.
        tiles: whether zeros that fill tiles count, as a TPU's programs hold them (`kd_jax.models.tiled`).
    """
    model, chars, labels = settings.model, settings.model.chars, extent.labels
    whole = LANES if tiles else 1
    dim, hidden = round_up(model.words.dim, whole), round_up(model.hidden_units, whole)
    of_chars = (
        chars.units * (chars.width * chars.dim + 1) if chars.encoder == "cnn" else _bilstm(chars.dim, chars.units // 2)
    )
    read = round_up(model.words.dim + chars.units, whole)
    branch = _bilstm(2 * _states(model.shared_units, tiles), model.task_units, tiles)
    branch += (2 * _states(model.task_units, tiles) + 1) * hidden + (hidden + 1) * labels
    # A chain's transitions: label to label, to the first, from the last.
    branch += labels * (labels + 2) if head == "crf" else 0
    return Parameters(
        words=extent.word_rows * dim,
        encoder=extent.alphabet * chars.dim + of_chars + _bilstm(read, model.shared_units, tiles),
        branches=extent.tasks * branch,
    )


def _parts(size: Parameters) -> tuple[int, int]:
    """Parameters that are padded and cut together, as `kd_jax.training.held` has it."""
    return size.words, size.encoder + size.branches


def _bilstm(inputs: int, units: int, tiles: bool = False) -> int:
    of, gates = (Widths.of(units).units, Widths.of(units).gates) if tiles else (units, 4 * units)
    return 2 * gates * (inputs + of + 1)


def _states(units: int, tiles: bool) -> int:
    return Widths.of(units).hidden if tiles else units


def state_bytes(settings: Settings, extent: ProblemSize, head: Head, *, tiles: bool = False) -> int:
    """One lane's parameters and Adam's two moments."""
    return 3 * 4 * sum(parameters(settings, extent, head, tiles=tiles))


def activation_bytes(settings: Settings, extent: ProblemSize, head: Head, branches: float = KEPT.branches) -> int:
    """What one lane's step keeps and makes on the way at most: activations, and copies of what it touches.

    The numbers a unit are those of XLA's compiled programs, found by least squares over sizes; a test holds them to it.
    `branches` are the copies of those that a batch does not touch.
    """
    model, train = settings.model, settings.train
    places = train.rows * train.row_length
    chars = model.chars
    encoded = KEPT.characters if chars.encoder == "cnn" else KEPT.shared * chars.units
    size = parameters(settings, extent, head)
    branch = size.branches // extent.tasks
    touched = size.encoder + branch + extent.batch_words * model.words.dim
    numbers = (
        places * KEPT.shared * 2 * model.shared_units
        + places * KEPT.task * 2 * model.task_units
        + places * KEPT.inputs * (model.words.dim + chars.units)
        + places * KEPT.hidden * model.hidden_units
        + extent.batch_forms * chars.longest * encoded
        + KEPT.touched * touched
        + branches * (size.branches - branch)
    )
    return round(4 * numbers)


def decoding_bytes(rows: int, labels: int) -> int:
    """What decoding takes on the way, which counts where labels are thousands."""
    return DECODING * rows * labels**2 * 4


def program_bytes(
    settings: Settings, extent: ProblemSize, head: Head, lanes: int, in_turn: bool, *, tpu: bool = False
) -> int:
    """What a device holds while it trains or scores: arguments, results and all on the way, donated memory once.

    Args:
        settings: sizes.
        extent: of the corpora and the batches.
        head: output layer.
        lanes: of this device.
        in_turn: whether the lanes run one after the other, with one lane's activations but a second copy of all
            states, or at the same time, each with activations of its own.
        tpu: whether it is a TPU's: with fused kernels it holds states in whole tiles, and a part of them twice while
            they are read; without, it lays word tables out anew.
    """
    tiles = tpu and settings.runtime.recurrence in {"auto", "fused"}
    branches = KEPT.branches if in_turn else IN_PLACE
    state = state_bytes(settings, extent, head, tiles=tiles)
    activations = activation_bytes(settings, extent, head, branches)
    # `Batches`: token, starts and form_index at every place; form and form_to_word of each form; word of each word.
    chunk = extent.steps * (
        settings.train.rows * settings.train.row_length * (4 + 1 + 4)
        + 4 * (2 * extent.batch_forms + extent.batch_words)
    )
    # `TokenData`: label and labelled of each token; chars, word and single of each form.
    shared = extent.tokens * (4 + 1) + extent.forms * (4 * settings.model.chars.longest + 4 + 1) + extent.known
    on_the_way: float = activations
    if lanes > 1:
        at_once = AT_ONCE_TILED if tiles else AT_ONCE
        on_the_way = (lanes + 1) * state + activations if in_turn else at_once * lanes * activations
    if tpu and not tiles:
        on_the_way += lanes * 3 * 4 * extent.word_rows * round_up(settings.model.words.dim, LANES)
    decoding = decoding_bytes(settings.train.rows, extent.labels) * (1 if in_turn else lanes)
    read = lanes * 4 * max(_parts(parameters(settings, extent, head))) if tiles else 0
    return lanes * state + shared + max(lanes * chunk + round(on_the_way), decoding, read)
