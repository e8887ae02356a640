"""Predicted vectors are those of kernel ridge regression, whichever way it is computed."""

import numpy as np
import pytest

from kd_jax.data.ngrams import NgramIndex, NgramVectors, extended, ngrams
from kd_jax.data.vocab import Vocabulary
from kd_jax.distill.ngram_fit import fit_ngrams

WORDS = ("kinase", "kinases", "phosphokinase", "p00", "of", "tumour", "tumours", "a")
INDEX = NgramIndex(WORDS)
UNSEEN = ["kinasic", "tumoural", "kinase", "of"]


@pytest.fixture
def vectors():
    return np.random.default_rng(0).normal(size=(len(WORDS), 5))


def kernel(one, other, known):
    a, b = set(ngrams(one)) & known, set(ngrams(other))
    return len(a & b) / (len(a) * len(b))


def test_a_prediction_is_that_of_kernel_ridge_regression(vectors):
    known = {gram for word in WORDS for gram in ngrams(word)}
    of_words = np.array([[kernel(u, w, known) for w in WORDS] for u in WORDS])
    mean = vectors.mean(0)
    dual = np.linalg.solve(of_words + 0.1 * np.eye(len(WORDS)), vectors - mean)
    wanted = mean + np.array([[kernel(u, w, known) for w in WORDS] for u in UNSEEN]) @ dual
    predicted, has = NgramVectors(INDEX, fit_ngrams(INDEX, vectors, 0.1)).predict(UNSEEN)
    np.testing.assert_allclose(predicted, wanted, atol=1e-5)
    assert has.all()


def test_trained_words_are_met_as_the_strength_goes_to_0(vectors):
    predicted, _ = NgramVectors(INDEX, fit_ngrams(INDEX, vectors, 1e-6)).predict(WORDS)
    np.testing.assert_allclose(predicted, vectors, atol=1e-3)


def test_a_word_that_shares_nothing_has_no_vector(vectors):
    predicted, has = NgramVectors(INDEX, fit_ngrams(INDEX, vectors)).predict(["β", "kinasic"])
    assert has.tolist() == [False, True]
    assert not predicted[0].any()


def test_a_vocabulary_gets_the_words_that_it_lacks(vectors):
    table = np.float32(np.vstack([np.zeros(5), vectors]))
    dual = fit_ngrams(INDEX, vectors)
    vocabulary, more = extended(Vocabulary(WORDS, frozenset(), "abc"), table, NgramVectors(INDEX, dual), [*UNSEEN, "β"])
    assert vocabulary.words == (*WORDS, "kinasic", "tumoural")
    np.testing.assert_array_equal(more[: len(table)], table)
    np.testing.assert_array_equal(more[len(table) :], NgramVectors(INDEX, dual).predict(["kinasic", "tumoural"])[0])
