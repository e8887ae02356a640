"""Test sentences in training data, by the published figures and by brute force."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.corpora.overlap import SHORTEST, audit, key, without_overlap
from kd_jax.structs import Corpus, Sentence

LONG = ["the quick brown fox jumps over", "the", "lazy", "dog"]  # 35 letters


def sentence(*tokens: str) -> Sentence:
    return Sentence(tokens, ("O",) * len(tokens))


def corpus(name: str, train: list[Sentence], test: list[Sentence], devel: list[Sentence] | None = None) -> Corpus:
    splits = {"train": train} | ({"devel": devel} if devel else {}) | {"test": test}
    return Corpus(name, {split: tuple(found) for split, found in splits.items()}, ("O",))


def test_key_ignores_tokenisation_case_and_punctuation():
    assert key(sentence("IL", "-", "2", "Gene")) == key(sentence("IL-2", "gene", ".")) == "il2gene"
    assert key(sentence("α-catenin", "É", "x")) == "cateninx"


def test_the_real_audit_finds_what_is_known(loaded):
    corpora = [loaded[name] for name in ("BioNLP09", "CRAFT", "JNLPBA", "linnaeus")]
    found = audit(corpora).percent.round(1)
    alone = audit(corpora, ("train",)).percent.round(1)
    nine, craft, jnlpba, linnaeus = range(4)
    assert found[nine, jnlpba] == 99.8
    assert alone[nine, jnlpba] == 79.6
    assert found[jnlpba, jnlpba] == 2.7
    assert found[craft, craft] == 0.9
    assert found[nine, nine] == 0.0
    for which in (craft, linnaeus):  # with short sentences counted, 8 to 10 %
        splits = corpora[which].splits
        training = {key(s) for split in ("train", "devel") for s in splits[split]}
        short = np.mean([key(s) in training for s in splits["test"]])
        assert 0.08 <= short <= 0.10


def kept(sentences, tests):
    return [sentences[i] for i in without_overlap(sentences, tests)]


def test_cleaning_leaves_no_real_overlap(loaded):
    corpora = [loaded["BioNLP09"], loaded["JNLPBA"]]
    tests = [c.splits["test"] for c in corpora]
    cleaned = [
        Corpus(c.name, {s: x if s == "test" else kept(x, tests) for s, x in c.splits.items()}, c.labels)
        for c in corpora
    ]
    assert audit(corpora).found.sum() > 2000
    assert audit(cleaned).found.sum() == 0


def test_every_cell_is_counted_as_defined():
    rng = random.Random(0)
    pool = [sentence(*LONG, f"x{i}") for i in range(12)] + [sentence("short", f"{i}") for i in range(4)]
    corpora = [
        corpus(f"c{i}", rng.choices(pool, k=5), rng.choices(pool, k=7), rng.choices(pool, k=2) if i else None)
        for i in range(4)
    ]
    overlap = audit(corpora)
    for i, tested in enumerate(corpora):
        long = [s for s in tested.splits["test"] if s.tokens[0] != "short"]
        assert overlap.counted[i] == len(long)
        there = [[s in (*t.splits["train"], *t.splits.get("devel", ())) for s in long] for t in corpora]
        assert overlap.found[i].tolist() == [sum(row) for row in there]
        assert overlap.found_anywhere[i] == sum(map(any, zip(*there, strict=True)))
        assert overlap.percent[i] == pytest.approx([100 * sum(row) / len(long) for row in there])


def test_a_corpus_of_headings_has_no_share():
    overlap = audit([corpus("headings", [sentence("Results")], [sentence("Results")])])
    assert overlap.counted.tolist() == [0]
    assert overlap.percent.tolist() == [[0.0]]


@given(st.lists(st.lists(st.text("abC-.", min_size=1, max_size=20), min_size=1, max_size=4), max_size=8), st.data())
def test_only_what_stands_in_a_test_split_is_taken_out(rows, data):
    train = [sentence(*row) for row in rows]
    tests = [
        [sentence("".join(s.tokens).upper(), "!") for s in data.draw(st.lists(st.sampled_from(train), max_size=3))]
        for _ in range(2 if train else 0)
    ]
    unseen = {key(s) for test in tests for s in test}
    assert kept(train, tests) == [s for s in train if len(key(s)) < SHORTEST or key(s) not in unseen]
