"""Corpora as one model reads them: flat token arrays, and the batches of an epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int, Int32, Shaped

from kd_jax.data.packing import NO_TOKEN, HostBatch, index_forms, lay_out, pack, round_up
from kd_jax.data.vocab import Forms, Vocabulary
from kd_jax.settings import Settings, TrainConfig
from kd_jax.structs import Corpus, Sentence

UNLABELLED = "foreign"  # a split of other corpora's sentences, of which only a teacher's outputs are known
Sentences = Int[np.ndarray, "_"]
"""Some sentences of `Tokens`, as indices."""


class Span(NamedTuple):
    """The sentences of one split of one corpus, as indices first to last - 1."""

    first: int
    last: int


@dataclass(frozen=True)
class Tokens:
    """Sentences of several corpora, flat, as one model's vocabulary and label sets read them.

    Attributes:
        names: of the corpora; a corpus's index is its task.
        labels: label names of each task.
        spans: where each (corpus, split) lies among the sentences.
        offsets: position of each sentence's first token and, last, the number of tokens, [sentences + 1].
        form: surface form of each token, [N].
        label: gold label of each token in its corpus, [N].
        labelled: whether the label is known: False in the split UNLABELLED, [N].
        forms: tables over the distinct surface forms.
        word_rows: rows of the word table.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    spans: dict[tuple[str, str], Span]
    offsets: Int[np.ndarray, "_"]
    form: Int32[np.ndarray, "N"]
    label: Int32[np.ndarray, "N"]
    labelled: Bool[np.ndarray, "N"]
    forms: Forms
    word_rows: int

    @property
    def most_labels(self) -> int:
        """K: labels of the task that has most."""
        return max(map(len, self.labels))

    @property
    def valid(self) -> Bool[np.ndarray, "B K"]:
        """Labels that each task has, [B, K]."""
        return np.array([[k < len(names) for k in range(self.most_labels)] for names in self.labels])

    def sentences(self, corpus: str, splits: Sequence[str]) -> Sentences:
        """Indices of the sentences of some splits of a corpus, in file order; absent splits are empty."""
        spans = [self.spans[corpus, split] for split in splits if (corpus, split) in self.spans]
        return np.concatenate([np.arange(0), *(np.arange(*span) for span in spans)])

    def count(self, sentences: Sentences) -> int:
        """Tokens of the sentences."""
        return int((self.offsets[sentences + 1] - self.offsets[sentences]).sum())

    def positions(self, sentences: Sentences) -> Int[np.ndarray, "_"]:
        """Positions of the sentences' tokens, sentence by sentence."""
        return np.concatenate([np.arange(self.offsets[s], self.offsets[s + 1]) for s in sentences])

    def per_sentence(
        self, values: Shaped[np.ndarray, "N *rest"], sentences: Sentences
    ) -> list[Shaped[np.ndarray, "_ *rest"]]:
        """A flat array over tokens cut into sentences."""
        return [values[self.offsets[s] : self.offsets[s + 1]] for s in sentences]


def read_tokens(corpora: Sequence[Corpus], vocabulary: Vocabulary, settings: Settings) -> Tokens:
    """Flat arrays of corpora, split by split.

    Args:
        corpora: in the order of their tasks.
        vocabulary: of the model.
        settings: how words and characters are read.
    """
    forms: dict[str, int] = {}
    spans: dict[tuple[str, str], Span] = {}
    form: list[int] = []
    label: list[int] = []
    labelled: list[bool] = []
    lengths: list[int] = []
    for corpus in corpora:
        label_ids = {name: i for i, name in enumerate(corpus.labels)}
        for split, sentences in corpus.splits.items():
            spans[corpus.name, split] = Span(len(lengths), len(lengths) + len(sentences))
            for sentence in sentences:
                lengths.append(len(sentence.tokens))
                form.extend(forms.setdefault(token, len(forms)) for token in sentence.tokens)
                label.extend(label_ids[tag] for tag in sentence.tags)
                labelled.extend([split != UNLABELLED] * len(sentence.tokens))
    return Tokens(
        names=tuple(corpus.name for corpus in corpora),
        labels=tuple(corpus.labels for corpus in corpora),
        spans=spans,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        form=np.array(form, np.int32),
        label=np.array(label, np.int32),
        labelled=np.array(labelled, bool),
        forms=vocabulary.describe(list(forms), settings.model.words, settings.model.chars),
        word_rows=len(vocabulary.words) + 1,
    )


def make_batches(
    tokens: Tokens, sentences: Sentences, task: int, train: TrainConfig, rng: np.random.Generator | None
) -> list[HostBatch]:
    """One pass over sentences as batches: those of the usual shape and, last, those of sentences too long for it.

    Args:
        tokens: of the model.
        sentences: indices.
        task: their corpus.
        train: rows and row_length.
        rng: shuffles; None packs by falling length, for reading without training.
    """
    lengths = np.diff(tokens.offsets)
    order = np.sort(sentences) if rng is None else rng.permutation(sentences)
    if rng is None:  # falling length packs tightest, and without training the order has no other effect
        order = order[np.argsort(-lengths[order], kind="stable")]
    batches: list[HostBatch] = []
    for shape, chosen in (
        ((train.rows, train.row_length), order[lengths[order] <= train.row_length]),
        (long_shape(tokens, train), order[lengths[order] > train.row_length]),
    ):
        if not len(chosen):
            continue
        rows = pack(lengths.tolist(), shape[1], chosen.tolist())
        if rng is not None:
            rows = [rows[i] for i in rng.permutation(len(rows))]
        token, starts = lay_out(rows, tokens.offsets, shape)
        batches += index_forms(token, starts, tokens.form, tokens.forms.word, task)
    return batches


def long_shape(tokens: Tokens, train: TrainConfig) -> tuple[int, int]:
    """(R, T) for sentences longer than a row: as many tokens a batch as usual, or one sentence."""
    longest = round_up(int(np.diff(tokens.offsets).max()), 64)
    return max(1, train.rows * train.row_length // longest), longest


def epochs_of_batches(
    tokens: Tokens,
    sentences: Sequence[Sentences],
    train: TrainConfig,
    seed: Sequence[int],
    unlabelled: Sentences | None = None,
) -> Iterator[list[HostBatch]]:
    """Endless epochs of shuffled batches, a function of the seed alone.

    Args:
        tokens: of the model.
        sentences: training sentences of each task.
        train: batch sizes and the sampling of tasks.
        seed: of the lane, numbers.
        unlabelled: sentences of task 0 that only a teacher labels; None for none.

    Yields:
        The batches of one epoch. Proportional sampling passes once over every corpus; the others take as many batches
        in all, in the wanted shares, and go on in the next epoch where they stopped. With unlabelled sentences an epoch
        is a pass over task 0's own, see `_mixed_passes`.
    """
    if unlabelled is not None and len(unlabelled):
        yield from _mixed_passes(tokens, sentences[0], unlabelled, train, seed)
    streams = [_passes(tokens, chosen, task, train, seed) for task, chosen in enumerate(sentences)]
    sizes = np.array([len(make_batches(tokens, chosen, task, train, None)) for task, chosen in enumerate(sentences)])
    power = {"proportional": 1.0, "sqrt": 0.5, "uniform": 0.0}[train.sampling]
    wanted = np.maximum(1, np.round(sizes.sum() * sizes**power / (sizes**power).sum())).astype(int)
    waiting: list[list[HostBatch]] = [[] for _ in streams]
    epoch = 0
    while True:
        chosen: list[HostBatch] = []
        for task, stream in enumerate(streams):
            if train.sampling == "proportional":
                chosen += next(stream)
                continue
            # A small corpus may have fewer batches than it is to give: then an epoch takes several passes over it.
            while len(waiting[task]) < wanted[task]:
                waiting[task] += next(stream)
            chosen += waiting[task][: wanted[task]]
            del waiting[task][: wanted[task]]
        order = np.random.default_rng([*seed, epoch, len(streams)]).permutation(len(chosen))
        yield [chosen[i] for i in order]
        epoch += 1


def _passes(
    tokens: Tokens, sentences: Sentences, task: int, train: TrainConfig, seed: Sequence[int]
) -> Iterator[list[HostBatch]]:
    for number in count():
        yield make_batches(tokens, sentences, task, train, np.random.default_rng([*seed, task, number]))


def labelled_rows(train: TrainConfig) -> int:
    """Rows of a mixed batch that hold labelled sentences; at least one, and one is left for the others."""
    return min(max(1, round(train.rows * train.own_share)), max(1, train.rows - 1))


def _mixed_passes(
    tokens: Tokens, labelled: Sentences, unlabelled: Sentences, train: TrainConfig, seed: Sequence[int]
) -> Iterator[list[HostBatch]]:
    """Passes over labelled sentences, every batch with the same share of rows of unlabelled ones beside them.

    The unlabelled sentences are a stream of their own that goes on where the pass before stopped. Sentences longer than
    a row have separate batches: labelled ones in every pass, unlabelled ones when their stream has come round.
    """
    lengths = np.diff(tokens.offsets)
    n_labelled = labelled_rows(train)
    waiting: list[list[int]] = []  # rows of unlabelled sentences that no batch has taken yet
    passes = count()
    for number in count():
        rng = np.random.default_rng([*seed, 0, number])
        order = rng.permutation(labelled)
        rows = pack(lengths.tolist(), train.row_length, order[lengths[order] <= train.row_length].tolist())
        rows = [rows[i] for i in rng.permutation(len(rows))]
        long = [order[lengths[order] > train.row_length]]
        batches: list[list[list[int]]] = []
        for first in range(0, len(rows), n_labelled):
            while len(waiting) < train.rows - n_labelled:
                again = np.random.default_rng([*seed, 1, next(passes)])
                mixed = again.permutation(unlabelled)
                short = mixed[lengths[mixed] <= train.row_length]
                long.append(mixed[lengths[mixed] > train.row_length])
                # An empty row where all are long, else this loop would never end.
                waiting += [*pack(lengths.tolist(), train.row_length, short.tolist())] or [[]]
            chosen = rows[first : first + n_labelled]
            batches.append([*chosen, *[[]] * (n_labelled - len(chosen)), *waiting[: train.rows - n_labelled]])
            del waiting[: train.rows - n_labelled]
        laid = [((train.rows, train.row_length), [row for batch in batches for row in batch])]
        shape = long_shape(tokens, train)
        laid += [(shape, pack(lengths.tolist(), shape[1], part.tolist())) for part in long if len(part)]
        host_batches: list[HostBatch] = []
        for of_shape, of_rows in laid:
            token, starts = lay_out(of_rows, tokens.offsets, of_shape)
            host_batches += index_forms(token, starts, tokens.form, tokens.forms.word, 0)
        yield host_batches


def real_share(batches: Sequence[HostBatch]) -> float:
    """Share of real tokens among all places of the batches."""
    real = sum(int((batch.token != NO_TOKEN).sum()) for batch in batches)
    return real / sum(batch.token.size for batch in batches)


def gold_tags(sentences: Sequence[Sentence]) -> list[list[str]]:
    """Tags of sentences as lists, as scorers want them."""
    return [list(sentence.tags) for sentence in sentences]
