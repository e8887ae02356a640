"""The paper's claims on significance under three tests over its own tables."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kd_jax.evaluation import significance
from kd_jax.report import published as paper

# The paper does not name its post hoc test, so its claims are held against three.
TESTS = ("Holm-Wilcoxon", "Nemenyi", "Conover")


class Verdict(NamedTuple):
    """A claim, the p-value of each of `TESTS`, and whether each agrees with it."""

    claim: paper.Claim
    p: tuple[float, ...]
    agrees: tuple[bool, ...]


def verdicts(alpha: float = 0.05) -> list[Verdict]:
    """All claims of the paper, tested on the table that each is about.

    Args:
        alpha: level of the tests.

    Returns:
        A verdict a claim: a test agrees that two models differ significantly where its p is below alpha. Conover's
        p-values are unadjusted; Wilcoxon's are Holm-corrected over all pairs of the table.
    """
    judged = []
    tested: dict[int, tuple[np.ndarray, ...]] = {}
    for claim in paper.claims():
        table = paper.tables()[claim.table]
        if claim.table not in tested:
            pairs = list(combinations(range(len(table.labels)), 2))
            single = np.array([significance.signed_ranks(table.f1[:, a] - table.f1[:, b]).p for a, b in pairs])
            wilcoxon = np.ones((len(table.labels),) * 2)
            for (a, b), p in zip(pairs, significance.holm(single), strict=True):
                wilcoxon[a, b] = wilcoxon[b, a] = p
            posthocs = (significance.posthoc(table.f1, method) for method in ("nemenyi", "conover"))
            tested[claim.table] = (wilcoxon, *posthocs)
        pair = table.labels.index(claim.first), table.labels.index(claim.second)
        p = tuple(float(of_test[pair]) for of_test in tested[claim.table])
        judged.append(Verdict(claim, p, tuple((x < alpha) == claim.significant for x in p)))
    return judged


def cells(verdict: Verdict) -> list[str]:
    """A verdict as texts: table, models, what the paper says, each test's p-value and whether it agrees."""
    claim = verdict.claim
    answer = ("yes" if claim.significant else "no") + (", implied" if claim.basis == "implied" else "")
    judged = (f"{p:.3f} {'yes' if agrees else 'NO'}" for p, agrees in zip(verdict.p, verdict.agrees, strict=True))
    return [str(claim.table), f"{claim.first}, {claim.second}", answer, *judged]


HEAD = ("table", "models", "significant", *TESTS)


def totals(judged: Sequence[Verdict]) -> str:
    """How often each test agrees, in words."""
    counts = (f"{test} with {sum(v.agrees[k] for v in judged)}" for k, test in enumerate(TESTS))
    together = sum(all(v.agrees) for v in judged)
    against = sum(not any(v.agrees) for v in judged)
    return (
        f"Of {len(judged)} claims, the tests agree: {', '.join(counts)}; all three with {together}, none of them with "
        f"{against}."
    )


def terminal(judged: Sequence[Verdict], alpha: float) -> RenderableType:
    """The claims for a terminal."""
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1))
    for column in HEAD:
        grid.add_column(column)
    for verdict in judged:
        grid.add_row(*map(Text, cells(verdict)), style="" if all(verdict.agrees) else "bold")
    title = Text(f"The paper's claims on significance, tested on its own tables at {alpha:g}", "bold")
    return Group(title, "", grid, "", Text(totals(judged)), Text(NOTE, "dim"))


NOTE = (
    "Whether the paper calls the difference significant; then each test's p, and whether it agrees. Conover is "
    "unadjusted; Wilcoxon is exact and Holm-corrected."
)
