"""What a report says in words: what a table means, and what the tests within corpora found."""

from collections.abc import Sequence

from kd_jax.evaluation.significance import MARGIN, verdict
from kd_jax.report.comparison import Comparison, Within, limits_text, p_text
from kd_jax.report.drawing import model_of
from kd_jax.report.score_matrix import ScoreMatrix, listed
from kd_jax.report.score_plots import baselines

NOTHING = 5.0
"""F1 in percent below which a model finds next to nothing."""

GLOSSARY = (
    "STM: a single-task model, trained on one corpus alone. MTM: the multi-task model, the teacher, trained on all "
    "corpora together. SM: a student, an STM that also learns from the teacher; a is the weight of its gold labels. "
    "F1: harmonic mean of entity precision and recall, in percent."
)


def meaning(matrix: ScoreMatrix, comparison: Comparison, within: Sequence[Within]) -> str:
    """What a table means, in a sentence: the best model, what it gains, and whether a test tells that from chance.

    Args:
        matrix: the scores.
        comparison: its tests over corpora.
        within: its tests within corpora.
    """
    corpora = matrix.common or matrix.corpora[:1]
    averages = {
        label: sum(matrix.mean(corpus, label) for corpus in corpora) / len(corpora)
        for label in matrix.labels
        if all((corpus, label) in matrix.scores for corpus in corpora)
    }
    if len(averages) < 2:
        return "".join(f"{label}: F1 {mean:.1f} on {corpora[0]}." for label, mean in averages.items())
    best, *others = sorted(averages, key=lambda label: -averages[label])
    single = baselines(matrix).get(best) or next((label for label in others if label.startswith("STM")), others[0])
    in_question = [other for pair in comparison.pairs if best in pair[:2] for other in pair[:2] if other in others]
    # Where only some pairs were tested, the sentence is about one of these: that with the single-task model, if any.
    known = [label for label in (single, *in_question) if label in (in_question or others)]
    base = known[0] if known else others[0]
    where = f"on the average of {len(corpora)} corpora" if len(corpora) > 1 else f"on {corpora[0]}"
    gain = averages[best] - averages[base]
    summary = f"{best} has the highest F1, {averages[best]:.1f} {where}, {gain:.1f} above {base}"
    return f"{summary}; {_tested(best, base, comparison, within)}."


def _tested(first: str, second: str, comparison: Comparison, within: Sequence[Within]) -> str:
    """Whether two models can be told apart, as part of a sentence."""
    over = [pair for pair in comparison.pairs if {pair.first, pair.second} == {first, second}]
    for pair in over:
        if comparison.differ(pair):
            beats = "" if pair.first == first else f" in favour of {pair.first}"
            return f"over corpora the two differ significantly{beats} (Holm-Wilcoxon {p_text(pair.wilcoxon)})"
    tests = [test for test in within if {test.first, test.second} == {first, second}]
    better = [t.corpus for t in tests if t.first == first and t.p < comparison.alpha]
    worse = [t.corpus for t in tests if t.first != first and t.p < comparison.alpha]
    if not tests:
        return "over corpora that is undecided" if over else "nothing tests whether that is more than chance"
    parts = [f"it is significantly {how} on {listed(on)}" for how, on in (("better", better), ("worse", worse)) if on]
    open_ones = len(tests) - len(better) - len(worse)
    if not parts:
        return "no test tells the two apart" if len(tests) > 1 else f"on {tests[0].corpus} that is undecided"
    if open_ones:
        parts.append(f"{open_ones} {'corpus is' if open_ones == 1 else 'corpora are'} undecided")
    return listed(parts)


def meaning_of_runs(
    matrix: ScoreMatrix, among: Sequence[tuple[str, str]], comparison: Comparison, within: Sequence[Within]
) -> str:
    """What a comparison of two runs means: how many models gained, how much, and what the tests make of it.

    Args:
        matrix: the scores of both.
        among: pairs of labels, the first run's before the second's.
        comparison: tests over corpora between them.
        within: tests within corpora between them.
    """
    gained = {
        second: sum(matrix.mean(c, second) - matrix.mean(c, first) for c in matrix.common) / max(1, len(matrix.common))
        for first, second in among
    }
    if not matrix.common:
        return "No corpus was run in both for every model."
    different = {frozenset((p.first, p.second)) for p in comparison.pairs if comparison.differ(p)}
    different |= {frozenset((t.first, t.second)) for t in within if t.p < comparison.alpha}
    apart = [model_of(second) for first, second in among if frozenset((first, second)) in different]
    each = ", ".join(f"{model_of(label)} {gain:+.1f}" for label, gain in gained.items()).replace("-", "−")
    where = f"the average of {len(matrix.common)} corpora" if len(matrix.common) > 1 else matrix.common[0]
    tests = f"tests tell the runs apart for {listed(apart)}" if apart else "no test tells the two runs apart"
    return f"F1 of the second run less the first's, {where}: {each}; {tests}."


def cautions(matrix: ScoreMatrix) -> list[str]:
    """What to know before one reads a table: models that found next to nothing, and students with common teachers."""
    lines = []
    for label in matrix.labels:
        nothing = [c for c in matrix.corpora if (c, label) in matrix.scores and matrix.mean(c, label) < NOTHING]
        if nothing:
            lines.append(f"{label} finds next to nothing on {listed(nothing)}.")
    shared = {model_of(m): None for (_, m), rows in matrix.rows.items() if any(r.teachers == "shared" for r in rows)}
    several = max((len(seeds) for seeds in matrix.scores.values()), default=0) > 1
    if shared and several:
        lines.append(
            f"{listed(list(shared))}: teachers shared by all seeds, so that ± lacks what other teachers would change."
        )
    return lines


def within_sentences(tests: Sequence[Within], alpha: float) -> list[str]:
    """What the tests within corpora say, a sentence for each pair of models that differ somewhere, or surely don't."""
    won: dict[tuple[str, str], list[str]] = {}
    alike: dict[tuple[str, ...], list[str]] = {}
    for test in tests:
        outcome = verdict(test.p, *test.difference[1:], alpha)
        if outcome == "different":
            won.setdefault((test.first, test.second), []).append(
                f"{test.corpus} ({test.difference.estimate:+.1f}, {limits_text(test.difference)}, {p_text(test.p)})"
            )
        elif outcome == "no difference":
            alike.setdefault(tuple(sorted((test.first, test.second))), []).append(test.corpus)
    lines = [f"{first} beats {second} on {listed(corpora)}." for (first, second), corpora in won.items()]
    lines += [
        f"No difference between {listed(pair)} on {listed(corpora)} (limits within {MARGIN:g})."
        for pair, corpora in alike.items()
    ]
    corpora = len({test.corpus for test in tests})
    if tests and not won:
        within = f" within any of the {corpora} corpora" if corpora > 1 else ""
        lines.append(f"No two models can be told apart{within}.")
    return lines
