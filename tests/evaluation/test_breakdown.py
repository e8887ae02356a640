"""Errors by kind, partial scores and seen parts, against hand-made cases and an enumeration of all matchings."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.evaluation.breakdown import KINDS, break_down, entities_of, kinds_of, overlapping, seen_parts
from kd_jax.evaluation.scores import entities, score
from kd_jax.structs import Sentence

TAGS = st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), min_size=1, max_size=12)


def test_each_kind_of_error_by_hand():
    gold = [("X", 0, 2), ("X", 3, 5), ("X", 6, 8), ("X", 9, 11), ("X", 12, 13)]
    said = [("X", 0, 2), ("X", 3, 4), ("Y", 6, 8), ("Y", 9, 10), ("Y", 20, 21)]
    assert kinds_of(gold, said) == dict.fromkeys(KINDS, 1)


@given(TAGS, TAGS)
def test_the_kinds_part_the_gold_entities_and_spurious_ones_touch_none(gold, said):
    said = (said * 12)[: len(gold)]
    sentence = Sentence(tuple("abcdefghijkl"[: len(gold)]), tuple(gold))
    found = break_down([sentence], [said])
    kinds = found.kinds
    true, guess = entities(gold), entities(said)
    assert sum(kinds[kind] for kind in KINDS[:5]) == len(true)
    assert kinds["right"] == len(true & guess) == int(found.strict.counts[0, 0])
    covered = {i for _, a, b in true for i in range(a, b)}
    assert kinds["spurious"] == sum(covered.isdisjoint(range(a, b)) for _, a, b in guess)
    assert found.wrong == ({k: n for k, n in kinds.items() if n and k != "right"},)
    assert found.strict.f1 == score([gold], [said]).f1
    assert found.partial[""].f1 >= found.strict.f1


@given(TAGS, TAGS)
def test_partial_matches_are_the_most_that_can_be_paired(gold, said):
    said = (said * 12)[: len(gold)]
    one, two = ([s for s in sorted(entities(t), key=lambda s: s[1]) if s[0] == "X"] for t in (gold, said))
    if len(one) > len(two):
        one, two = two, one
    meets = np.array([[a[1] < b[2] and b[1] < a[2] for b in two] for a in one], bool).reshape(len(one), len(two))
    best = max((sum(meets[i, j] for i, j in enumerate(p)) for p in permutations(range(len(two)), len(one))), default=0)
    assert overlapping(one, two) == overlapping(two, one) == best


def test_parts_of_seen_and_unseen_by_hand():
    sentences = [Sentence(("IL-2", "gene", "and", "p53", "p99"), ("B-X", "I-X", "O", "B-X", "B-X"))]
    parts = seen_parts({"IL-2", "gene", "and", "p53"}.__contains__, {("il-2", "gene")})
    found = break_down(sentences, [["B-X", "I-X", "O", "O", "B-X"]], parts).parts
    assert {name: (p.precision, p.recall, p.support) for name, p in found.items()} == {
        "all words seen": (100.0, 50.0, 2),
        "a word unseen": (100.0, 100.0, 1),
        "entity seen": (100.0, 100.0, 1),
        "entity unseen": (100.0, 50.0, 2),
    }
    assert entities_of(sentences) == {("il-2", "gene"), ("p53",), ("p99",)}
    assert "entity seen" not in seen_parts(bool, None)


def test_partial_scores_by_type():
    sentence = Sentence(tuple("abcdef"), ("B-X", "I-X", "O", "B-Y", "O", "B-Y"))
    found = break_down([sentence], [["O", "B-X", "O", "B-Y", "I-Y", "O"]])
    assert [found.partial[kind].f1 for kind in ("X", "Y")] == pytest.approx([100.0, 200 / 3])
    assert found.strict.f1 == 0.0
