"""What gains go with."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from kd_jax.report import build, drawing
from kd_jax.report import published as paper
from kd_jax.report.score_matrix import published
from kd_jax.report.score_plots import Gains, baselines
from kd_jax.report.trend_plots import Quantity, Traits, quantities, trend

MATRIX = published(1)
GAINED = Gains.of(MATRIX, baselines(MATRIX))


def drawn(quantity, label):
    figure = trend(GAINED, quantity, [label], drawing.look(MATRIX.labels))
    (axes,) = figure.axes
    points = {tuple(np.round(xy, 9)) for line in axes.lines[1:] for xy in zip(*line.get_data(), strict=True)}
    return axes, points


def test_teachers_gain_is_that_of_the_table():
    tokens, unseen, gain = quantities(MATRIX, dict.fromkeys(MATRIX.corpora, Traits(1000, 0.04)))
    assert (tokens.log, unseen.log, gain.log) == (True, False, False)
    assert (set(tokens.values.values()), set(unseen.values.values())) == ({1000}, {4.0})
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
    some = dict.fromkeys(MATRIX.corpora[:4], Traits(10, 0.1))
    assert [q.name for q in quantities(MATRIX, some)] == ["MTM − STM (F1)"]
    axes, points = drawn(Quantity("size", dict.fromkeys(MATRIX.corpora, 10.0), log=True), "SM a=0")
    assert len({x for x, _ in points}) == 1
    assert axes.get_xlabel() == ""


def test_traits_are_those_of_the_protocols_splits(tmp_path):
    about = {"hash": "x", "tokens": {"train": 100, "devel": 20, "test": 50}, "unseen": 0.03}
    odd = {"old": "a hash with tokens", "older": {"tokens": 5}, "oldest": {"tokens": {"train": "many"}}}
    (tmp_path / "settings.json").write_text(json.dumps({"corpora": {"A": about, **odd}}))
    assert build._traits(tmp_path, "train+devel") == {"A": Traits(120, 0.03)}
    assert build._traits(tmp_path, "train") == {"A": Traits(100, 0.03)}
    assert build._traits(tmp_path, "train+clean") == {}
    assert build._traits(tmp_path / "nowhere", "train") == {}
