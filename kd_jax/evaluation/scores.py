"""Entity scores of tagged sentences, by seqeval in its strict mode."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, Tokens

MODE = "strict"
SCHEME = "IOB2"

Span = tuple[str, int, int]


class TypeScore(NamedTuple):
    """Scores of one entity type in percent; support is its number of gold entities."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class EntityScores:
    """Entity scores of a set of sentences.

    Attributes:
        precision: of all predicted entities, those that are gold ones too, in percent (micro average over types).
        recall: of all gold entities, those predicted, in percent.
        f1: harmonic mean of both, in percent; like the others 0 where it would divide by 0.
        types: the same for each entity type of the gold or the predicted tags, in alphabetical order.
        counts: entities that are correct, predicted and gold in each sentence, [N, 3]; None where they were read
            back from JSON, which leaves them out.
        default_f1: F1 in seqeval's default mode, which begins an entity at an I- tag that continues none; most
            published figures use it. It is the strict one where all tag sequences are legal. None where it was not
            computed: in manifests of before version 0.2.0.
    """

    precision: float
    recall: float
    f1: float
    types: Mapping[str, TypeScore]
    counts: Int32[np.ndarray, "N 3"] | None = None
    default_f1: float | None = None

    def to_json(self) -> dict[str, Any]:
        """All but the counts, in plain JSON types."""
        types = {kind: score._asdict() for kind, score in self.types.items()}
        fields = {"precision": self.precision, "recall": self.recall, "f1": self.f1, "types": types}
        return fields if self.default_f1 is None else fields | {"default_f1": self.default_f1}

    @classmethod
    def from_json(cls, data: Any) -> "EntityScores":
        """What `to_json` wrote.

        Raises:
            ValueError: where it is anything else, with what is wrong.
        """
        overall = _percentages(data, "scores")
        types: dict[str, TypeScore] = {}
        of_types: Any = data.get("types")
        for kind, of_type in of_types.items() if isinstance(of_types, dict) else [("", {})]:
            percentages = _percentages(of_type, f"scores of type {kind!r}")
            support = of_type.get("support")
            if type(support) is not int or support < 0:
                raise ValueError(f"scores of type {kind!r}: support is no count"[:80])
            types[kind] = TypeScore(*percentages, support)
        lenient: Any = data.get("default_f1")
        if lenient is not None and not _is_percentage(lenient):
            raise ValueError("scores: default_f1 is no percentage")
        return cls(*overall, types, default_f1=None if lenient is None else float(lenient))


def _percentages(data: Any, where: str) -> tuple[float, float, float]:
    values: list[Any] = [data.get(name) if isinstance(data, dict) else None for name in ("precision", "recall", "f1")]
    if not all(map(_is_percentage, values)):
        raise ValueError(f"{where[:60]}: precision, recall or F1 is no percentage")
    precision, recall, f1 = map(float, values)
    return precision, recall, f1


def _is_percentage(value: Any) -> bool:
    # True and false are ints to isinstance.
    return type(value) in {int, float} and 0 <= value <= 100


@lru_cache(maxsize=1 << 16)
def _run_spans(tags: tuple[str, ...]) -> tuple[Span, ...]:
    return tuple((entity.tag, entity.start, entity.end) for entity in Tokens(list(tags), IOB2).entities)


@lru_cache(maxsize=1 << 16)
def _default_run_spans(tags: tuple[str, ...]) -> tuple[Span, ...]:
    # In its default mode seqeval gives the last token, in its strict one the token after it.
    return tuple((kind, first, last + 1) for kind, first, last in get_entities(list(tags)))


def entities(tags: Sequence[str], *, strict: bool = True) -> set[Span]:
    """Entities of one sentence as seqeval reads them under mode "strict", scheme IOB2, or in its default mode.

    An I- tag that continues no entity of its own type belongs to none; in default mode it begins one. Every O ends what
    stands before it, so seqeval is asked about the runs between them, and about each distinct run once.

    Args:
        tags: IOB2 tags.
        strict: the mode.

    Returns:
        (type, first token, token after the last) of each entity.

    Raises:
        ValueError: for a tag that is not IOB2.

    >>> sorted(entities(["B-Gene", "I-Gene", "O", "I-Gene"]))
    [('Gene', 0, 2)]
    >>> sorted(entities(["B-Gene", "I-Gene", "O", "I-Gene"], strict=False))
    [('Gene', 0, 2), ('Gene', 3, 4)]
    """
    spans: set[Span] = set()
    start = 0
    spans_of = _run_spans if strict else _default_run_spans
    # seqeval is slow, and the same runs between two O come again and again: their entities are remembered.
    for outside, group in groupby(tags, key="O".__eq__):
        run = tuple(group)
        if not outside:
            try:
                spans.update((kind, start + first, start + last) for kind, first, last in spans_of(run))
            except KeyError as unknown:
                raise ValueError(f"a tag of {run} does not begin with B-, I- or O") from unknown
        start += len(run)
    return spans


def percentages(correct: int, predicted: int, gold: int) -> tuple[float, float, float]:
    """Precision, recall and F1 in percent from entity counts; 0 where the formula divides by 0.

    >>> percentages(correct=1, predicted=2, gold=4)
    (50.0, 25.0, 33.333333333333336)
    """
    precision = 100 * correct / predicted if predicted else 0.0
    recall = 100 * correct / gold if gold else 0.0
    # 2 P R / (P + R) with the counts put in, so that it is defined where P and R are both 0.
    f1 = 200 * correct / (predicted + gold) if predicted + gold else 0.0
    return precision, recall, f1


def score(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> EntityScores:
    """Entity precision, recall and F1 as seqeval computes them with mode="strict", scheme=IOB2, zero_division=0.

    Beside them F1 in seqeval's default mode.

    Args:
        gold: gold IOB2 tags of N sentences.
        predicted: predicted IOB2 tags of the same sentences; sequences the scheme does not allow are welcome.

    Returns:
        Scores over all sentences, by entity type, and counts by sentence.

    Raises:
        ValueError: where gold and predicted differ in their number of sentences or tokens, or a tag is not IOB2.

    >>> scores = score([["B-Gene", "I-Gene", "B-Drug"]], [["B-Gene", "O", "B-Drug"]])
    >>> scores.f1, scores.types["Drug"].f1, scores.counts.tolist()
    (50.0, 100.0, [[1, 2, 2]])
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sentences, {len(predicted)} predicted ones")
    counts = np.zeros((len(gold), 3), np.int32)
    default = np.zeros(3, np.int64)
    by_type: tuple[Counter[str], Counter[str], Counter[str]] = (Counter(), Counter(), Counter())
    for n, (gold_tags, predicted_tags) in enumerate(zip(gold, predicted, strict=True)):
        if len(gold_tags) != len(predicted_tags):
            raise ValueError(f"sentence {n}: {len(gold_tags)} gold tags, {len(predicted_tags)} predicted ones")
        truth, guess = entities(gold_tags), entities(predicted_tags)
        for column, spans in enumerate((truth & guess, guess, truth)):
            counts[n, column] = len(spans)
            by_type[column].update(kind for kind, _, _ in spans)
        truth, guess = entities(gold_tags, strict=False), entities(predicted_tags, strict=False)
        default += (len(truth & guess), len(guess), len(truth))
    correct, guessed, true = by_type
    types = {
        kind: TypeScore(*percentages(correct[kind], guessed[kind], true[kind]), true[kind])
        for kind in sorted(guessed | true)
    }
    precision, recall, f1 = percentages(*counts.sum(0, dtype=np.int64).tolist())
    return EntityScores(precision, recall, f1, types, counts, percentages(*default.tolist())[2])
