"""Sentences as the PyTorch tagger sees them: files read, words and characters known, batches in packed order."""

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

Sentence = tuple[list[str], list[str]]
UNKNOWN = 0
PADDING, UNKNOWN_CHAR = 0, 1
TAG_TOKENS = 8192  # tokens of one batch when tagging


def read_sentences(path: Path) -> list[Sentence]:
    """Tokens and tags of a CoNLL file: first and last column, a blank line between sentences."""
    sentences: list[Sentence] = []
    tokens, tags = [], []
    for line in [*path.read_text(encoding="utf-8").split("\n"), ""]:
        fields = line.split("\t") if "\t" in line else line.split()
        if fields and fields[0] != "-DOCSTART-" and line.strip():
            tokens.append(fields[0])
            tags.append(fields[-1])
        elif tokens:
            sentences.append((tokens, tags))
            tokens, tags = [], []
    return sentences


class Text:
    """What the model knows after reading its training sentences, and how it sees others.

    Attributes:
        labels: tags of the training sentences.
        words: row of each normalised word; row 0 is the unknown word.
        alphabet: id of each character, from 2 on.
    """

    def __init__(self, train: list[Sentence], longest: int) -> None:
        """Count the words of training sentences; of each at most `longest` characters are read."""
        self.longest = longest
        counts = Counter(self.normalise(token) for tokens, _ in train for token in tokens)
        self.words = {word: row for row, word in enumerate(sorted(counts), start=1)}
        self.singles = {word for word, count in counts.items() if count == 1}
        self.labels = sorted({tag for _, tags in train for tag in tags})
        self.alphabet = {c: i for i, c in enumerate(sorted({c for tokens, _ in train for t in tokens for c in t}), 2)}

    @staticmethod
    def normalise(token: str) -> str:
        """Lower-cased, digits to 0."""
        return re.sub(r"\d", "0", token.lower())

    def characters(self, token: str) -> list[int]:
        """Character ids padded to `longest`; of a longer token its first and last halves."""
        half = self.longest // 2
        read = token if len(token) <= self.longest else token[:half] + token[-half:]
        return [self.alphabet.get(c, UNKNOWN_CHAR) for c in read] + [PADDING] * (self.longest - len(read))


class Batch(NamedTuple):
    """Tokens of some sentences in the order of a PackedSequence: all first tokens, all second ones and so on.

    Attributes:
        form_index: which distinct form a token is, [N].
        word: row of each distinct form's word, [U].
        single: whether that word occurs once in training, [U] bool.
        chars: characters of the distinct forms, [U, C].
        label: gold label, 0 where it is unknown, [N].
        sizes: sentences that have a first, second ... token, on the CPU.
        token: where in the split each token stands, [N] on the CPU.
    """

    form_index: Tensor
    word: Tensor
    single: Tensor
    chars: Tensor
    label: Tensor
    sizes: Tensor
    token: np.ndarray


class Split:
    """Sentences as flat arrays, cut into batches on demand."""

    def __init__(self, sentences: list[Sentence], text: Text, device: torch.device) -> None:
        """Index the sentences as `text` sees them."""
        self.sentences, self.device = sentences, device
        forms: dict[str, int] = {}
        self.form = np.array([forms.setdefault(t, len(forms)) for tokens, _ in sentences for t in tokens])
        rows = [text.words.get(text.normalise(form), UNKNOWN) for form in forms]
        self.word = np.array(rows)
        self.single = np.array([text.normalise(form) in text.singles for form in forms])
        self.chars = np.array([text.characters(form) for form in forms])
        label_ids = {label: i for i, label in enumerate(text.labels)}
        self.label = np.array([label_ids.get(tag, 0) for _, tags in sentences for tag in tags])
        self.lengths = np.array([len(tokens) for tokens, _ in sentences])
        self.offsets = np.cumsum(self.lengths) - self.lengths

    def batch(self, chosen: np.ndarray) -> Batch:
        """The sentences of the given indices, longest first."""
        chosen = chosen[np.argsort(-self.lengths[chosen], kind="stable")]
        lengths = self.lengths[chosen]
        sizes = (lengths[:, None] > np.arange(lengths[0])).sum(0)
        token = np.concatenate([self.offsets[chosen[:size]] + t for t, size in enumerate(sizes)])
        distinct, form_index = np.unique(self.form[token], return_inverse=True)
        chars = self.chars[distinct]
        chars = chars[:, : (chars != PADDING).sum(1).max()]
        arrays = (form_index, self.word[distinct], self.single[distinct], chars, self.label[token])
        return Batch(*(torch.from_numpy(a).to(self.device) for a in arrays), torch.from_numpy(sizes), token)

    def groups(self, order: np.ndarray, sentences: int, tokens: int) -> Iterator[np.ndarray]:
        """Runs of `order` of so many sentences, or with `tokens` above 0 of about so many tokens."""
        if tokens:
            total = np.cumsum(self.lengths[order])
            yield from np.split(order, np.unique(np.searchsorted(total, np.arange(tokens, total[-1], tokens))))
        else:
            yield from np.split(order, np.arange(sentences, len(order), sentences))

    def epoch(self, rng: np.random.Generator, args: argparse.Namespace) -> list[Batch]:
        """Batches of all sentences, shuffled; with --pool above 1, sorted by length within so many batches."""
        sentences, tokens = args.batch_sentences, args.tokens_per_step
        pools = self.groups(rng.permutation(len(self.sentences)), sentences * args.pool, tokens * args.pool)
        order = np.concatenate([pool[np.argsort(-self.lengths[pool], kind="stable")] for pool in pools])
        found = list(self.groups(order, sentences, tokens))
        return [self.batch(found[i]) for i in rng.permutation(len(found))]

    def in_order_of_length(self) -> list[Batch]:
        """Large batches of all sentences, for tagging."""
        order = np.argsort(-self.lengths, kind="stable")
        return [self.batch(group) for group in self.groups(order, 0, TAG_TOKENS)]
