"""The published figures: complete, and consistent with what the paper prints of them."""

import numpy as np
import pytest

from kd_jax.experiment import experiments, load_experiment
from kd_jax.report import published as paper


def test_experiments_that_repeat_a_table_are_numbered_as_the_files_say():
    found = {name: load_experiment(name).table for name in experiments()}
    assert found["logits"] == 1
    assert {name: paper.NUMBERS.get(name) for name in found} == found


def test_all_528_figures_of_seven_tables_over_fifteen_corpora():
    tables = paper.tables()
    assert list(tables) == [1, 2, 3, 4, 5, 6, 7] == list(paper.TITLES)
    assert sum(t.f1.size + t.printed_average.size for t in tables.values()) == 528
    for table in tables.values():
        assert len(table.corpora) == 15
        assert table.f1.shape == (15, len(table.labels))
        assert 65 < table.f1.min() < table.f1.max() < 95


def test_printed_averages_are_the_averages_of_the_rows():
    for table in paper.tables().values():
        np.testing.assert_allclose(
            table.f1.mean(0), table.printed_average, atol=0.054
        )  # one of them, 83.953, is printed as 83.9


def test_the_49_claims_speak_of_models_of_their_table():
    claims = paper.claims()
    assert len(claims) == 49
    for claim in claims:
        assert {claim.first, claim.second} <= set(paper.tables()[claim.table].labels)
    assert len({(c.table, frozenset((c.first, c.second))) for c in claims}) == 49
    assert {c.basis for c in claims} == {"stated", "implied"}


@pytest.mark.parametrize(("table", "size"), [(1, 75), (3, 90), (4, 60), (None, 60)])
def test_figures_of_a_table_or_of_the_baselines(table, size):
    figures = paper.figures(table)
    assert len(figures) == size
    assert figures["NCBI", "STM"] == 84.3


def test_figures_that_were_looked_up_by_hand():
    assert paper.figures(1)["ExPTM", "SM a=0.5"] == 76.5
    assert paper.figures(None)["AnatEM", "STM-CRF"] == 86.8
    assert paper.figures(None)["AnatEM", "MTM-CRF"] == 87.7
    assert ("AnatEM", "SM a=0") not in paper.figures(None)
