"""Pictures of training and tuning: what was recorded is what is drawn, damaged lines are named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_results import made_rows
from helpers.pictures import assert_legible

from kd_jax.errors import InputError
from kd_jax.report.curves import (
    Point,
    lanes_of,
    learning_curves,
    read_metrics,
    said_of_lines,
    temperatures,
    temperatures_vary,
    tuned,
    weight_grid,
    weights_vary,
)

LINE = {"experiment": "logits", "stage": "STM", "corpus": "NCBI", "cell": "STM on NCBI", "label": "STM", "seed": 1,
        "epoch": 1, "step": 10, "loss": 0.5, "lane_tokens_per_s": 5000, "devel_f1": None}  # fmt: skip


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def made_points(corpora=("NCBI", "CRAFT"), labels=("STM", "SM a=0"), seeds=(1, 2, 3), epochs=10):
    draw = np.random.default_rng(0)
    return [
        Point("logits", corpus, "cell", label, seed, e, float(np.exp(-e / 4) + draw.uniform(0, 0.02)), 70 + e)
        for corpus in corpora for label in labels for seed in seeds for e in range(1, epochs + 1)
    ]  # fmt: skip


def test_metrics_are_read_and_a_cut_last_line_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_metrics(path) == []
    write(path, LINE, {"event": "other"}, LINE | {"epoch": 2, "devel_f1": 70.5, "loss": None})
    with path.open("a") as file:
        file.write('{"experiment": "lo')
    first, second = read_metrics(path)
    assert first == Point("logits", "NCBI", "STM on NCBI", "STM", 1, 1, 0.5, None)
    assert (second.epoch, second.devel_f1) == (2, 70.5)
    assert np.isnan(second.loss)


@pytest.mark.parametrize(
    "damaged",
    [
        "x",
        '{"corpus": }',
        "[1]",
        "[" * 100_000,
        *(f'{{"corpus": "a", "label": "b", "epoch": {e}, "loss": 1}}' for e in ('"x"', "1e999")),
    ],
)
def test_a_damaged_line_is_named(tmp_path, damaged):
    path = tmp_path / "metrics.jsonl"
    path.write_text(json.dumps(LINE) + "\n" + damaged + "\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl:2: not a JSON object"):
        read_metrics(path)


def test_the_thick_line_is_the_mean_and_every_lane_is_drawn():
    points = made_points(corpora=("NCBI",), labels=("STM",))
    axes = learning_curves(lanes_of(points, "loss"), "loss").axes[0]
    thick = [line for line in axes.lines if line.get_linewidth() > 1]
    assert (len(axes.lines), len(thick)) == (4, 1)
    for epoch, value in zip(thick[0].get_xdata(), thick[0].get_ydata(), strict=True):
        assert value == pytest.approx(np.mean([p.loss for p in points if p.epoch == epoch]))


def test_a_lane_that_was_trained_again_leaves_no_tail_and_a_lost_lane_ends():
    points = made_points(corpora=("NCBI",), labels=("STM",), seeds=(1,), epochs=3)
    again = [*points, points[1]._replace(loss=9.0), points[2]._replace(loss=float("nan"))]
    (line,) = learning_curves(lanes_of(again, "loss"), "loss").axes[0].lines
    assert list(line.get_ydata()) == [points[0].loss, 9.0]


def test_nothing_recorded_draws_nothing():
    assert lanes_of([], "loss") == {}
    assert lanes_of([p._replace(devel_f1=None) for p in made_points()], "devel_f1") == {}
    assert lanes_of(made_points(epochs=1), "loss") == {}


def test_lines_are_called_seeds_only_where_they_are():
    assert said_of_lines(lanes_of(made_points(), "loss")) == "thin lines are seeds, thick ones their means"
    assert said_of_lines(lanes_of(made_points(seeds=(1,)), "loss")) == "one seed"


@pytest.mark.parametrize("quantity", ["devel_f1", "loss"])
def test_a_failing_model_does_not_stretch_the_curves(quantity):
    failed = {"devel_f1": {"devel_f1": 0.5}, "loss": {"loss": 1e6}}[quantity]
    points = [p._replace(**failed) if p.label == "SM a=0" else p for p in made_points(labels=("STM", "MTM", "SM a=0"))]
    for axes in learning_curves(lanes_of(points, quantity), quantity).axes:
        low, high = axes.get_ylim()
        assert low > 60 if quantity == "devel_f1" else high < 10


@pytest.mark.parametrize("corpora", [("NCBI",), ("NCBI", "CRAFT", "ExPTM", "NCBI+CRAFT+ExPTM")])
@pytest.mark.parametrize(
    "labels", [("STM", "MTM", "SM a=0"), tuple(f"SM task+shared, transfer {k}" for k in range(10))]
)
def test_curves_are_legible(corpora, labels):
    figure = learning_curves(lanes_of(made_points(corpora, labels), "devel_f1"), "devel_f1")
    assert_legible(figure)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(labels)


def made_grid(corpora=("ExPTM", "a-corpus-with-a-long-name"), alphas=(1.0,), kappas=(0.0, 0.5, 1.0)):
    draw, base = np.random.default_rng(1), made_rows(1)[0]
    grid = (0.0, 0.5, 1.0)
    return [
        replace(base, corpus=c, label="SM task+shared", model="SM", alpha=a, beta=b, gamma=g, kappa=k, split="devel",
                f1=70 + draw.normal())
        for c in corpora for a in alphas for k in kappas for b in grid for g in grid
    ]  # fmt: skip


def test_the_best_weights_of_each_corpus_are_framed():
    rows = made_grid()
    figure = weight_grid(rows)
    assert len(figure.axes) == 6
    for line, corpus in zip((figure.axes[:3], figure.axes[3:]), ("ExPTM", "a-corpus-with-a-long-name"), strict=True):
        best = max((row for row in rows if row.corpus == corpus), key=lambda row: row.f1)
        ((axes, frame),) = [(axes, patch) for axes in line for patch in axes.patches]
        assert axes.get_title(loc="left").endswith(f"α 1, κ {best.kappa:g}")
        assert (frame.get_x(), frame.get_y()) == (2 * best.beta, 2 * best.gamma)
        shown = {t.get_position(): t.get_text() for axes in line for t in axes.texts}
        assert len(shown) == 9
        assert {t.get_text() for axes in line for t in axes.texts} == {
            f"{row.f1:.1f}" for row in rows if row.corpus == corpus
        }
    assert_legible(figure)
    assert_legible(weight_grid([r for r in made_grid(("NCBI",), (0.0, 0.5, 1.0), (0.0,)) if r.alpha + r.beta > 0]))


def test_the_best_temperature_is_ringed():
    base = made_rows(7)[0]
    rows = [replace(base, corpus=c, label="SM soft", tau=t, seed=s, split="devel", f1=70 + t * sign + s / 10)
            for c, sign in (("NCBI", 1), ("CRAFT", -1)) for t in (1, 2, 3, 5, 10) for s in (1, 2)]  # fmt: skip
    figure = temperatures(rows)
    rings = [line.get_xdata()[0] for axes in figure.axes for line in axes.lines if line.get_markersize() == 11]
    assert rings == [4, 0]
    assert_legible(figure)
    assert temperatures_vary(rows)
    assert not weights_vary(rows)
    assert weights_vary(made_grid())
    assert not temperatures_vary(made_grid())


def test_only_students_scored_on_devel_with_several_weights_are_tuned():
    grid = [replace(row, label=f"SM beta={row.beta} gamma={row.gamma} kappa={row.kappa}") for row in made_grid()]
    scored = [replace(row, split="test") for row in grid]
    single = [replace(grid[0], model="STM"), replace(grid[0], head="crf")]
    lost = [replace(grid[0], f1=None)]
    assert tuned([*grid, *scored, *single, *lost]) == {"softmax": grid}
    hard = [replace(row, label=f"hard: {row.label}") for row in grid]
    assert tuned([*grid, *hard]) == {"softmax": grid, "softmax, hard": hard}
    assert not weights_vary([row for row in grid if (row.gamma, row.kappa) == (0, 0)])
