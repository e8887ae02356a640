"""Models compared: what is said in words is what the numbers are, and what can't be shown is said."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_results import made_rows
from rich.console import Console
from scipy import stats

from kd_jax.evaluation import significance
from kd_jax.report import published as paper
from kd_jax.report.comparison import compare, numbers, pair_cells, terminal, within_corpora
from kd_jax.report.score_matrix import published, score_matrices


def shown(renderable, width=100):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_pairs_of_a_published_table_are_the_tests_own():
    matrix = published(4)
    found = compare(matrix)
    assert len(found.pairs) == 6
    for pair in found.pairs:
        a, b = matrix.labels.index(pair.first), matrix.labels.index(pair.second)
        difference = matrix.means[:, a] - matrix.means[:, b]
        assert pair.wins == np.sum(difference > 0)
        assert pair.losses == np.sum(difference < 0)
        assert pair.ranks == (found.friedman.mean_ranks[a], found.friedman.mean_ranks[b])
        assert pair.effect >= 0
        assert pair.posthoc == found.posthoc[a, b]
        assert pair.difference == significance.hodges_lehmann(np.round(difference, 9))
    column = {label: matrix.means[:, m] for m, label in enumerate(matrix.labels)}
    single = [significance.signed_ranks(column[pair.first] - column[pair.second]).p for pair in found.pairs]
    np.testing.assert_allclose([p.wilcoxon for p in found.pairs], significance.holm(np.array(single)))


def test_published_figures_in_words_and_numbers():
    found = compare(published(1))
    assert numbers(found) == [
        "Friedman chi2 = 8.459, p = 0.076; Iman-Davenport F = 2.298, p = 0.070",
        "Mean ranks: SM a=0.5 2.167, SM a=1 2.967, MTM 3.000, SM a=0 3.033, STM 3.833",
        "Nemenyi's critical difference at 0.05: 1.575",
    ]
    assert found.sentences == [
        "SM a=0.5 beats STM on 11 of 15 corpora, by +1.0 F1 (95 % limits +0.4 to +1.5), mean rank 2.2 against 3.8: "
        "Holm-Wilcoxon p = 0.036, Nemenyi p = 0.032.",
        "SM a=0.5 beats SM a=0 on 12 of 15 corpora (1 tied), by +0.3 F1 (95 % limits +0.1 to +0.7), mean rank 2.2 "
        "against 3.0: Holm-Wilcoxon p = 0.043, Nemenyi p = 0.562.",
        "No difference between SM a=1 and STM: 95 % limits +0.0 to +0.4, within 0.5.",
        "Of 10 pairs, 7 are undecided.",
    ]
    text = shown(terminal(found))
    for part in (*numbers(found), "SM a=0.5 − STM", "11:4", "0.032", "+0.808", "undecided"):
        assert part in text


def test_conover_takes_nemenyis_place():
    found = compare(published(2), method="conover")
    assert found.critical_difference is None
    assert "Conover p" in found.sentences[0]
    nemenyi = compare(published(2))
    assert list(map(found.differ, found.pairs)) == list(map(nemenyi.differ, nemenyi.pairs))
    assert all(a.posthoc < b.posthoc for a, b in zip(found.pairs, nemenyi.pairs, strict=True) if found.differ(a))


@pytest.mark.parametrize(("corpora", "said"), [
    (["NCBI"], "1 corpus with scores of every model: too few for a test over corpora, which takes 3."),
    (["NCBI", "CRAFT"], "2 corpora with scores of every model: too few for a test over corpora, which takes 3."),
])  # fmt: skip
def test_too_few_corpora_are_said_and_nothing_is_tested(corpora, said):
    (matrix,) = score_matrices(made_rows(1, corpora))
    found = compare(matrix)
    assert (found.pairs, found.friedman, found.sentences) == ((), None, [])
    assert said in found.limits
    assert "Friedman" not in shown(terminal(found))


def test_a_design_that_cannot_reach_alpha_is_said_so():
    five = ["NCBI", "CRAFT", "ExPTM", "JNLPBA", "AnatEM"]
    (matrix,) = score_matrices(made_rows(1, five, seeds=(1, 2, 3, 4, 5)))
    pair = compare(matrix.only(five, ["STM", "MTM"]))
    assert "5 corpora are too few for Wilcoxon: p is 0.0625 at best, so it can't reach 0.05." in pair.limits
    assert "Two models: Friedman's test takes three, Wilcoxon's compares them." in pair.limits
    everything = compare(matrix)
    assert "5 corpora are too few for Holm-Wilcoxon over 10 pairs: p is 0.625 at best, so it can't reach 0.05." in (
        everything.limits
    )
    three = compare(matrix.only(five[:3]), alpha=0.001)
    assert any("too few for Nemenyi" in limit for limit in three.limits)
    assert not compare(published(1)).limits


def test_limits_are_true():
    perfect = np.arange(5.0) + np.zeros((5, 1))
    best = min(significance.signed_ranks(perfect[:, 1] - perfect[:, 0]).p * 10, 1)
    assert best == pytest.approx(0.625)
    assert significance.posthoc(np.arange(3.0) + np.zeros((3, 1)))[0, 2] > 0.001


def test_models_are_compared_on_the_same_corpora_only():
    rows = made_rows(1)
    dropped = [row for row in rows if (row.corpus, row.label) != ("ExPTM", "MTM")]
    (matrix,) = score_matrices(dropped)
    found = compare(matrix)
    assert "ExPTM" not in found.corpora
    (same,) = score_matrices([row for row in rows if row.corpus != "ExPTM"])
    assert found.friedman.chi2 == compare(same).friedman.chi2


def counts_of(matrix, better="MTM"):
    draw = np.random.default_rng(0)
    gold = draw.integers(0, 4, 300)
    tables = {}
    for label in matrix.labels:
        for seed in (1, 2, 3):
            correct = draw.binomial(gold, 0.75 if label == better else 0.6)
            tables[label, seed] = np.stack([correct, gold, gold], 1).astype(np.int32)
    return lambda label, row: tables[label, row.seed]


def test_within_a_corpus_every_pair_is_tested_and_corrected():
    (matrix,) = score_matrices(made_rows(7, ["NCBI", "CRAFT"]))
    load = counts_of(matrix)
    done = []
    tests, notes = within_corpora(matrix, load, done=done.append)
    assert notes == []
    assert done == ["CRAFT", "NCBI"]
    assert len(tests) == 2 * 3
    runs = {m: np.stack([load(m, row) for row in matrix.rows["NCBI", m]]) for m in matrix.labels}
    single = [significance.compare_runs(runs[t.first], runs[t.second]) for t in tests[3:]]
    np.testing.assert_allclose([t.p for t in tests[3:]], significance.holm(np.array([t.p for t in single])))
    for test, one in zip(tests[3:], single, strict=True):
        assert test.difference == pytest.approx(one[:3])
    assert {(t.first, t.p < 0.05) for t in tests if "MTM" in t[1:3]} == {("MTM", True)}
    assert all(t.difference.estimate >= 0 for t in tests)


def test_missing_or_different_sentences_are_said():
    (matrix,) = score_matrices(made_rows(7, ["NCBI"]))
    load = counts_of(matrix)
    tests, notes = within_corpora(matrix, lambda label, row: None if label == "MTM" else load(label, row))
    assert [(t.first, t.second) for t in tests] in ([("STM", "SM soft")], [("SM soft", "STM")])
    assert notes == ["No counts by sentence of MTM on NCBI: not compared within a corpus."]
    (two,) = score_matrices(made_rows(7, ["NCBI", "CRAFT"]))
    assert within_corpora(two, lambda *_: None)[1] == [
        "No counts by sentence of STM, MTM and SM soft on CRAFT and NCBI: not compared within a corpus."
    ]  # one line, however many corpora and models
    tests, notes = within_corpora(matrix, lambda label, row: load(label, row)[: 200 if label == "MTM" else None])
    assert len(tests) == 1
    assert notes == ["Not compared on NCBI, since scored on different sentences: STM and MTM and MTM and SM soft."]
    tests, notes = within_corpora(matrix, lambda label, row: load(label, row)[: 100 * row.seed])
    assert tests == []
    assert "Seeds of STM on NCBI were scored on different sentences: not compared there." in notes


def test_two_models_get_wilcoxon_alone():
    (matrix,) = score_matrices(made_rows(1))
    pair = compare(matrix.only(matrix.corpora, ["STM", "SM a=0.5"]))
    difference = matrix.means[:, matrix.labels.index("SM a=0.5")] - matrix.means[:, 0]
    assert pair.pairs[0].wilcoxon == pytest.approx(stats.wilcoxon(difference, method="exact").pvalue)
    assert pair.friedman is None
    assert "beats STM" in pair.sentences[0]
    assert "Nemenyi" not in pair.sentences[0]


def board_of(columns):
    labels = dict(zip(paper.tables()[1].labels, columns, strict=False))
    corpora = {corpus: d for d, corpus in enumerate(paper.tables()[1].corpora)}
    rows = [row for row in made_rows(1, seeds=(1,)) if row.label in labels]
    (matrix,) = score_matrices([replace(row, f1=float(labels[row.label][corpora[row.corpus]])) for row in rows])
    return matrix


def test_words_follow_wilcoxon_whatever_nemenyi_says():
    """Models in between push two of them apart in mean rank whose differences don't favour either."""
    columns = 80 + np.arange(5)[:, None] / 100 + np.zeros(15)
    columns[1] = 80.05
    columns[1, :3] = 70  # three large losses, twelve tiny gains
    found = compare(board_of(columns))
    (pair,) = (p for p in found.pairs if {p.first, p.second} == {"STM", "MTM"})
    assert pair.posthoc < 0.05 < pair.wilcoxon
    assert found.verdict(pair) == "undecided"
    assert not any("beats" in said and "STM" in said and "MTM" in said for said in found.sentences)
    assert f"MTM − STM, 12:3, {pair.wilcoxon:.3f}" in [", ".join(cells[:3]) for cells in pair_cells(found)[1]]


def test_the_first_is_the_one_that_wilcoxon_favours_where_mean_ranks_point_the_other_way():
    columns = 80 + np.arange(5)[:, None] / 100 + np.zeros(15)
    columns[1] = 80.05
    columns[1, :7] = 70
    found = compare(board_of(columns))
    (pair,) = (p for p in found.pairs if {p.first, p.second} == {"STM", "MTM"})
    assert (pair.first, pair.second) == ("STM", "MTM")
    assert pair.ranks[0] > pair.ranks[1]
    assert pair.effect > 0


def test_no_difference_is_said_only_where_the_limits_are_narrow():
    gap = np.tile([0.2, -0.2, 0.1, -0.1], 4)[:15]
    found = compare(board_of([np.full(15, 80.0), 80 + gap, 80 + 10 * gap]))
    labels = found.labels
    said = {frozenset((p.first, p.second)): found.verdict(p) for p in found.pairs}
    assert said == {frozenset(labels[:2]): "no difference", frozenset(labels[::2]): "undecided",
                    frozenset(labels[1:]): "undecided"}  # fmt: skip
    told = re.compile(r"No difference between (STM and MTM|MTM and STM): 95 % limits \S+ to \S+, within 0.5\.")
    assert any(map(told.fullmatch, found.sentences))


def test_too_few_seeds_are_said_in_place_of_a_p():
    (matrix,) = score_matrices(made_rows(7, ["NCBI", "CRAFT"], seeds=(1, 2)))
    tests, notes = within_corpora(matrix, counts_of(matrix))
    assert tests == []
    assert notes == ["Models not tested on CRAFT and NCBI: fewer than 3 seeds of a model, too few for a test that "
                     "holds its level."]  # fmt: skip


def test_pairs_of_interest_alone_are_corrected_for():
    matrix = published(1)
    among = [("STM", "MTM"), ("STM", "SM a=1")]
    found = compare(matrix, among=among)
    assert [{p.first, p.second} for p in found.pairs] == [set(pair) for pair in among]
    assert found.friedman[:4] == compare(matrix).friedman[:4]
    for few, many in zip(found.pairs, (compare(matrix).pairs[0], compare(matrix).pairs[3]), strict=True):
        assert few.wilcoxon <= many.wilcoxon
        assert few == many._replace(wilcoxon=few.wilcoxon)


def test_a_board_without_common_corpora_is_answered():
    rows = [row for row in made_rows(7, ["NCBI", "CRAFT"]) if (row.corpus, row.label) not in
            {("NCBI", "MTM"), ("CRAFT", "STM")}]  # fmt: skip
    (matrix,) = score_matrices(rows)
    assert compare(matrix).limits[0].startswith("0 corpora with scores of every model")
