"""Entity scores against seqeval's own, and against counts made straight from files."""

import os
import random
import re
from pathlib import Path

import numpy as np
import pytest
from seqeval.metrics import f1_score
from seqeval.metrics.v1 import precision_recall_fscore_support
from seqeval.scheme import IOB2

from kd_jax.evaluation.scores import entities, score

TAGS = ["O", "B-Gene", "I-Gene", "B-Chemical", "I-Chemical", "B-Disease", "I-Disease"]


def random_corpus(seed, sentences=40, tags=TAGS):
    draw = random.Random(seed)
    gold = [[draw.choice(tags) for _ in range(draw.randint(1, 15))] for _ in range(sentences)]
    predicted = [[t if draw.random() < 0.7 else draw.choice(tags) for t in sentence] for sentence in gold]
    return gold, predicted


@pytest.mark.parametrize("seed", range(20))
def test_equals_seqeval_strict_iob2_overall_and_by_type(seed):
    gold, predicted = random_corpus(seed)
    ours = score(gold, predicted)
    theirs = precision_recall_fscore_support(gold, predicted, average="micro", scheme=IOB2, zero_division=0)
    assert [ours.precision, ours.recall, ours.f1] == pytest.approx([100 * x for x in theirs[:3]])
    assert ours.default_f1 == pytest.approx(100 * f1_score(gold, predicted, zero_division=0))
    assert ours.default_f1 != ours.f1, "random sequences are illegal in places"
    p, r, f, support = precision_recall_fscore_support(gold, predicted, average=None, scheme=IOB2, zero_division=0)
    assert list(ours.types) == ["Chemical", "Disease", "Gene"]
    for k, kind in enumerate(ours.types.values()):
        assert kind[:3] == pytest.approx((100 * p[k], 100 * r[k], 100 * f[k]))
        assert kind.support == support[k]


@pytest.mark.parametrize("seed", range(5))
def test_counts_of_a_sentence_are_those_of_the_sentence_alone(seed):
    gold, predicted = random_corpus(seed)
    together = score(gold, predicted)
    assert together.counts.dtype == np.int32
    alone = [score([g], [p]).counts[0] for g, p in zip(gold, predicted, strict=True)]
    np.testing.assert_array_equal(together.counts, alone)
    correct, guessed, true = together.counts.sum(0)
    assert together.f1 == pytest.approx(200 * correct / (guessed + true))


def test_perfect_and_hopeless():
    gold = [["B-Gene", "I-Gene", "O"], ["O", "B-Disease"]]
    assert score(gold, gold).f1 == 100
    assert score(gold, [["O"] * 3, ["O"] * 2]).f1 == 0
    assert score([["O"]], [["O"]]).types == {}
    assert score([], []).counts.shape == (0, 3)


def test_a_wrong_border_or_type_is_wrong_and_a_stray_inside_is_nothing():
    assert entities(["B-Gene", "I-Gene", "I-Disease", "O", "I-Gene", "B-Gene"]) == {("Gene", 0, 2), ("Gene", 5, 6)}
    gold = [["B-Gene", "I-Gene", "O"]]
    for guess in (["B-Gene", "O", "O"], ["B-Disease", "I-Disease", "O"], ["I-Gene", "I-Gene", "O"]):
        assert score(gold, [guess]).counts[0, 0] == 0


def test_unequal_lengths_and_foreign_tags_are_refused():
    with pytest.raises(ValueError, match="2 gold sentences, 1 predicted"):
        score([["O"], ["O"]], [["O"]])
    with pytest.raises(ValueError, match="sentence 1: 2 gold tags, 1 predicted"):
        score([["O"], ["O", "O"]], [["O"], ["O"]])
    with pytest.raises(ValueError, match="Gene"):
        score([["Gene"]], [["O"]])
    with pytest.raises(ValueError, match="E-Gene"):
        score([["B-Gene", "E-Gene"]], [["O", "O"]])


def test_every_gold_entity_of_real_test_files_is_scored():
    root = os.environ.get("KD_JAX_CORPORA")
    if not root:
        pytest.skip("set KD_JAX_CORPORA to a folder of corpora")
    files = sorted(Path(root).glob("*/test.tsv"))
    assert files
    for file in files:
        text = re.sub(r"^-DOCSTART-.*\n", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        gold = [[line.split()[-1] for line in block.splitlines()] for block in re.split(r"\n\s*\n", text.strip())]
        begun = len(re.findall(r"[\t ]B-\S+[ \t]*$", text, flags=re.MULTILINE))
        assert score(gold, gold).counts[:, 2].sum() == begun, file
