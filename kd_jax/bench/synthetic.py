"""A corpus without meaning whose lengths and word counts are those of biomedical abstracts: something to time."""

import numpy as np

from kd_jax.structs import Corpus, Sentence

LENGTH_QUANTILES = (
    (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0),
    (2, 4, 8, 11, 16, 23, 32, 42, 51, 72, 139),
)
"""Shares, and the tokens that such a share of sentences stays below: about NCBI's and BC5CDR's in train.tsv."""
WORD_LENGTH = 7.5  # mean letters of a distinct word there
ENTITY_RATE = 0.06  # entities a token


def synthetic_corpus(sentences: int = 5000, seed: int = 0) -> Corpus:
    """A corpus of random words.

    Sentence lengths follow NCBI and BC5CDR. The word of rank r is drawn in proportion to 1 / (r + 2), of 30,000 words,
    which gives about as many distinct forms a batch as theirs.

    Args:
        sentences: of train; test has a tenth.
        seed: of everything random.
    """
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz-0123456789"))
    sizes = 1 + rng.poisson(WORD_LENGTH - 1, 30_000)
    spelled = ["".join(rng.choice(letters, size)) for size in sizes]
    chance = 1 / np.arange(2, len(spelled) + 2)
    chance /= chance.sum()

    def some(count: int) -> tuple[Sentence, ...]:
        lengths = np.interp(rng.random(count), *LENGTH_QUANTILES).round().astype(int)
        words = rng.choice(len(spelled), int(lengths.sum()), p=chance)
        # Entities have two tokens, or one where the next begins or the sentence ends.
        begins = rng.random(len(words)) < ENTITY_RATE
        tags = np.where(begins, "B-Entity", np.where(np.roll(begins, 1), "I-Entity", "O"))
        at, sentences_made = 0, []
        for length in lengths.tolist():
            of_sentence = tags[at : at + length].tolist()
            # An entity that the sentence before it cut off does not go on here.
            of_sentence[0] = "O" if of_sentence[0] == "I-Entity" else of_sentence[0]
            sentences_made.append(Sentence(tuple(spelled[i] for i in words[at : at + length]), tuple(of_sentence)))
            at += length
        return tuple(sentences_made)

    splits = {"train": some(sentences), "test": some(max(1, sentences // 10))}
    return Corpus("synthetic", splits, ("O", "B-Entity", "I-Entity"))
