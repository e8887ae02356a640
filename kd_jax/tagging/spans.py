"""From labels of tokens to entities of a text."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kd_jax.tagging.rows import Prediction
from kd_jax.tagging.tokenizer import Token


class Span(NamedTuple):
    """An entity where it stands: text is what the raw text holds from start to end.

    Attributes:
        text: of the entity.
        type: of the entity.
        start: position of its first character.
        end: position after its last.
        score: the least probability among its tokens' labels.
    """

    text: str
    type: str
    start: int
    end: int
    score: float


def runs(tags: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Entities among IOB2 tags as the strict scorer reads them: an I- tag that continues none of its type is in none.

    Args:
        tags: of one sentence.

    Yields:
        (type, first token, token after the last).

    >>> list(runs(["B-Gene", "I-Gene", "O", "I-Gene"]))
    [('Gene', 0, 2)]
    """
    kind, first = "", 0
    for i, tag in enumerate((*tags, "O")):  # one more O ends an entity at the sentence's end
        if kind and tag != f"I-{kind}":
            yield kind, first, i
            kind = ""
        if tag.startswith("B-"):
            kind, first = tag[2:], i


def rounded(probabilities: Float[np.ndarray, "n"]) -> float:
    """The score of an entity whose tokens' labels have some probabilities: the least, to four digits."""
    return round(float(probabilities.min()), 4)


def spans(text: str, tokens: Sequence[Token], names: Sequence[str], prediction: Prediction) -> list[Span]:
    """Entities of a sentence.

    Args:
        text: that the tokens' positions are of.
        tokens: of the sentence.
        names: of the model's labels.
        prediction: the sentence's labels.
    """
    return [
        Span(
            text[tokens[first].start : tokens[last - 1].end],
            kind,
            tokens[first].start,
            tokens[last - 1].end,
            rounded(prediction.probabilities[first:last]),
        )
        for kind, first, last in runs([names[k] for k in prediction.labels])
    ]
