"""Pictures of grids: every point is where its values are, whatever the order of the columns."""

from dataclasses import replace

from helpers.made_results import made_rows
from helpers.pictures import assert_legible

from kd_jax.report.grid_plots import grid_figure, grid_of
from kd_jax.report.score_matrix import score_matrices


def matrix(labels, corpora=("NCBI", "CRAFT"), experiment="logits-grid"):
    some = [row for row in made_rows(1, corpora) if row.label == "STM"]
    rows = list(some)
    for k, label in enumerate(labels):
        rows += [replace(row, label=label, model="SM", f1=40.0 + k, beta=1.0) for row in some]
    return score_matrices([replace(row, experiment=experiment) for row in rows])[0]


TWO = [f"SM alpha={a} learning_rate={r}" for r in ("0.01", "1e-05") for a in ("1", "0", "0.5")]


def test_axes_and_places_are_read_from_labels():
    names, points = grid_of(matrix(TWO))
    assert names == ("alpha", "learning_rate")
    assert points["SM alpha=0.5 learning_rate=1e-05"] == (0.5, 1e-05)
    assert "STM" not in points
    assert grid_of(matrix(TWO, experiment="mine"))[1] == {}


def test_a_heat_map_has_every_mean_where_its_values_are():
    figure = grid_figure(matrix(TWO))
    axes = figure.axes[0]
    across = [text.get_text() for text in axes.get_xticklabels()]
    down = [text.get_text() for text in axes.get_yticklabels()]
    shown = {(down[int(t.get_position()[1])], across[int(t.get_position()[0])]): t.get_text() for t in axes.texts}
    assert shown == {
        tuple(part.split("=")[1] for part in label.split()[1:]): f"{40.0 + k:.1f}" for k, label in enumerate(TWO)
    }
    assert_legible(figure)


def test_a_line_rises_with_its_axis():
    labels = ["SM tau=3", "SM tau=1", "SM tau=10"]
    figure = grid_figure(matrix(labels))
    (line,) = (line for line in figure.axes[0].lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 3
               and line.get_marker() == "None")  # fmt: skip
    assert list(line.get_xdata()) == [0, 1, 2]
    assert list(line.get_ydata()) == [41.0, 40.0, 42.0]
    assert_legible(figure)


def test_kinds_of_students_are_a_line_each():
    labels = [f"{kind} text={n}" for kind in ("SM", "self-training") for n in (500, 0)]
    figure = grid_figure(matrix(labels))
    lines = {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].lines if line.get_linestyle() == "-"
             and not line.get_label().startswith("_")}  # fmt: skip
    assert lines == {"SM": [41.0, 40.0], "self-training": [43.0, 42.0]}
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"SM", "self-training"}
    assert_legible(figure)


def test_kinds_of_students_are_a_heat_map_each():
    labels = [f"{kind} alpha={a} tau=1" for kind in ("one", "two") for a in (0, 1)]
    figure = grid_figure(matrix(labels, corpora=("NCBI",)))
    assert [axes.get_title(loc=at) for axes in figure.axes for at in ("left", "center") if axes.get_title(loc=at)] == [
        "NCBI, one", "NCBI, two",
    ]  # fmt: skip
    assert [[t.get_text() for t in axes.texts] for axes in figure.axes] == [["40.0", "41.0"], ["42.0", "43.0"]]
    assert_legible(figure)
