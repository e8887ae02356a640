from itertools import product

import numpy as np

from kd_jax.evaluation.scores import entities
from kd_jax.tagging.rows import Prediction
from kd_jax.tagging.spans import runs, spans
from kd_jax.tagging.tokenizer import tokenize


def test_runs_are_the_strict_scorers_entities():
    for length in range(6):
        for tags in product(("O", "B-A", "I-A", "B-B", "I-B"), repeat=length):
            assert set(runs(tags)) == entities(tags), tags


def test_a_span_is_the_text_between_its_ends_and_as_sure_as_its_least_sure_token():
    text = "IL-2 \u05e9 rose"
    (tokens,) = tokenize(text)
    found = Prediction(np.array([1, 2, 2, 0, 1]), np.array([0.9, 0.5, 0.7, 1.0, 0.25], np.float32))
    first, second = spans(text, tokens, ("O", "B-Gene", "I-Gene"), found)
    assert first == ("IL-2", "Gene", 0, 4, 0.5)
    assert second == ("rose", "Gene", 7, 11, 0.25)
