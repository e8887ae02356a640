"""Test sentences that also occur in training data: how many there are, and training data without them.

Sentences are compared by `key`, which tokenisation, case and punctuation leave alone; those shorter than 30 characters,
mostly headings, don't count.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kd_jax.structs import Corpus, Sentence

SHORTEST = 30
TRAINING = ("train", "devel")
_DROPPED = re.compile(r"[^a-z0-9]+")


def key(sentence: Sentence) -> str:
    """A sentence's tokens joined, lower-cased and stripped to a-z and 0-9.

    >>> key(Sentence(("IL", "-", "2", "binds", "."), ("O",) * 5))
    'il2binds'
    """
    return _DROPPED.sub("", "".join(sentence.tokens).lower())


def keys(sentences: Iterable[Sentence]) -> list[str]:
    """The key of each sentence that is long enough to count, in order."""
    return [of_sentence for of_sentence in map(key, sentences) if len(of_sentence) >= SHORTEST]


@dataclass(frozen=True)
class Overlap:
    """The share of each corpus's test sentences that also occur in training data.

    Attributes:
        names: of the N corpora.
        splits: what was counted as training data.
        counted: test sentences long enough to count, [N].
        found: of these, how many also occur in each corpus's training data, [N test, N training].
        found_anywhere: how many also occur in the training data of any of the corpora, [N].
    """

    names: tuple[str, ...]
    splits: tuple[str, ...]
    counted: np.ndarray
    found: np.ndarray
    found_anywhere: np.ndarray

    @property
    def percent(self) -> np.ndarray:
        """Shares in percent, [N test, N training]; 0 where no test sentence counts."""
        return 100 * self.found / np.maximum(self.counted, 1)[:, None]

    @property
    def percent_anywhere(self) -> np.ndarray:
        """Shares in percent found in any training data, [N]."""
        return 100 * self.found_anywhere / np.maximum(self.counted, 1)


def audit(corpora: Sequence[Corpus], splits: Sequence[str] = TRAINING) -> Overlap:
    """Look up every test sentence in the training data of every corpus.

    Args:
        corpora: N corpora.
        splits: what counts as training data; a split that a corpus lacks is empty.
    """
    training = [{k for split in splits for k in keys(corpus.splits.get(split, ()))} for corpus in corpora]
    tests = [keys(corpus.splits["test"]) for corpus in corpora]
    anywhere = set().union(*training)
    return Overlap(
        names=tuple(corpus.name for corpus in corpora),
        splits=tuple(splits),
        counted=np.array(list(map(len, tests)), np.int64),
        found=np.array([[sum(k in in_training for k in test) for in_training in training] for test in tests], np.int64),
        found_anywhere=np.array([sum(k in anywhere for k in test) for test in tests], np.int64),
    )


def without_overlap(train_sentences: Iterable[Sentence], test_sentences_of: Iterable[Iterable[Sentence]]) -> np.ndarray:
    """Training sentences that occur in none of the given test splits.

    Args:
        train_sentences: in any order.
        test_sentences_of: the test sentences of each corpus that is to stay unseen.

    Returns:
        Indices of those kept, rising, [n] int; a sentence too short to count is kept.
    """
    unseen = {k for test in test_sentences_of for k in keys(test)}
    return np.array([i for i, sentence in enumerate(train_sentences) if key(sentence) not in unseen], np.int64)
