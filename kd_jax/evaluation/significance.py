"""Statistical tests between models: over corpora by ranks, and within a corpus over its seeds and sentences.

Sources: Demšar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006); Benavoli, Corani and
Mangili, Should we really use post-hoc tests based on mean-ranks?, JMLR 17 (2016), for Wilcoxon without a gate; Conover,
Practical nonparametric statistics (1999); Kerby, The simple difference formula (2014), for the rank-biserial
correlation; Hollander, Wolfe and Chicken, Nonparametric statistical methods (2014), section 3.2, for Hodges and
Lehmann's estimate; Hillis, A marginal-mean ANOVA approach for analyzing multireader multicase radiological imaging
data, Statistics in Medicine 33 (2014), for readers within treatments: here seeds within models.
"""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scikit_posthocs
from jaxtyping import Float, Int, Real
from scipy import stats

from kd_jax.errors import InputError

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
    mean_ranks: Float[np.ndarray, "M"]


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


class RunComparison(NamedTuple):
    """Two models of one corpus, each trained with several seeds.

    Attributes:
        difference: mean F1 over the first model's seeds minus that of the second's, in percentage points.
        low: lower end of the confidence interval of the difference over new seeds and new sentences.
        high: its upper end.
        p: two-sided p-value; None where there is no test.
        problem: why there is none, in words; "" where there is one.
    """

    difference: float
    low: float
    high: float
    p: float | None
    problem: str


MARGIN = 0.5
"""Points of F1 up to which a difference counts as none, in `verdict` and wherever a report says so."""
FEWEST_SEEDS = 3
"""Of each model, for `compare_runs`: with two, the variance over seeds has one degree of freedom, and more than 5 % of
equal models differ at 0.05 (docs/statistics.md)."""


def ranks(scores: Float[np.ndarray, "D M"]) -> Float[np.ndarray, "D M"]:
    """Ranks of M models on each of D corpora, 1 for the highest score, ties sharing their mean rank.

    >>> ranks(np.array([[70.0, 72.0, 70.0]])).tolist()
    [[2.5, 1.0, 2.5]]
    """
    return stats.rankdata(-scores, axis=1)


def friedman(scores: Float[np.ndarray, "D M"]) -> Friedman:
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
    # Iman and Davenport 1980: chi2 is conservative. Its largest value makes the denominator 0.
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

    >>> round(critical_difference(models=5, corpora=15), 3)  # Demsar 2006: q is 2.728
    1.575
    """
    q = stats.studentized_range.ppf(1 - alpha, models, np.inf)
    return float(q / np.sqrt(2) * np.sqrt(models * (models + 1) / (6 * corpora)))


def posthoc(scores: Float[np.ndarray, "D M"], method: str = "nemenyi") -> Float[np.ndarray, "M M"]:
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
        # scikit_posthocs ranks again, which leaves ranks as they are; p does not depend on which end is the best.
        p = np.asarray(POSTHOCS[method][1](ranked), float)
    # Conover's variance is 0 where all corpora rank alike: any difference is then beyond chance.
    apart = ~np.isclose(*np.meshgrid(ranked.mean(0), ranked.mean(0)))
    return np.where(np.isnan(p), np.where(apart, 0.0, 1.0), p)


def _subset_sums(numbers: Int[np.ndarray, "_"]) -> Float[np.ndarray, "_"]:
    """Probability of each sum from 0 to the total, where each of some whole numbers is in or out by a fair coin."""
    probability = np.zeros(int(numbers.sum()) + 1)
    probability[0] = 1
    for number in numbers:
        moved = probability / 2
        probability = moved.copy()
        probability[number:] += moved[: len(moved) - number]
    return probability


def signed_ranks(differences: Float[np.ndarray, "D"]) -> SignedRanks:
    """Wilcoxon's signed-rank test, exact with ties and zeros too, and its effect size.

    Zeros are dropped, ties share their mean rank, and the distribution of the rank sum over all sign patterns is
    computed in full.

    Args:
        differences: paired differences, [D].

    Returns:
        p is 1 and the effect 0 where all differences are 0.

    >>> signed_ranks(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))  # all of one sign: 2 of 2^6 patterns are as extreme
    SignedRanks(p=0.03125, effect=1.0)
    """
    nonzero = np.round(differences, 9)  # ties and zeros are ties of what was computed, not of its last bits
    # Wilcoxon's own way with zeros: they favour neither.
    nonzero = nonzero[nonzero != 0]
    if not len(nonzero):
        return SignedRanks(1.0, 0.0)
    doubled = np.rint(2 * stats.rankdata(np.abs(nonzero))).astype(
        int
    )  # mean ranks of ties are halves; now whole numbers
    positive, total = int(doubled[nonzero > 0].sum()), int(doubled.sum())
    probability = _subset_sums(doubled)
    tail = min(probability[: positive + 1].sum(), probability[positive:].sum())
    return SignedRanks(min(1.0, 2 * float(tail)), (2 * positive - total) / total)


def smallest_p(pairs: int) -> float:
    """The smallest p-value that a two-sided exact signed-rank test of so many differences can have.

    >>> smallest_p(6)
    0.03125
    """
    return min(1.0, 2.0 ** (1 - pairs))


def holm(p: Float[np.ndarray, "tests"]) -> Float[np.ndarray, "tests"]:
    """P-values adjusted for multiple tests by Holm's step-down method.

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    # The k-th smallest of n times n - k + 1, and never less than one before it (Holm, A simple sequentially rejective
    # multiple test procedure, 1979).
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def hodges_lehmann(differences: Float[np.ndarray, "D"], confidence: float = 0.95) -> Interval:
    """Hodges and Lehmann's estimate of a typical difference, with limits from the signed-rank test.

    The estimate is the median of the means of all pairs of differences, each with itself too. The limits are those of
    these means that the exact signed-rank distribution allows: what lies outside is rejected by Wilcoxon's test. They
    cover the centre of any symmetric distribution at least as often as they say, ties or not.

    Args:
        differences: [D], D >= 1.
        confidence: of the limits.

    Returns:
        Estimate and limits, infinite where no signed-rank test of so few differences can reject: below 6 for 95 %.
    """
    first, second = np.triu_indices(len(differences))  # each pair once, the diagonal included
    means = np.sort((differences[first] + differences[second]) / 2)
    tail = np.cumsum(_subset_sums(np.arange(1, len(differences) + 1)))
    # The rank sum of the differences less t is the number of these means above t (Hollander, Wolfe and Chicken, section
    # 3.2), so that Wilcoxon rejects every t with fewer than `rejected` means on one side of it.
    rejected = int(np.sum(tail <= (1 - confidence) / 2 + 1e-12))  # the sums are exact, 1 - confidence is not
    estimate = float(np.median(means))
    if not rejected:
        return Interval(estimate, -np.inf, np.inf)
    return Interval(estimate, float(means[rejected - 1]), float(means[-rejected]))


def verdict(p: float | None, low: float, high: float, alpha: float = 0.05, margin: float = MARGIN) -> str:
    """What may be said of two models: that a difference was not found does not show that there is none.

    Args:
        p: of the test between them; None where there was none.
        low: lower end of the 95 % limits of the difference, in percentage points of F1.
        high: upper end.
        alpha: level of the test.
        margin: differences up to this many points of F1 count as none.

    Returns:
        "different" where p < alpha; else "no difference" where both limits lie within the margin; else "undecided".

    >>> verdict(0.2, -0.3, 0.4), verdict(0.2, -0.3, 2.4)
    ('no difference', 'undecided')
    """
    if p is not None and p < alpha:
        return "different"
    return "no difference" if -margin <= low and high <= margin else "undecided"


def _f1(counts: Real[np.ndarray, "S N 3"]) -> Float[np.ndarray, "S"]:
    right, size = counts[..., 0].sum(1), (counts[..., 1] + counts[..., 2]).sum(1)
    # Without a gold or predicted entity F1 is 0, as `percentages` has it.
    return 200 * right / np.maximum(size, 1e-9)


def _influence(counts: Float[np.ndarray, "S N 3"]) -> Float[np.ndarray, "S N"]:
    """How far each sentence moves each seed's F1 = 200 sum(right) / sum(predicted + gold), [S, N].

    By the delta method, scaled so that the variance of a seed's mean over sentences is that of its F1; that mean is 0.
    """
    right, size = counts[..., 0], counts[..., 1] + counts[..., 2]
    total = np.maximum(size.sum(1, keepdims=True), 1e-9)
    return counts.shape[1] * (200 * right - _f1(counts)[:, None] * size) / total


def compare_runs(a: Real[np.ndarray, "..."], b: Real[np.ndarray, "..."], confidence: float = 0.95) -> RunComparison:
    """Test whether two models differ in F1 on one corpus, were both trained anew and tested on new sentences.

    Seeds are drawn within models, unpaired; sentences are the same for all runs. The variance of the difference D of
    mean F1 is estimated as V_a + V_b + C. V is the variance of a model's F1 over its seeds, divided by their number. C
    is what sentences add: the variance over sentences of the difference of the models' mean influence values, divided
    by N, minus the interaction of seeds and sentences, which V holds already; not below 0. D / sqrt(V_a + V_b + C) is
    compared with Student's t of Satterthwaite's degrees of freedom, from S - 1 of each V and N - 1 of C (Hillis 2014).

    Args:
        a: entities that are right, predicted and gold in each sentence by each seed of one model, [S, N, 3].
        b: the other model's, [S', N, 3], on the same sentences.
        confidence: of the limits.

    Returns:
        The comparison, F1 in percent. Where a model has fewer than `FEWEST_SEEDS` seeds, there are fewer than two
        sentences, or nothing varies, p is None, the limits are infinite and the problem is said.

    Raises:
        InputError: where the arrays have other shapes, or the gold entities of a sentence differ between runs.
    """
    a, b = np.asarray(a), np.asarray(b)
    if not (a.ndim == b.ndim == 3 and a.shape[2] == b.shape[2] == 3 and len(a) and len(b)):
        raise InputError(f"entity counts have shapes {a.shape} and {b.shape}, not [seeds, sentences, 3]")
    if a.shape[1] != b.shape[1] or np.any(a[..., 2] != a[0, :, 2]) or np.any(b[..., 2] != a[0, :, 2]):
        raise InputError("entity counts of runs on different sentences: score both models on the same file")
    runs = [x.astype(float) for x in (a, b)]
    scores, seeds, sentences = [_f1(x) for x in runs], [len(x) for x in runs], a.shape[1]
    difference = float(scores[0].mean() - scores[1].mean())
    if min(seeds) < FEWEST_SEEDS:
        few = f"fewer than {FEWEST_SEEDS} seeds of a model, too few for a test that holds its level"
        return RunComparison(difference, -np.inf, np.inf, None, few)
    if sentences < 2:
        return RunComparison(difference, -np.inf, np.inf, None, "fewer than two sentences to test on")
    influence = [_influence(x) for x in runs]
    means = [x.mean(0) for x in influence]
    across = float(np.var(means[0] - means[1], ddof=1)) / sentences
    for x, mean in zip(influence, means, strict=True):
        interaction = np.sum((x - mean) ** 2) / ((len(x) - 1) * (sentences - 1))
        across -= float(interaction) / (len(x) * sentences)
    of_seeds = [float(f1.var(ddof=1)) / len(f1) for f1 in scores]
    parts = np.array([*of_seeds, max(across, 0.0)])
    variance = float(parts.sum())
    if variance < 1e-18:  # squared points of F1: nothing but rounding
        same = "neither seeds nor sentences vary, so there is nothing to test with"
        return RunComparison(difference, -np.inf, np.inf, None, same)
    freedom = variance**2 / np.sum(parts**2 / [seeds[0] - 1, seeds[1] - 1, sentences - 1])
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * variance**0.5
    p = 2 * float(stats.t.sf(abs(difference) / variance**0.5, freedom))
    return RunComparison(difference, difference - half, difference + half, p, "")
