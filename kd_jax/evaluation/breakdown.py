"""What a model gets right and wrong on tagged sentences: strictly, partially, by kind of error, by what it had seen."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kd_jax.evaluation.scores import EntityScores, Span, TypeScore, entities, percentages, score
from kd_jax.structs import Sentence

KINDS = ("right", "boundary", "type", "boundary and type", "missed", "spurious")
"""What becomes of an entity. The first five part the gold ones; spurious are predicted ones that touch no gold one."""


class Part(NamedTuple):
    """Strict scores in percent of those entities that some condition holds for, and the number of gold ones."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Breakdown:
    """How a model tagged a file.

    Attributes:
        strict: entities whose ends and type are gold's, as seqeval counts them.
        partial: entities that overlap a gold one of their type, each gold one matched once, by type; "" is all types.
        kinds: number of entities of each of `KINDS`.
        parts: strict scores of the entities of each named part of the text.
        wrong: for each sentence what is wrong with it, by kind; empty where all is right.
    """

    strict: EntityScores
    partial: Mapping[str, TypeScore]
    kinds: Mapping[str, int]
    parts: Mapping[str, Part]
    wrong: tuple[Mapping[str, int], ...]


Holds = Callable[[tuple[str, ...]], bool]
"""Whether an entity of some tokens is of a part."""


def break_down(
    sentences: Sequence[Sentence], predicted: Sequence[Sequence[str]], parts: Mapping[str, Holds] | None = None
) -> Breakdown:
    """Compare predicted tags with gold ones.

    Args:
        sentences: N of them with gold IOB2 tags.
        predicted: IOB2 tags of the same sentences.
        parts: conditions on an entity's tokens, by name; gold and predicted entities are parted alike.

    Raises:
        ValueError: where the numbers of sentences or tokens differ, or a tag is not IOB2.
    """
    strict = score([list(s.tags) for s in sentences], predicted)
    kinds, wrong = Counter[str](dict.fromkeys(KINDS, 0)), []
    matched = Counter[str]()
    guessed, true = Counter[str](), Counter[str]()
    of_part = {name: np.zeros(3, int) for name in parts or {}}
    for sentence, tags in zip(sentences, predicted, strict=True):
        gold, guess = sorted(entities(sentence.tags), key=_place), sorted(entities(tags), key=_place)
        of_sentence = kinds_of(gold, guess)
        kinds += of_sentence
        wrong.append({kind: n for kind, n in of_sentence.items() if kind != "right"})
        for counter, spans in ((guessed, guess), (true, gold)):
            counter.update(kind for kind, _, _ in spans)
        for kind in {kind for kind, _, _ in gold}:
            matched[kind] += overlapping([s for s in gold if s[0] == kind], [s for s in guess if s[0] == kind])
        for name, holds in (parts or {}).items():
            one, two = ({s for s in spans if holds(sentence.tokens[s[1] : s[2]])} for spans in (guess, gold))
            of_part[name] += [len(one & two), len(one), len(two)]
    partial = {
        kind: TypeScore(*percentages(matched[kind], guessed[kind], true[kind]), true[kind])
        for kind in sorted(guessed | true)
    }
    sums = matched.total(), guessed.total(), true.total()
    partial[""] = TypeScore(*percentages(*sums), true.total())
    shares = {name: Part(*percentages(*counts.tolist()), int(counts[2])) for name, counts in of_part.items()}
    return Breakdown(strict, partial, {kind: kinds[kind] for kind in KINDS}, shares, tuple(wrong))


def _place(span: Span) -> tuple[int, int, str]:
    return span[1], span[2], span[0]


def kinds_of(gold: Sequence[Span], predicted: Sequence[Span]) -> Counter[str]:
    """How many entities of a sentence are of each of `KINDS`.

    A gold entity that was not predicted is of type error where another type stands in its place, of boundary error
    where one of its type overlaps it, of both where only others do, and otherwise missed.
    """
    predicted_spans = set(predicted)
    counts = Counter[str]()
    for kind, first, last in gold:
        over = [(k, a, b) for k, a, b in predicted if a < last and first < b]
        if (kind, first, last) in predicted_spans:
            counts["right"] += 1
        elif any((a, b) == (first, last) for _, a, b in over):
            counts["type"] += 1
        elif any(k == kind for k, _, _ in over):
            counts["boundary"] += 1
        else:
            counts["boundary and type" if over else "missed"] += 1
    counts["spurious"] = sum(not any(a < last and first < b for _, a, b in gold) for _, first, last in predicted)
    # Without kinds that did not occur.
    return +counts


def overlapping(gold: Sequence[Span], predicted: Sequence[Span]) -> int:
    """The most pairs of a gold and a predicted entity that overlap, each in one pair; both in order, none overlaps."""
    # To pair the first two that overlap loses nothing. Entities of a side are disjoint, so if one of the two reaches a
    # later entity, the other ends before that and reaches none: at most one of them has another pair to give up.
    # Of two that do not overlap, the one that ends first overlaps nothing later either.
    pairs = g = p = 0
    while g < len(gold) and p < len(predicted):
        if gold[g][1] < predicted[p][2] and predicted[p][1] < gold[g][2]:
            pairs, g, p = pairs + 1, g + 1, p + 1
        elif gold[g][2] <= predicted[p][1]:
            g += 1
        else:
            p += 1
    return pairs


def entities_of(sentences: Sequence[Sentence]) -> set[tuple[str, ...]]:
    """The tokens of all gold entities, in lower case: what counts as seen in training."""
    return {
        tuple(token.lower() for token in sentence.tokens[first:last])
        for sentence in sentences
        for _, first, last in entities(sentence.tags)
    }


def seen_parts(knows: Callable[[str], bool], trained: set[tuple[str, ...]] | None) -> dict[str, Holds]:
    """Parts by whether all words of an entity, and the entity itself, occurred in training.

    Args:
        knows: whether a word is in the model's vocabulary.
        trained: as `entities_of` gives it of the training text; None where that is not known.
    """
    parts: dict[str, Holds] = {
        "all words seen": lambda tokens: all(map(knows, tokens)),
        "a word unseen": lambda tokens: not all(map(knows, tokens)),
    }
    if trained is not None:
        parts |= {
            "entity seen": lambda tokens: tuple(map(str.lower, tokens)) in trained,
            "entity unseen": lambda tokens: tuple(map(str.lower, tokens)) not in trained,
        }
    return parts
