"""The models of a score matrix compared: over corpora, and within each corpus; in numbers and in words."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from kd_jax.evaluation.significance import MARGIN, POSTHOCS, Friedman, Interval
from kd_jax.report.score_matrix import ScoreMatrix, listed


class Pair(NamedTuple):
    """Two models over corpora.

    Attributes:
        first: label of the one that Wilcoxon's ranks favour; if neither, of the one with the better mean rank.
        second: label of the other.
        wins: corpora on which the first has the higher mean F1.
        losses: corpora on which it has the lower.
        ranks: both mean ranks.
        wilcoxon: exact p-value of Wilcoxon's signed-rank test, Holm-corrected over all pairs.
        posthoc: p-value of the post hoc test; None where there are only two models.
        effect: paired rank-biserial correlation, first minus second.
        difference: Hodges-Lehmann estimate of the difference of F1 in percentage points, with 95 % limits.
    """

    first: str
    second: str
    wins: int
    losses: int
    ranks: tuple[float, float]
    wilcoxon: float
    posthoc: float | None
    effect: float
    difference: Interval


@dataclass(frozen=True)
class Comparison:
    """Tests over corpora between the models of a score matrix.

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
        lines = []
        differing = [pair for pair in self.pairs if self.differ(pair)]
        for pair in sorted(differing, key=lambda pair: pair.wilcoxon):
            tied = len(self.corpora) - pair.wins - pair.losses
            lines.append(
                f"{pair.first} beats {pair.second} on {pair.wins} of {len(self.corpora)} corpora"
                + (f" ({tied} tied)" if tied else "")
                + f", by {pair.difference.estimate:+.1f} F1 ({limits_text(pair.difference)}), mean rank "
                f"{pair.ranks[0]:.1f} against {pair.ranks[1]:.1f}: Holm-Wilcoxon {p_text(pair.wilcoxon)}"
                + ("" if pair.posthoc is None else f", {POSTHOCS[self.method][0]} {p_text(pair.posthoc)}")
                + "."
            )
        lines += [
            f"No difference between {pair.first} and {pair.second}: {limits_text(pair.difference)}, within {MARGIN:g}."
            for pair in self.pairs
            if self.verdict(pair) == "no difference"
        ]
        undecided = sum(self.verdict(pair) == "undecided" for pair in self.pairs)
        if not differing:
            lines.append(f"Wilcoxon tells no two models apart at {self.alpha:g}.")
        elif undecided:
            lines.append(f"Of {len(self.pairs)} pairs, {undecided} are undecided.")
        return lines

    def differ(self, pair: Pair) -> bool:
        """Whether Wilcoxon's test tells a pair apart; the post hoc one hangs on the other models and has no say."""
        return self.verdict(pair) == "different"

    def verdict(self, pair: Pair) -> str:
        """What may be said of a pair, as `significance.verdict` has it."""
        return significance.verdict(pair.wilcoxon, *pair.difference[1:], self.alpha)


class Within(NamedTuple):
    """Test over seeds and sentences of one corpus between two models (`significance.compare_runs`).

    Attributes:
        corpus: its name.
        first: label of the model with the higher F1.
        second: label of the other.
        sentences: sentences of the test split, N.
        difference: F1 of the first minus F1 of the second in percentage points, with 95 % limits.
        p: two-sided p-value, Holm-corrected over the pairs of the corpus.
    """

    corpus: str
    first: str
    second: str
    sentences: int
    difference: Interval
    p: float


def p_text(p: float) -> str:
    """A p-value as one prints it."""
    # 0.0005, since three decimals would print anything below as 0.000.
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def limits_text(difference: Interval) -> str:
    """The limits of a difference as one prints them."""
    finite = np.isfinite(difference.low)
    return f"95 % limits {difference.low:+.1f} to {difference.high:+.1f}" if finite else "no finite 95 % limits"


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
    # The best and the worst of M models differ in mean rank by M - 1 at most.
    elif significance.critical_difference(models, corpora, alpha) > models - 1 and method == "nemenyi":
        yield f"{corpora} corpora are too few for Nemenyi: even mean ranks 1 and {models} don't differ at {alpha:g}."
    # Holm multiplies the smallest p by the number of pairs, so this is the least that any pair can get.
    floor = min(1.0, significance.smallest_p(corpora) * pairs)
    if floor >= alpha:
        tests = "Wilcoxon" if pairs == 1 else f"Holm-Wilcoxon over {pairs} pairs"
        yield f"{corpora} corpora are too few for {tests}: p is {floor:.3g} at best, so it can't reach {alpha:g}."


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
    limits = tuple(_limits(len(corpora), len(labels), len(wanted), alpha, method))
    if len(corpora) < 3 or len(labels) < 2:
        return Comparison(labels, corpora, alpha, method, None, None, None, (), limits)
    mean_ranks = significance.ranks(scores).mean(0)
    test = significance.friedman(scores) if len(labels) > 2 else None
    posthoc = significance.posthoc(scores, method) if test else None
    cd = significance.critical_difference(len(labels), len(corpora), alpha) if test and method == "nemenyi" else None
    ordered, differences, tests = [], [], []
    for pair in wanted:
        a, b = sorted(map(labels.index, pair), key=lambda m: mean_ranks[m])
        # Means are rounded already, but 70.3 - 70.1 and 60.3 - 60.1 differ in their last bits, and are tied ranks.
        difference = np.round(scores[:, a] - scores[:, b], 9)
        tested = significance.signed_ranks(difference)
        if tested.effect < 0:  # mean ranks hang on the other models and may point the other way
            a, b, difference, tested = b, a, -difference, tested._replace(effect=-tested.effect)
        ordered.append((a, b))
        differences.append(difference)
        tests.append(tested)
    corrected = significance.holm(np.array([test.p for test in tests]))
    pairs = tuple(
        Pair(
            labels[a],
            labels[b],
            int(np.sum(difference > 0)),
            int(np.sum(difference < 0)),
            (float(mean_ranks[a]), float(mean_ranks[b])),
            float(p),
            None if posthoc is None else float(posthoc[a, b]),
            test.effect,
            significance.hodges_lehmann(difference),
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
    """Tests over seeds and sentences between models, corpus by corpus.

    Args:
        matrix: whose corpora and models.
        load: counts by sentence of a label's row, int32 [N, 3], or None where they are missing.
        among: pairs of labels to test; all of them by default.
        done: is called with each corpus's name once it is done.

    Returns:
        The tests, and notes on models that had to be left out and on pairs that can't be tested.
    """
    tests: list[Within] = []
    notes: list[str] = []
    untested: dict[str, dict[str, None]] = {}
    uncounted: dict[str, list[str]] = {}
    for corpus in matrix.corpora:
        counts: dict[str, np.ndarray] = {}
        for label in matrix.labels:
            loaded = [load(label, row) for row in matrix.rows.get((corpus, label), ())]
            present = [array for array in loaded if array is not None]
            if loaded and len(present) < len(loaded):
                uncounted.setdefault(corpus, []).append(label)
            elif len({array.shape for array in present}) > 1:
                notes.append(f"Seeds of {label} on {corpus} were scored on different sentences: not compared there.")
            elif present:
                counts[label] = np.stack(present)
        pairs = [pair for pair in among or combinations(matrix.labels, 2) if set(pair) <= set(counts)]
        alike = [pair for pair in pairs if _same_test(counts[pair[0]], counts[pair[1]])]
        if len(alike) < len(pairs):
            odd = listed([f"{a} and {b}" for a, b in pairs if (a, b) not in alike])
            notes.append(f"Not compared on {corpus}, since scored on different sentences: {odd}.")
        run_tests = {pair: significance.compare_runs(counts[pair[0]], counts[pair[1]]) for pair in alike}
        for problem in dict.fromkeys(test.problem for test in run_tests.values() if test.problem):
            untested.setdefault(problem, {})[corpus] = None
        tested = {pair: test for pair, test in run_tests.items() if test.p is not None}
        corrected = significance.holm(np.array([test.p for test in tested.values()]))
        for ((a, b), test), p in zip(tested.items(), corrected, strict=True):
            first, second, low, high = (a, b, test.low, test.high)
            if test.difference < 0:
                first, second, low, high = b, a, -test.high, -test.low
            difference = Interval(abs(test.difference), low, high)
            tests.append(Within(corpus, first, second, counts[a].shape[1], difference, float(p)))
        if done:
            done(corpus)
    notes += _said_of_uncounted(uncounted)
    notes += [f"Models not tested on {listed(list(on))}: {problem}." for problem, on in untested.items()]
    return tests, notes


def _said_of_uncounted(labels_of: Mapping[str, Sequence[str]]) -> list[str]:
    """A line for all corpora that lack the same models' counts: rows without their work folder lack all of them."""
    where: dict[tuple[str, ...], list[str]] = {}
    for corpus, labels in labels_of.items():
        where.setdefault(tuple(labels), []).append(corpus)
    return [
        f"No counts by sentence of {listed(labels)} on {listed(corpora)}: not compared within a corpus."
        for labels, corpora in where.items()
    ]


def _same_test(first: np.ndarray, second: np.ndarray) -> bool:
    # Counts are stored without the text: sentences are the same if each has as many gold entities in both.
    return first.shape[1] == second.shape[1] and bool(np.all(first[:1, :, 2] == second[..., 2]))


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
        estimate, low, high = pair.difference
        cells = [f"{pair.first} − {pair.second}", f"{pair.wins}:{pair.losses}", f"{pair.wilcoxon:.3f}"]
        cells += [] if pair.posthoc is None else [f"{pair.posthoc:.3f}"]
        limits = f"{low:+.3f}, {high:+.3f}" if np.isfinite(low) else "–"
        lines.append([*cells, f"{pair.effect:+.3f}", f"{estimate:+.3f}", limits, comparison.verdict(pair)])
    return ["first − second", "wins", "Wilcoxon", *posthoc, "effect", "F1", "95 % limits", "verdict"], lines


PAIRS_CAPTION = (
    "Wilcoxon: exact, Holm-corrected. Effect: paired rank-biserial. F1: Hodges-Lehmann difference, with limits from "
    f"signed ranks. Verdict: different by Wilcoxon; no difference only where the limits lie within {MARGIN:g} F1."
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
