"""Statistical tests between models: over corpora by ranks, and within a corpus over its sentences.

Sources: Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006); Conover, Practical
nonparametric statistics (1999); Kerby, The simple difference formula (2014), for the rank-biserial correlation;
Yeh, More accurate tests for the statistical significance of result differences, COLING 2000, for the permutation test.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scikit_posthocs
from scipy import stats

POSTHOCS: Mapping[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "nemenyi": ("Nemenyi", scikit_posthocs.posthoc_nemenyi_friedman),
    "conover": ("Conover", scikit_posthocs.posthoc_conover_friedman),
    "conover-holm": ("Conover-Holm", partial(scikit_posthocs.posthoc_conover_friedman, p_adjust="holm")),
}
"""Post hoc tests over all pairs, by the setting's name: the name in print and the test."""


class Friedman(NamedTuple):
    """Friedman's test and Iman and Davenport's correction of it.

    Attributes:
        chi2: Friedman's statistic, corrected for ties.
        p: its p-value, from the chi-square distribution of M - 1 degrees of freedom.
        f: Iman and Davenport's statistic.
        f_p: its p-value, from the F distribution of M - 1 and (M - 1)(D - 1) degrees of freedom.
        mean_ranks: mean rank of each model, 1 the best, [M].
    """

    chi2: float
    p: float
    f: float
    f_p: float
    mean_ranks: np.ndarray


class SignedRanks(NamedTuple):
    """Wilcoxon's signed-rank test of paired differences.

    Attributes:
        p: exact two-sided p-value.
        effect: paired rank-biserial correlation, from -1 (all differences negative) to 1.
    """

    p: float
    effect: float


class Interval(NamedTuple):
    """An estimate and the ends of its confidence interval."""

    estimate: float
    low: float
    high: float


class Permutation(NamedTuple):
    """Paired permutation test over sentences: difference of F1 in percentage points, two-sided p-value."""

    difference: float
    p: float


def ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks of M models on each of D corpora, 1 for the highest score, ties sharing their mean rank; [D, M]."""
    return stats.rankdata(-scores, axis=1)


def friedman(scores: np.ndarray) -> Friedman:
    """Friedman's test that M models are alike over D corpora.

    Args:
        scores: one score of each model on each corpus, [D, M], D >= 2, M >= 3.

    Returns:
        The test. Where all ranks agree the F statistic is infinite; where all are tied both statistics are 0.
    """
    corpora, models = scores.shape
    ranked = ranks(scores)
    mean_ranks = ranked.mean(0)
    if not np.ptp(ranked):
        return Friedman(0.0, 1.0, 0.0, 1.0, mean_ranks)
    chi2, p = (float(x) for x in stats.friedmanchisquare(*ranked.T))
    rest = corpora * (models - 1) - chi2
    f = (corpora - 1) * chi2 / rest if rest > 1e-9 else float("inf")
    return Friedman(chi2, p, f, float(stats.f.sf(f, models - 1, (models - 1) * (corpora - 1))), mean_ranks)


def critical_difference(models: int, corpora: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference: mean ranks further apart than this differ at alpha.

    Args:
        models: number of models, M >= 2.
        corpora: number of corpora, D.
        alpha: level of the test over all pairs together.

    Returns:
        q(alpha; M) / sqrt(2) * sqrt(M (M + 1) / (6 D)), q being the studentised range for infinite degrees of freedom.
    """
    q = stats.studentized_range.ppf(1 - alpha, models, np.inf)
    return float(q / np.sqrt(2) * np.sqrt(models * (models + 1) / (6 * corpora)))


def posthoc(scores: np.ndarray, method: str = "nemenyi") -> np.ndarray:
    """P-values of a post hoc test between all pairs of models.

    Args:
        scores: [D, M].
        method: a key of `POSTHOCS`. "conover" is unadjusted, as Conover gives it: it follows a significant Friedman
            test; "conover-holm" is adjusted over the pairs.

    Returns:
        P-values, [M, M], symmetric, 1 on the diagonal.
    """
    ranked = ranks(scores)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        p = np.asarray(POSTHOCS[method][1](ranked), float)
    # Conover's variance is 0 where all corpora rank alike: any difference is then beyond chance.
    apart = ~np.isclose(*np.meshgrid(ranked.mean(0), ranked.mean(0)))
    return np.where(np.isnan(p), np.where(apart, 0.0, 1.0), p)


def signed_ranks(differences: np.ndarray) -> SignedRanks:
    """Wilcoxon's signed-rank test, exact with ties and zeros too, and its effect size.

    Zeros are dropped, ties share their mean rank, and the distribution of the rank sum over all sign patterns is
    computed in full.

    Args:
        differences: paired differences, [D].

    Returns:
        p is 1 and the effect 0 where all differences are 0.
    """
    nonzero = np.round(differences, 9)
    nonzero = nonzero[nonzero != 0]
    if not len(nonzero):
        return SignedRanks(1.0, 0.0)
    doubled = np.rint(2 * stats.rankdata(np.abs(nonzero))).astype(int)
    positive, total = int(doubled[nonzero > 0].sum()), int(doubled.sum())
    probability = np.zeros(total + 1)
    probability[0] = 1
    for rank in doubled:
        moved = probability / 2
        probability = moved.copy()
        probability[rank:] += moved[: total + 1 - rank]
    tail = min(probability[: positive + 1].sum(), probability[positive:].sum())
    return SignedRanks(min(1.0, 2 * float(tail)), (2 * positive - total) / total)


def smallest_p(pairs: int) -> float:
    """The smallest p-value that a two-sided exact signed-rank test of so many differences can have."""
    return min(1.0, 2.0 ** (1 - pairs))


def holm(p: np.ndarray) -> np.ndarray:
    """P-values adjusted for multiple tests by Holm's step-down method, [P]."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def median_difference(differences: np.ndarray, confidence: float = 0.95) -> Interval:
    """Median of paired differences with a percentile bootstrap interval (9,999 resamples, fixed seed).

    Args:
        differences: [D].
        confidence: of the interval.

    Returns:
        Median and interval; the interval is not finite for a single difference.
    """
    median = float(np.median(differences))
    if len(differences) < 2:
        return Interval(median, -np.inf, np.inf)
    drawn = np.random.default_rng(0).choice(differences, (9_999, len(differences)))
    low, high = np.quantile(np.median(drawn, axis=1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(median, float(low), float(high))


def mean_difference(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Interval:
    """Difference of the means of two unpaired samples with Welch's interval.

    Args:
        first: scores of a model over its seeds, [S].
        second: scores of another over its own, [S'].
        confidence: of the interval.

    Returns:
        Mean of first minus mean of second; the interval is not finite where either has fewer than two seeds.
    """
    difference = float(np.mean(first) - np.mean(second))
    if min(len(first), len(second)) < 2:
        return Interval(difference, -np.inf, np.inf)
    if not np.ptp(first) and not np.ptp(second):
        return Interval(difference, difference, difference)
    interval = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
    return Interval(difference, float(interval.low), float(interval.high))


def _f1(counts: np.ndarray) -> np.ndarray:
    correct, predicted, gold = np.moveaxis(counts, -1, 0)
    return 200 * correct / np.maximum(predicted + gold, 1e-9)


def permutation_test(first: np.ndarray, second: np.ndarray, resamples: int = 10_000, seed: int = 0) -> Permutation:
    """Paired permutation test between two models of one corpus, over its sentences.

    Were the models alike, either could have tagged any sentence either way: the two models' counts of each sentence
    are swapped at random, and F1 is computed anew.

    Args:
        first: entities that are correct, predicted and gold in each sentence, [N, 3]; the mean over seeds, so that all
            seeds of a sentence are swapped together.
        second: the other model's, [N, 3].
        resamples: number of random swaps; where all patterns are no more than that, each is taken once (exact).
        seed: of the random swaps.

    Returns:
        F1 of the first minus F1 of the second from the summed counts, and the share of patterns, the observed one among
        them, whose absolute difference is as large.
    """
    total = np.sum(first + second, axis=0, dtype=float)
    difference = np.asarray(first, float) - second
    difference = difference[np.any(difference, axis=1)]
    sentences = len(difference)

    def gap(signs: np.ndarray) -> np.ndarray:
        moved = signs @ difference
        return _f1((total + moved) / 2) - _f1((total - moved) / 2)

    observed = float(gap(np.ones((1, sentences)))[0])
    if exact := sentences < 32 and 2**sentences <= resamples:
        patterns = (np.arange(2**sentences)[:, None] >> np.arange(sentences)) & 1
        gaps = gap(2.0 * patterns - 1)
    else:
        rng = np.random.default_rng(seed)
        block = max(1, 4_000_000 // sentences)
        gaps = np.concatenate([
            gap(2.0 * rng.integers(0, 2, (min(block, resamples - start), sentences), np.int8) - 1)
            for start in range(0, resamples, block)
        ])  # fmt: skip
    as_large = int(np.sum(np.abs(gaps) >= abs(observed) - 1e-9))
    p = as_large / len(gaps) if exact else (as_large + 1) / (resamples + 1)
    return Permutation(observed, float(p))
