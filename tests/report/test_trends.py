"""What gains go with."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from kd_jax.report import drawing
from kd_jax.report import published as paper
from kd_jax.report.score_matrix import published
from kd_jax.report.score_plots import Gains, baselines
from kd_jax.report.trend_plots import Quantity, quantities, trend

MATRIX = published(1)
GAINED = Gains.of(MATRIX, baselines(MATRIX))


def drawn(quantity, label):
    figure = trend(GAINED, quantity, [label], drawing.look(MATRIX.labels))
    (axes,) = figure.axes
    points = {tuple(np.round(xy, 9)) for line in axes.lines[1:] for xy in zip(*line.get_data(), strict=True)}
    return axes, points


def test_teachers_gain_is_that_of_the_table():
    tokens, gain = quantities(MATRIX, dict.fromkeys(MATRIX.corpora, 1000))
    assert (tokens.log, gain.log) == (True, False)
    figures = paper.figures(1)
    assert gain.name == "MTM − STM (F1)"
    for corpus, value in gain.values.items():
        assert value == pytest.approx(figures[corpus, "MTM"] - figures[corpus, "STM"])


@pytest.mark.parametrize("log", [False, True])
def test_points_are_gains_and_the_correlation_is_spearmans(log):
    sizes = Quantity("size", {corpus: 10.0 ** (k % 7) for k, corpus in enumerate(MATRIX.corpora)}, log)
    axes, points = drawn(sizes, "SM a=0.5")
    gains = [gain.estimate for gain in GAINED.gained["SM a=0.5"]]
    x = [sizes.values[corpus] for corpus in MATRIX.corpora]
    assert points == {tuple(np.round(xy, 9)) for xy in zip(x, gains, strict=True)}
    rho, _ = spearmanr(x, gains)
    assert axes.get_xlabel().startswith(f"Spearman's ρ = {rho:.2f}, p = ")
    assert axes.get_xscale() == ("log" if log else "linear")
    by_gain = sorted(zip(gains, MATRIX.corpora, strict=True))
    assert {text.get_text() for text in axes.texts} == {corpus for _, corpus in (*by_gain[:2], *by_gain[-2:])}


def test_a_quantity_that_few_corpora_have_or_that_does_not_vary_has_no_correlation():
    some = dict.fromkeys(MATRIX.corpora[:4], 10)
    assert [q.name for q in quantities(MATRIX, some)] == ["MTM − STM (F1)"]
    axes, points = drawn(Quantity("size", dict.fromkeys(MATRIX.corpora, 10.0), log=True), "SM a=0")
    assert len({x for x, _ in points}) == 1
    assert axes.get_xlabel() == ""
