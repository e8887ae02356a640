"""What a model does on tagged sentences: entity F1, legality, calibration, agreement with another model."""

from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from kd_jax.evaluation.scores import EntityScores, score
from kd_jax.structs import Sentence
from kd_jax.tagging.model import TextModel
from kd_jax.tagging.spans import runs

BINS = 10


class Tagging(NamedTuple):
    """What a model says of sentences: tags, and the probability of each."""

    tags: list[list[str]]
    probabilities: list[np.ndarray]


def tagging(model: TextModel, sentences: Sequence[Sentence]) -> Tagging:
    """Tags of sentences, about 16,000 tokens at a time."""
    tags: list[list[str]] = []
    probabilities: list[np.ndarray] = []
    for first in range(0, len(sentences), 500):
        predictions = model.label([s.tokens for s in sentences[first : first + 500]], raw=False)
        tags += [[model.labels[k] for k in of_sentence.labels] for of_sentence in predictions]
        probabilities += [of_sentence.probabilities for of_sentence in predictions]
    return Tagging(tags, probabilities)


def scores(sentences: Sequence[Sentence], tags: Sequence[Sequence[str]]) -> EntityScores:
    """Strict entity scores of tags."""
    return score([list(sentence.tags) for sentence in sentences], tags)


def illegal_share(tags: Sequence[Sequence[str]]) -> float:
    """Share of sentences with a tag that IOB2 forbids where it stands."""
    return float(np.mean([any(_illegal(*pair) for pair in pairwise(("O", *of_sentence))) for of_sentence in tags]))


def _illegal(before: str, tag: str) -> bool:
    return tag.startswith("I-") and before[2:] != tag[2:]


def calibration_error(probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS) -> float:
    """Expected calibration error: sum over bins of |share right - mean chance| times the bin's share.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3, with bins of equal width.

    Args:
        probabilities: what was said, in 0 .. 1.
        right: whether it was so.
        bins: of equal width.

    Returns:
        In 0 .. 1; 0 of nothing.
    """
    stated, was = np.asarray(probabilities, np.float64), np.asarray(right, np.float64)
    place = np.minimum((stated * bins).astype(int), bins - 1)
    # n_b / n |share - mean| is |sum - sum| / n: the number in a bin cancels.
    gaps = [abs((was[place == b] - stated[place == b]).sum()) for b in range(bins)]
    return float(sum(gaps) / max(1, len(stated)))


def entity_calibration(sentences: Sequence[Sentence], predicted: Tagging) -> float | None:
    """Calibration error of the scores of the predicted entities; right is one that is gold, ends and type alike.

    None where no entity is predicted: a model that finds nothing is not well calibrated.
    """
    probabilities, right = [], []
    for sentence, tags, of_tokens in zip(sentences, predicted.tags, predicted.probabilities, strict=True):
        gold = set(runs(sentence.tags))
        for kind, first, last in runs(tags):
            # An entity's score, as `kd_jax.tagging.spans` gives it.
            probabilities.append(float(of_tokens[first:last].min()))
            right.append((kind, first, last) in gold)
    return calibration_error(probabilities, right) if probabilities else None


def agreement(one: Sequence[Sequence[str]], other: Sequence[Sequence[str]]) -> float | None:
    """Entity F1 in percent between two models' tags, with either as the gold ones; None where neither finds anything.

    Of tokens, nearly all are O for both: a model that finds nothing would agree with any other.
    """
    scores = score(one, other)
    assert scores.counts is not None  # just computed
    return scores.f1 if scores.counts[:, 1:].any() else None


def compare(trained: TextModel, shipped: TextModel, sentences: Sequence[Sentence]) -> dict[str, Any]:
    """F1 of both on sentences, and how many tags differ, in plain JSON types."""
    one, other = (tagging(model, sentences).tags for model in (trained, shipped))
    tokens = sum(map(len, one))
    return {
        "trained_f1": scores(sentences, one).f1,
        "shipped_f1": scores(sentences, other).f1,
        "different_tags": sum(a != b for a, b in zip(chain(*one), chain(*other), strict=True)),
        "tokens": tokens,
    }
