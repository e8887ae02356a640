"""Vocabularies: which words have vectors of their own, and what the distinct forms of a text look like to a model."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int32

from kd_jax.settings import CharConfig, WordConfig
from kd_jax.structs import Array, Corpus, Sentence

UNKNOWN = 0  # the word vector of every word without one
PADDING, UNKNOWN_CHAR = 0, 1


class Forms(NamedTuple):
    """Tables over distinct surface forms, to be gathered from on the device.

    Attributes:
        word: row of the word table, [F].
        chars: characters, 0 after the end, [F, C].
        single: whether the word occurs once in training, [F].
        vectors: of words that the table lacks, anything for the others, [F, D]; None where they are the unknown word.
    """

    word: Int32[Array, "F"]
    chars: Int32[Array, "F C"]
    single: Bool[Array, "F"]
    vectors: Float32[Array, "F D"] | None = None


def normalise(form: str, words: WordConfig) -> str:
    """The key by which a surface form's word vector is looked up.

    >>> normalise("IL-2R", WordConfig()), normalise("IL-2R", WordConfig(lowercase=False, zero_digits=False))
    ('il-0r', 'IL-2R')
    """
    if words.lowercase:
        form = form.lower()
    return re.sub(r"\d", "0", form) if words.zero_digits else form


@dataclass(frozen=True)
class Vocabulary:
    """The words and characters that a model knows.

    Attributes:
        words: keys of the word table's rows from row 1 on; row 0 is the unknown word.
        singles: the words that occur once in training.
        chars: characters from id 2 on; 0 is padding, 1 the unknown character.
    """

    words: tuple[str, ...]
    singles: frozenset[str]
    chars: str

    @cached_property
    def word_ids(self) -> dict[str, int]:
        """Row of each word."""
        return {word: row for row, word in enumerate(self.words, start=1)}

    @property
    def alphabet(self) -> int:
        """How many ids of characters there are: those that it knows, padding and the unknown one."""
        return len(self.chars) + 2

    @cached_property
    def char_ids(self) -> dict[str, int]:
        """Id of each character."""
        return {char: i for i, char in enumerate(self.chars, start=2)}

    def describe(self, forms: Sequence[str], words: WordConfig, chars: CharConfig) -> Forms:
        """What a model sees of the given surface forms.

        Args:
            forms: F distinct surface forms.
            words: how they are normalised.
            chars: how many characters are read: of a longer form its first and last halves.

        Returns:
            Host tables with F rows.
        """
        keys = [normalise(form, words) for form in forms]
        table = np.zeros((len(forms), chars.longest), np.int32)
        half = chars.longest // 2
        for row, form in enumerate(forms):
            # Both ends of a long form: suffixes tell as much as prefixes ("-ase", "anti-").
            read = form if len(form) <= chars.longest else form[:half] + form[-half:]
            table[row, : len(read)] = [self.char_ids.get(char, UNKNOWN_CHAR) for char in read]
        return Forms(
            word=np.array([self.word_ids.get(key, UNKNOWN) for key in keys], np.int32),
            chars=table,
            single=np.array([key in self.singles for key in keys], bool),
        )


def words_of(corpora: Iterable[Corpus], words: WordConfig) -> set[str]:
    """The keys of all words of all splits of corpora."""
    forms = {t for corpus in corpora for split in corpus.splits.values() for sentence in split for t in sentence.tokens}
    return {normalise(form, words) for form in forms}


def unseen_share(trained: Iterable[Sentence], others: Iterable[Sentence], words: WordConfig) -> float:
    """The share of tokens of some sentences whose words those trained on do not have, 0 to 1; 0 without tokens.

    >>> one, other = (Sentence(tuple(text.split()), ("O",) * 4) for text in ("IL-2 binds to DNA", "il-3 binds p53 ."))
    >>> unseen_share([one], [other], WordConfig())
    0.5
    """
    known = {normalise(form, words) for form in {token for sentence in trained for token in sentence.tokens}}
    forms = Counter(token for sentence in others for token in sentence.tokens)
    unseen = sum(count for form, count in forms.items() if normalise(form, words) not in known)
    return unseen / max(1, forms.total())


def build_vocabulary(sentences: Iterable[Sentence], words: WordConfig, extra: Iterable[str] = ()) -> Vocabulary:
    """The vocabulary of training sentences.

    Args:
        sentences: the sentences trained on.
        words: how forms are normalised.
        extra: further keys that have pretrained vectors, for words met only outside of training.

    Returns:
        Words by falling count, then alphabetically, so that equal corpora give equal tables.
    """
    forms = Counter(token for sentence in sentences for token in sentence.tokens)
    counts: Counter[str] = Counter()
    for form, count in forms.items():
        counts[normalise(form, words)] += count
    known = sorted(counts, key=lambda word: (-counts[word], word))
    known += sorted(set(extra) - set(known))
    return Vocabulary(
        words=tuple(known),
        singles=frozenset(word for word, count in counts.items() if count == 1),
        chars="".join(sorted({char for form in forms for char in form})),
    )
