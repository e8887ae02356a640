"""The models of a board compared with each other: over corpora, and within each corpus; in numbers and in words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kd_jax.evaluation import significance
from kd_jax.evaluation.results import Row
from kd_jax.evaluation.significance import POSTHOCS, Friedman, Interval
from kd_jax.report.score_matrix import ScoreMatrix, listed


class Pair(NamedTuple):
    """Two models over corpora.

    Attributes:
        better: label of the one with the better mean rank.
        other: label of the other.
        wins: corpora on which the first has the higher mean F1.
        losses: corpora on which it has the lower.
        ranks: both mean ranks.
        posthoc: p-value of the post hoc test; None where there are only two models.
        wilcoxon: exact p-value of Wilcoxon's signed-rank test, Holm-corrected over all pairs.
        effect: paired rank-biserial correlation, better minus other.
        difference: median difference of F1 in percentage points, with a bootstrap interval.
    """

    better: str
    other: str
    wins: int
    losses: int
    ranks: tuple[float, float]
    posthoc: float | None
    wilcoxon: float
    effect: float
    difference: Interval


@dataclass(frozen=True)
class Comparison:
    """Tests over corpora between the models of a board.

    Attributes:
        labels: the M models.
        corpora: the D corpora that every model was scored on.
        alpha: level of the tests.
        method: post hoc test, a key of `significance.POSTHOCS`.
        friedman: the test over all models; None for fewer than 3 corpora or models.
        posthoc: p-values of the post hoc test, [M, M], or None.
        critical_difference: of mean ranks at alpha by Nemenyi; None for other post hoc tests.
        pairs: of models, all of them or those of interest; nothing for fewer than 3 corpora.
        limits: what this design can't show, in words.
    """

    labels: tuple[str, ...]
    corpora: tuple[str, ...]
    alpha: float
    method: str
    friedman: Friedman | None
    posthoc: np.ndarray | None
    critical_difference: float | None
    pairs: tuple[Pair, ...]
    limits: tuple[str, ...]

    @property
    def sentences(self) -> list[str]:
        """What the tests over corpora say, in words."""
        if not self.pairs:
            return []
        said = []
        name = POSTHOCS[self.method][0] if self.friedman else "Wilcoxon"
        if self.friedman and self.friedman.p >= self.alpha:
            said.append(
                f"Friedman's test finds no difference between the models ({p_text(self.friedman.p)}): whatever differs "
                "between two of them is a hint, not a finding."
            )
        differing = [pair for pair in self.pairs if self.differ(pair)]
        for pair in sorted(differing, key=lambda pair: pair.posthoc or pair.wilcoxon):
            tied = len(self.corpora) - pair.wins - pair.losses
            said.append(
                f"{pair.better} beats {pair.other} on {pair.wins} of {len(self.corpora)} corpora"
                + (f" ({tied} tied)" if tied else "")
                + f", mean rank {pair.ranks[0]:.1f} against {pair.ranks[1]:.1f}, median difference "
                f"{pair.difference.estimate:+.1f} F1"
                + (f", {name} {p_text(pair.posthoc)}" if pair.posthoc is not None else "")
                + f", Holm-Wilcoxon {p_text(pair.wilcoxon)}."
            )
        if not differing:
            said.append(f"{name} tells no two models apart at {self.alpha:g}.")
        elif len(differing) < len(self.pairs):
            said.append(f"The other {len(self.pairs) - len(differing)} of {len(self.pairs)} pairs can't be told apart.")
        return said

    def differ(self, pair: Pair) -> bool:
        """Whether the post hoc test, or Wilcoxon's for two models, tells a pair apart."""
        return (pair.wilcoxon if pair.posthoc is None else pair.posthoc) < self.alpha


class Within(NamedTuple):
    """Paired permutation test over the sentences of one corpus between two models.

    Attributes:
        corpus: its name.
        first: label of the model with the higher F1.
        second: label of the other.
        sentences: sentences of the test split, N.
        difference: F1 of the first minus F1 of the second, in percentage points.
        p: two-sided p-value, Holm-corrected over the pairs of the corpus.
    """

    corpus: str
    first: str
    second: str
    sentences: int
    difference: float
    p: float


def p_text(p: float) -> str:
    """A p-value as one prints it."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def _limits(corpora: int, models: int, pairs: int, alpha: float, method: str) -> Iterator[str]:
    if models < 2:
        yield "One model alone: nothing to compare."
        return
    if corpora < 3:
        counted = f"{corpora} {'corpus' if corpora == 1 else 'corpora'} with scores of every model"
        yield f"{counted}: too few for a test over corpora, which takes 3."
        return
    if models == 2:
        yield "Two models: Friedman's test takes three, Wilcoxon's compares them."
    elif significance.critical_difference(models, corpora, alpha) > models - 1 and method == "nemenyi":
        yield f"{corpora} corpora are too few for Nemenyi: even mean ranks 1 and {models} don't differ at {alpha:g}."
    floor = min(1.0, significance.smallest_p(corpora) * pairs)
    if floor >= alpha:
        tests = "Wilcoxon" if pairs == 1 else f"Holm-Wilcoxon over {pairs} pairs"
        yield f"{corpora} corpora are too few for {tests}: p is {floor:.3g} at best, so it can't reach {alpha:g}."


def _seed_limit(matrix: ScoreMatrix, alpha: float) -> Iterator[str]:
    most = max((len(scores) for scores in matrix.scores.values()), default=0)
    if matrix.rows and significance.smallest_p(most) >= alpha:
        seeds = "one seed" if most == 1 else f"{most} seeds"
        yield (
            f"With {seeds} a two-sided Wilcoxon test over seeds gives p = {significance.smallest_p(most):.4g} at best "
            f"and can't reach {alpha:g}: within a corpus, models are compared over its sentences."
        )


def compare(
    matrix: ScoreMatrix, alpha: float = 0.05, method: str = "nemenyi", among: Sequence[tuple[str, str]] | None = None
) -> Comparison:
    """Tests over the corpora that every model was scored on, each corpus with its mean over seeds.

    Args:
        matrix: the scores.
        alpha: level of the tests.
        method: post hoc test, a key of `significance.POSTHOCS`.
        among: pairs of labels that are of interest; all of them by default.

    Returns:
        The tests that the design allows, and words about those it does not.
    """
    part = matrix.only(matrix.common)
    labels, corpora, scores = matrix.labels, part.corpora, part.means
    wanted = list(among or combinations(labels, 2))
    limits = (*_limits(len(corpora), len(labels), len(wanted), alpha, method), *_seed_limit(matrix, alpha))
    if len(corpora) < 3 or len(labels) < 2:
        return Comparison(labels, corpora, alpha, method, None, None, None, (), limits)
    mean_ranks = significance.ranks(scores).mean(0)
    test = significance.friedman(scores) if len(labels) > 2 else None
    posthoc = significance.posthoc(scores, method) if test else None
    cd = significance.critical_difference(len(labels), len(corpora), alpha) if test and method == "nemenyi" else None
    ordered = [sorted(map(labels.index, pair), key=lambda m: mean_ranks[m]) for pair in wanted]
    differences = [np.round(scores[:, a] - scores[:, b], 9) for a, b in ordered]
    tests = [significance.signed_ranks(difference) for difference in differences]
    corrected = significance.holm(np.array([test.p for test in tests]))
    pairs = tuple(
        Pair(
            labels[a],
            labels[b],
            int(np.sum(difference > 0)),
            int(np.sum(difference < 0)),
            (float(mean_ranks[a]), float(mean_ranks[b])),
            None if posthoc is None else float(posthoc[a, b]),
            float(p),
            test.effect,
            significance.median_difference(difference),
        )
        for (a, b), difference, test, p in zip(ordered, differences, tests, corrected, strict=True)
    )
    return Comparison(labels, corpora, alpha, method, test, posthoc, cd, pairs, limits)


def within_corpora(
    matrix: ScoreMatrix,
    load: Callable[[str, Row], np.ndarray | None],
    among: Sequence[tuple[str, str]] | None = None,
    done: Callable[[str], object] | None = None,
) -> tuple[list[Within], list[str]]:
    """Permutation tests over sentences between models, corpus by corpus.

    Args:
        matrix: whose corpora and models.
        load: counts by sentence of a label's row, int32 [N, 3], or None where they are missing.
        among: pairs of labels to test; all of them by default.
        done: is called with each corpus's name once it is done.

    Returns:
        The tests, and notes on models that had to be left out.
    """
    tests: list[Within] = []
    notes: list[str] = []
    for corpus in matrix.corpora:
        counts: dict[str, np.ndarray] = {}
        for label in matrix.labels:
            loaded = [load(label, row) for row in matrix.rows.get((corpus, label), ())]
            present = [array for array in loaded if array is not None]
            if loaded and len(present) < len(loaded):
                notes.append(f"No counts by sentence of {label} on {corpus}: not compared within this corpus.")
            elif len({array.shape for array in present}) == 1:
                counts[label] = np.mean(present, axis=0)
            elif present:
                notes.append(f"Seeds of {label} on {corpus} were scored on different sentences: not compared there.")
        pairs = [pair for pair in among or combinations(matrix.labels, 2) if set(pair) <= set(counts)]
        alike = [pair for pair in pairs if _same_test(counts[pair[0]], counts[pair[1]])]
        if len(alike) < len(pairs):
            odd = listed([f"{a} and {b}" for a, b in pairs if (a, b) not in alike])
            notes.append(f"Not compared on {corpus}, since scored on different sentences: {odd}.")
        found = [significance.permutation_test(counts[a], counts[b]) for a, b in alike]
        corrected = significance.holm(np.array([test.p for test in found]))
        for (a, b), test, p in zip(alike, found, corrected, strict=True):
            first, second = (a, b) if test.difference >= 0 else (b, a)
            tests.append(Within(corpus, first, second, len(counts[a]), abs(test.difference), float(p)))
        if done:
            done(corpus)
    return tests, notes


def _same_test(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and np.array_equal(first[:, 2], second[:, 2])


def numbers(comparison: Comparison) -> list[str]:
    """The statistics over all models, a line each, with three decimals."""
    lines = []
    if test := comparison.friedman:
        lines.append(
            f"Friedman chi2 = {test.chi2:.3f}, {p_text(test.p)}; Iman-Davenport F = {test.f:.3f}, {p_text(test.f_p)}"
        )
        order = np.argsort(test.mean_ranks, kind="stable")
        lines.append("Mean ranks: " + ", ".join(f"{comparison.labels[m]} {test.mean_ranks[m]:.3f}" for m in order))
    if comparison.critical_difference is not None:
        lines.append(f"Nemenyi's critical difference at {comparison.alpha:g}: {comparison.critical_difference:.3f}")
    return lines


def pair_cells(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """The pairs as a table: its head, and a line for each pair, with three decimals."""
    posthoc = [POSTHOCS[comparison.method][0]] if comparison.friedman else []
    lines = []
    for pair in comparison.pairs:
        cells = [f"{pair.better} > {pair.other}", f"{pair.wins}:{pair.losses}"]
        cells += [] if pair.posthoc is None else [f"{pair.posthoc:.3f}"]
        median, low, high = pair.difference
        lines.append(
            [*cells, f"{pair.wilcoxon:.3f}", f"{pair.effect:+.3f}", f"{median:+.3f}", f"{low:+.3f}, {high:+.3f}"]
        )
    return ["better > other", "wins", *posthoc, "Wilcoxon", "effect", "median", "95 % interval"], lines


PAIRS_CAPTION = (
    "Wilcoxon: exact, Holm-corrected. Effect: paired rank-biserial. Median: of the differences of F1, bootstrap."
)


def terminal(comparison: Comparison) -> RenderableType:
    """The tests over corpora for a terminal, with three decimals."""
    parts: list[RenderableType] = []
    if comparison.pairs:
        parts.append(Text(f"Tests over {len(comparison.corpora)} corpora", "bold"))
        parts += map(Text, numbers(comparison))
        grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
        head, lines = pair_cells(comparison)
        for k, column in enumerate(head):
            grid.add_column(column, justify="right" if k else "left")
        for pair, cells in zip(comparison.pairs, lines, strict=True):
            grid.add_row(*map(Text, cells), style="bold" if comparison.differ(pair) else "")
        parts += ["", grid, Text(PAIRS_CAPTION + "\n", "dim")]
    parts += [Text(sentence) for sentence in (*comparison.sentences, *comparison.limits)]
    return Group(*parts)
