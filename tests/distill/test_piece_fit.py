"""Pieces fitted to words: the minimum that linear algebra gives."""

import numpy as np

from kd_jax.data.pieces import PieceTable, Rules
from kd_jax.distill.piece_fit import fit_pieces

PIECES = ("a", "b", "c", "-", "2", "##a", "##b", "##c", "abc", "##bc", "##abca")


def test_a_fit_is_the_minimum_and_leaves_pieces_without_words_alone():
    rng = np.random.default_rng(0)
    alone = PieceTable(PIECES, rng.normal(size=(len(PIECES), 3)).astype(np.float32), Rules())
    words = ["abc", "abcbc", "cab", "b-2", "bb", "?"]
    vectors = rng.normal(size=(len(words), 3))
    fitted = fit_pieces(alone, words, vectors, strength=0.3)

    mean = np.zeros((len(words), len(PIECES)))
    for i, word in enumerate(words):
        for row in alone.cut(word):
            mean[i, row] += 1 / len(alone.cut(word))
    mean, vectors = mean[:-1], vectors[:-1]  # "?" has no piece and says nothing
    gram = mean.T @ mean + 0.3 * np.eye(len(PIECES))
    expected = np.linalg.solve(gram, mean.T @ vectors + 0.3 * alone.vectors)
    np.testing.assert_allclose(fitted.vectors, expected, atol=1e-5)
    unused = mean.sum(0) == 0
    assert unused.any()
    np.testing.assert_array_equal(fitted.vectors[unused], alone.vectors[unused])
