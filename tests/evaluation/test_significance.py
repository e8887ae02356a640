"""Tests between models against scipy, scikit-posthocs, enumeration and worked examples."""

from itertools import product

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats
from statsmodels.stats.multitest import multipletests

from kd_jax.evaluation import significance
from kd_jax.evaluation.scores import percentages
from kd_jax.report import published as paper

DEMSAR = np.array([
    [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967],
    [0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931],
    [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875],
    [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
    [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
])  # fmt: skip
"""Demšar 2006, table 6: C4.5, +m, +cf, +m+cf on 14 data sets, with ties.

In the last but one he ranks two figures printed as 0.975 second and third: told apart here as there.
"""

GRASSES = -np.array([
    [4, 3, 2, 1], [4, 2, 3, 1], [3, 1.5, 1.5, 4], [3, 1, 2, 4], [4, 2, 1, 3], [2, 2, 2, 4],
    [1, 3, 2, 4], [2, 4, 1, 3], [3.5, 1, 2, 3.5], [4, 1, 3, 2], [4, 2, 3, 1], [3.5, 1, 2, 3.5],
])  # fmt: skip
"""Conover 1999, section 5.8, example 1: twelve homeowners rank four grasses, with ties."""


def tied_scores(seed, corpora=12, models=5):
    return np.random.default_rng(seed).integers(80, 86, (corpora, models)).astype(float)


def test_demsars_worked_example():
    test = significance.friedman(DEMSAR)
    np.testing.assert_allclose(test.mean_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
    uncorrected = 12 * 14 / (4 * 5) * (np.sum(test.mean_ranks**2) - 4 * 5**2 / 4)
    assert uncorrected == pytest.approx(9.28, abs=5e-3)
    assert 13 * uncorrected / (14 * 3 - uncorrected) == pytest.approx(3.69, abs=5e-3)
    tied = sum(np.sum(n**3 - n) for row in DEMSAR for n in [np.unique(row, return_counts=True)[1]])
    assert test.chi2 == pytest.approx(uncorrected / (1 - tied / (14 * 4 * (4**2 - 1))))
    assert significance.critical_difference(4, 14, 0.05) == pytest.approx(1.25, abs=5e-3)
    assert significance.critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=5e-3)


def test_conovers_worked_example():
    test = significance.friedman(GRASSES)
    assert (test.chi2, test.p) == pytest.approx((8.0973, 0.0440), abs=5e-5)
    assert (test.f, test.f_p) == pytest.approx((3.1922, 0.0362), abs=5e-5)
    np.testing.assert_allclose(test.mean_ranks * 12, [38, 23.5, 24.5, 34])
    differs = significance.posthoc(GRASSES, "conover") < 0.05  # his least significant difference of rank sums is 11.48
    assert [tuple(pair) for pair in np.argwhere(np.triu(differs))] == [(0, 1), (0, 2)]


@pytest.mark.parametrize(("number", "chi2", "p"), [(1, 8.459, 0.076), (2, 33.158, 0.000), (4, 18.061, 0.000)])
def test_friedman_on_published_tables(number, chi2, p):
    test = significance.friedman(paper.tables()[number].f1)
    assert (test.chi2, test.p) == pytest.approx((chi2, p), abs=5e-4)


def test_mean_ranks_and_critical_differences_of_published_tables():
    ranks = significance.friedman(paper.tables()[4].f1).mean_ranks
    np.testing.assert_allclose(ranks, [3.633, 2.433, 1.733, 2.200], atol=5e-4)
    assert significance.critical_difference(4, 15) == pytest.approx(1.211, abs=5e-4)
    assert significance.critical_difference(5, 15) == pytest.approx(1.575, abs=5e-4)
    apart = significance.posthoc(paper.tables()[1].f1) < 0.05
    assert [tuple(pair) for pair in np.argwhere(np.triu(apart))] == [(0, 3)]


@pytest.mark.parametrize("seed", range(10))
def test_friedman_and_posthocs_equal_the_libraries(seed):
    scores = tied_scores(seed)
    test = significance.friedman(scores)
    assert (test.chi2, test.p) == pytest.approx(tuple(stats.friedmanchisquare(*scores.T)))
    np.testing.assert_allclose(
        significance.posthoc(scores), scikit_posthocs.posthoc_nemenyi_friedman(scores), rtol=1e-6
    )
    np.testing.assert_allclose(
        significance.posthoc(scores, "conover"), scikit_posthocs.posthoc_conover_friedman(scores), rtol=1e-6
    )
    np.testing.assert_allclose(
        significance.posthoc(scores, "conover-holm"),
        scikit_posthocs.posthoc_conover_friedman(scores, p_adjust="holm"), rtol=1e-6,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_iman_davenport_is_the_analysis_of_variance_of_the_ranks(seed):
    ranks = significance.ranks(tied_scores(seed))
    corpora, models = ranks.shape
    between = corpora * np.sum((ranks.mean(0) - ranks.mean()) ** 2) / (models - 1)
    residual = ranks - ranks.mean(0) - ranks.mean(1, keepdims=True) + ranks.mean()
    within = np.sum(residual**2) / ((models - 1) * (corpora - 1))
    assert significance.friedman(tied_scores(seed)).f == pytest.approx(between / within)


@pytest.mark.parametrize("seed", range(5))
def test_nemenyi_and_its_critical_difference_agree(seed):
    scores = tied_scores(seed, corpora=9) + np.arange(5)
    mean_ranks = significance.friedman(scores).mean_ranks
    apart = np.abs(mean_ranks[:, None] - mean_ranks) > significance.critical_difference(5, 9)
    np.testing.assert_array_equal(significance.posthoc(scores) < 0.05, apart)


def test_agreement_and_indifference_are_answered():
    agreed = np.arange(3.0) + np.zeros((6, 1))
    test = significance.friedman(agreed)
    assert (test.chi2, test.f, test.f_p) == (12, np.inf, 0)
    assert np.all(significance.posthoc(agreed, "conover")[~np.eye(3, dtype=bool)] == 0)
    alike = np.ones((6, 3))
    assert significance.friedman(alike)[:4] == (0, 1, 0, 1)
    for method in significance.POSTHOCS:
        np.testing.assert_allclose(significance.posthoc(alike, method), 1)


@pytest.mark.parametrize("seed", range(10))
def test_signed_ranks_equal_scipys_exact_test(seed):
    draw = np.random.default_rng(seed)
    smooth = draw.normal(0.3, 1, 14)
    expected = stats.wilcoxon(smooth, method="exact")
    assert significance.signed_ranks(smooth).p == pytest.approx(expected.pvalue)
    tied = draw.integers(-3, 5, 9).astype(float)
    kept = tied[tied != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums = np.array(list(product((0, 1), repeat=len(kept)))) @ ranks
    positive = ranks[kept > 0].sum()
    expected_p = min(1, 2 * min(np.mean(sums <= positive), np.mean(sums >= positive)))
    test = significance.signed_ranks(tied)
    assert test.p == pytest.approx(expected_p)
    assert test.effect == pytest.approx((positive - ranks[kept < 0].sum()) / ranks.sum())
    assert significance.signed_ranks(-tied).p == pytest.approx(test.p)


def test_signed_ranks_at_their_ends():
    assert significance.signed_ranks(np.zeros(5)) == (1, 0)
    assert significance.signed_ranks(np.arange(1.0, 6)) == (0.0625, 1)
    assert significance.smallest_p(5) == 0.0625
    for n in range(1, 12):
        assert significance.signed_ranks(np.arange(1.0, n + 1)).p == significance.smallest_p(n)


def test_decimal_differences_that_floats_leave_apart_are_tied():
    differences = np.array([86.7 - 86.5, 80.3 - 80.1, 70.5 - 70.7, 75.0 - 75.0])
    assert significance.signed_ranks(differences).effect == pytest.approx(1 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_holm_equals_statsmodels(seed):
    p = np.random.default_rng(seed).uniform(0, 0.2, 9).round(2)
    np.testing.assert_allclose(significance.holm(p), multipletests(p, method="holm")[1])


def test_median_difference_equals_scipys_percentile_bootstrap():
    differences = np.random.default_rng(3).normal(1, 2, 15)
    ours = significance.median_difference(differences)
    theirs = stats.bootstrap((differences,), np.median, method="percentile", random_state=1).confidence_interval
    assert ours.estimate == np.median(differences)
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs), abs=0.15)
    assert significance.median_difference(np.full(6, 0.5)) == (0.5, 0.5, 0.5)
    assert significance.median_difference(np.array([0.5])) == (0.5, -np.inf, np.inf)


def test_mean_difference_is_welchs():
    first, second = np.array([70.1, 71.5, 70.9, 72.0, 71.1]), np.array([69.0, 69.4, 71.0])
    ours = significance.mean_difference(first, second)
    variances = first.var(ddof=1) / 5, second.var(ddof=1) / 3
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / 4 + variances[1] ** 2 / 2)
    half = stats.t.ppf(0.975, freedom) * sum(variances) ** 0.5
    assert ours == pytest.approx((first.mean() - second.mean(), *(first.mean() - second.mean() + [-half, half])))
    assert significance.mean_difference(first[:1], second).low == -np.inf
    assert significance.mean_difference(np.full(3, 5.0), np.full(2, 4.0)) == (1, 1, 1)


def made_counts(seed, sentences, better=0.0):
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, 4, sentences)

    def model(rate):
        correct = draw.binomial(gold, rate)
        return np.stack([correct, correct + draw.binomial(2, 0.2, sentences), gold], 1)

    return model(0.6 + better), model(0.6)


@pytest.mark.parametrize("seed", range(4))
def test_permutation_over_few_sentences_equals_scipys_exact_test(seed):
    first, second = made_counts(seed, 9, 0.2)

    def gap(a, b, axis=0):
        def f1(counts):
            correct, predicted, gold = np.moveaxis(counts.sum(axis), -1, 0)
            return 200 * correct / (predicted + gold)

        return np.abs(f1(a) - f1(b))

    patterns = list(product((False, True), repeat=9))
    gaps = [gap(np.where(np.c_[list(s)], second, first), np.where(np.c_[list(s)], first, second)) for s in patterns]
    ours = significance.permutation_test(first, second)
    assert ours.p == pytest.approx(np.mean(np.array(gaps) >= gap(first, second) - 1e-9))
    f1 = [percentages(*counts.sum(0))[2] for counts in (first, second)]
    assert ours.difference == pytest.approx(f1[0] - f1[1])


def test_permutation_is_symmetric_repeatable_and_sees_a_difference():
    first, second = made_counts(1, 800, 0.1)
    test = significance.permutation_test(first, second)
    assert test.p < 0.01
    assert significance.permutation_test(first, second) == test
    swapped = significance.permutation_test(second, first)
    assert (swapped.difference, swapped.p) == pytest.approx((-test.difference, test.p))
    assert significance.permutation_test(first, first) == (0, 1)


def test_permutation_samples_approach_the_exact_p():
    first, second = made_counts(5, 13, 0.15)
    differing = int(np.any(first != second, axis=1).sum())
    exact = significance.permutation_test(first, second, resamples=2**differing)
    sampled = significance.permutation_test(first, second, resamples=2**differing - 1)
    assert sampled.p == pytest.approx(exact.p, abs=4 * (exact.p / 2**differing) ** 0.5)


def test_permutation_rejects_no_more_often_than_it_says_where_models_are_alike():
    p = np.array([significance.permutation_test(*made_counts(seed, 150), resamples=400).p for seed in range(300)])
    assert 0.02 < np.mean(p <= 0.05) < 0.085
    assert 0.40 < np.mean(p <= 0.5) < 0.60
