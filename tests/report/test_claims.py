"""The paper's claims under three tests: recomputed with the libraries alone."""

import io
from itertools import combinations

import numpy as np
import scikit_posthocs
from rich.console import Console
from statsmodels.stats.multitest import multipletests

from kd_jax.evaluation import significance
from kd_jax.report import claims
from kd_jax.report import published as paper


def test_verdicts_equal_the_libraries():
    found = claims.verdicts()
    assert [verdict.claim for verdict in found] == list(paper.claims())
    for number, table in paper.tables().items():
        nemenyi = scikit_posthocs.posthoc_nemenyi_friedman(table.f1).to_numpy()
        conover = scikit_posthocs.posthoc_conover_friedman(table.f1).to_numpy()
        pairs = list(combinations(range(len(table.labels)), 2))
        single = [significance.signed_ranks(table.f1[:, i] - table.f1[:, j]).p for i, j in pairs]
        wilcoxon = multipletests(single, method="holm")[1]
        for verdict in (v for v in found if v.claim.table == number):
            a, b = sorted(table.labels.index(label) for label in (verdict.claim.first, verdict.claim.second))
            np.testing.assert_allclose(
                verdict.p, (wilcoxon[pairs.index((a, b))], nemenyi[a, b], conover[a, b]), rtol=1e-6
            )
            assert verdict.agrees == tuple((p < 0.05) == verdict.claim.significant for p in verdict.p)


def test_totals_count_the_verdicts():
    found = claims.verdicts()
    assert claims.totals(found) == (
        "Of 49 claims, the tests agree: Holm-Wilcoxon with 33, Nemenyi with 33, Conover with 37; "
        "all three with 29, none of them with 8."
    )
    strict = claims.verdicts(alpha=1e-9)
    assert [sum(v.agrees[k] for v in strict) for k in range(3)] == [sum(not c.significant for c in paper.claims())] * 3


def test_the_terminal_shows_all_of_them():
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(claims.terminal(claims.verdicts(), 0.05))
    text = console.file.getvalue()
    lines = [line for line in text.splitlines() if line[:2].strip().isdigit()]
    assert len(lines) == 49
    assert sum(line.count("NO") for line in lines) == 3 * 49 - 33 - 37 - 33
