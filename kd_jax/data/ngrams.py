"""Vectors of words that training did not have, from those of trained words that share n-grams of characters.

Zhao, Mudgal and Liang, Generalizing Word Embeddings using Bag of Subwords (EMNLP 2018), regress word vectors on the
n-grams of a word. Here that regression is ridge regression in its dual form (Saunders et al. 1998), fitted once
training is done (`kd_jax.distill.ngram_fit`). A word's prediction is

    v(u) = mean + sum_w k(u, w) a_w,   k(u, w) = |n-grams of both| / (|n-grams of u| |n-grams of w|),

so that what a model keeps of it is one row a trained word, whatever the number of n-grams. N-grams that no trained word
has are not counted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float32, Int

from kd_jax.data.vocab import Vocabulary

SHORTEST, LONGEST = 3, 5


def ngrams(word: str) -> list[str]:
    """The different n-grams of 3 to 5 characters of a word between "<" and ">", in the order of the alphabet.

    >>> ngrams("p53")
    ['53>', '<p5', '<p53', '<p53>', 'p53', 'p53>']
    """
    text = f"<{word}>"
    sizes = range(SHORTEST, LONGEST + 1)
    return sorted({text[i : i + n] for n in sizes for i in range(len(text) - n + 1)})


@dataclass(frozen=True)
class NgramIndex:
    """The n-grams of some words.

    Attributes:
        words: W trained words.
    """

    words: tuple[str, ...]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Row of each n-gram that a trained word has."""
        return {gram: i for i, gram in enumerate(sorted({gram for word in self.words for gram in ngrams(word)}))}

    def known(self, word: str) -> list[int]:
        """Rows of a word's n-grams, of those that a trained word has."""
        return [self.ids[gram] for gram in ngrams(word) if gram in self.ids]

    def cut(self, words: Sequence[str]) -> tuple[Int[np.ndarray, "M"], Int[np.ndarray, "M"], Float32[np.ndarray, "M"]]:
        """Which n-grams words have, of those of trained words.

        Returns:
            For each n-gram of each word: the word's place, the n-gram's row, and 1 / the number of the word's n-grams
            that are known.
        """
        of_words = [self.known(word) for word in words]
        sizes = np.array([len(rows) for rows in of_words], np.int64)
        rows = np.array([row for rows in of_words for row in rows], np.int64)
        return np.repeat(np.arange(len(words)), sizes), rows, np.repeat(1 / np.maximum(sizes, 1), sizes)


@dataclass(frozen=True)
class NgramVectors:
    """What predicts a word's vector.

    Attributes:
        index: of the trained words.
        dual: the mean of their vectors and, from row 1 on, a_w of each word, [W + 1, D].
    """

    index: NgramIndex
    dual: Float32[np.ndarray, "W+1 D"]

    @cached_property
    def _primal(self) -> Float32[np.ndarray, "G D"]:
        """A vector of each n-gram, of which a prediction is the mean."""
        word, gram, share = self.index.cut(self.index.words)
        order = np.argsort(gram, kind="stable")  # every n-gram stands here at least once, so none is an empty sum
        scaled = self.dual[1:][word[order]] * share[order, None].astype(np.float32)
        return np.add.reduceat(scaled, np.searchsorted(gram[order], np.arange(len(self.index.ids))), axis=0)

    def predict(self, words: Sequence[str]) -> tuple[Float32[np.ndarray, "N D"], Bool[np.ndarray, "N"]]:
        """Vectors of N words, and which have one: a word has none that shares no n-gram with any trained word."""
        vectors = np.zeros((len(words), self.dual.shape[1]), np.float32)
        has = np.zeros(len(words), bool)
        for i, word in enumerate(words):
            if rows := self.index.known(word):
                vectors[i], has[i] = self.dual[0] + self._primal[rows].mean(0), True
        return vectors, has


def extended(
    vocabulary: Vocabulary, table: Float32[np.ndarray, "W+1 D"], predictor: NgramVectors, keys: Iterable[str]
) -> tuple[Vocabulary, Float32[np.ndarray, "_ D"]]:
    """A vocabulary and its word table with further words, whose vectors are predicted.

    Args:
        vocabulary: of a trained model, W words.
        table: their vectors, after the unknown word's.
        predictor: of the vocabulary's words.
        keys: words that are wanted; those that the vocabulary has, and those without a prediction, are passed over.
    """
    wanted = sorted(set(keys) - vocabulary.word_ids.keys())
    vectors, has = predictor.predict(wanted)
    further = tuple(word for word, one in zip(wanted, has.tolist(), strict=True) if one)
    return replace(vocabulary, words=vocabulary.words + further), np.concatenate([table, vectors[has]])
