"""Pictures: every label inside the frame, none upon another, whatever the number of models and the length of names."""

import io
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from helpers.made_results import made_rows
from helpers.pictures import assert_legible
from PIL import Image

from kd_jax.evaluation.significance import Interval
from kd_jax.report import drawing, rank_plots, score_plots
from kd_jax.report import published as paper
from kd_jax.report.comparison import compare
from kd_jax.report.curves import Point
from kd_jax.report.pictures import pictures
from kd_jax.report.score_matrix import published, score_matrices
from kd_jax.report.trend_plots import Traits


def made_matrix(models, corpora=4, seeds=3, long_names=False, step=0.35):
    draw, base = np.random.default_rng(models), made_rows(1)[0]
    names = ["STM", "MTM", *(f"SM a={k / 8:g}" for k in range(models - 2))]
    if long_names:
        names = ["STM", "MTM, all fifteen corpora", *(f"SM task+shared, transfer {k}" for k in range(models - 2))]
    rows = []
    for corpus in paper.tables()[1].corpora[:corpora]:
        level = draw.uniform(70, 90)
        for k, label in enumerate(names):
            for seed in range(seeds):
                f1 = level + step * k + draw.normal(0, 0.6)
                name = f"{corpus}-with-a-long-name" if long_names else corpus
                kind = ("STM", "MTM", "SM")[min(k, 2)]
                rows.append(replace(base, corpus=name, label=label, model=kind, seed=seed, f1=f1))
    return score_matrices(rows)[0]


def gains_of(matrix, against, limits=None):
    found = score_plots.Gains.of(matrix, against, limits or {})
    return score_plots.gains(found, list(found.gained))


MANY = [(3, False), (5, False), (10, False), (3, True), (10, True)]


@pytest.mark.parametrize(("models", "long_names"), MANY)
@pytest.mark.parametrize("picture", [rank_plots.rank_diagram, rank_plots.pairwise_matrix])
def test_pictures_of_tests_are_legible(picture, models, long_names):
    assert_legible(picture(compare(made_matrix(models, long_names=long_names))))


@pytest.mark.parametrize(("models", "long_names"), MANY)
def test_pictures_of_scores_are_legible(models, long_names):
    matrix = made_matrix(models, long_names=long_names)
    assert_legible(score_plots.corpus_scores(matrix))
    assert_legible(gains_of(matrix, score_plots.baselines(matrix)))


@pytest.mark.parametrize("number", list(paper.TITLES))
def test_pictures_of_the_published_tables_are_legible(number):
    assert_legible(rank_plots.rank_diagram(compare(published(number))))


def test_a_critical_difference_beyond_the_axis_stays_in_the_frame():
    found = compare(made_matrix(3, corpora=3), alpha=0.001)
    assert found.critical_difference > 2
    assert_legible(rank_plots.rank_diagram(found))


def arrows_of(figure):
    return [a for a in figure.axes[0].texts if getattr(a, "arrow_patch", None) is not None]


@pytest.mark.parametrize(("number", "method"), [(1, "nemenyi"), (2, "nemenyi"), (2, "conover"), (7, "nemenyi")])
def test_an_arrow_stands_for_each_pair_that_differs(number, method):
    found = compare(published(number), method=method)
    figure = rank_plots.rank_diagram(found)
    assert len(arrows_of(figure)) == sum(pair.posthoc < 0.05 for pair in found.pairs)
    assert all(arrow.xy[0] > arrow.xyann[0] for arrow in arrows_of(figure))
    said = [text.get_text() for text in figure.axes[0].texts]
    assert ("no two models apart" in said) == (number == 7)
    assert any("critical difference" in text for text in said) == (method == "nemenyi")


def test_the_matrix_shows_the_p_values_in_the_order_of_ranks():
    found = compare(published(4))
    axes = rank_plots.pairwise_matrix(found).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["SM task", "SM task+shared", "MTM", "STM"]
    shown = {(t.get_position()[1] - 0.5, t.get_position()[0] - 0.5): t.get_text() for t in axes.texts}
    assert len(shown) == 12
    assert shown[0, 3] == shown[3, 0] == "<.001"
    assert shown[1, 3] == ".013"
    assert axes.yaxis_inverted()


def test_every_seed_is_a_point_and_the_bar_is_their_mean():
    matrix = made_matrix(3, corpora=2, seeds=4)
    for axes, corpus in zip(score_plots.corpus_scores(matrix).axes, matrix.corpora, strict=True):
        points = [line for line in axes.lines if line.get_marker() not in {"None", None, ""}]
        bars = [line for line in axes.lines if line not in points]
        assert sorted(x for line in points for x in line.get_xdata()) == pytest.approx(
            sorted(f1 for label in matrix.labels for f1 in matrix.scores[corpus, label].values())
        )
        assert [bar.get_xdata()[0] for bar in bars] == pytest.approx([matrix.mean(corpus, m) for m in matrix.labels])


def test_students_stand_against_the_single_task_model_of_their_head():
    rows = made_rows(1, ["NCBI"]) + [replace(r, experiment="logits") for r in made_rows(5, ["NCBI"])]
    (matrix,) = score_matrices(rows)
    against = score_plots.baselines(matrix)
    assert against == {label: "STM-CRF" if "CRF" in label else "STM" for label in matrix.labels if "SM" in label[:2]}
    (matrix,) = score_matrices([row for row in rows if row.label != "STM-CRF"])
    assert set(score_plots.baselines(matrix).values()) == {"STM"}
    (matrix,) = score_matrices([row for row in rows if row.model != "STM"])
    assert score_plots.Gains.of(matrix, score_plots.baselines(matrix)).known == []
    assert score_plots.baselines(published(5)) == {f"SM-CRF a={a}": "STM-CRF" for a in ("0", "0.5", "1")}


def test_gains_are_differences_of_means():
    matrix = made_matrix(4, corpora=3)
    figure = gains_of(matrix, {"SM a=0": "STM"})
    points = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert points == pytest.approx([matrix.mean(c, "SM a=0") - matrix.mean(c, "STM") for c in matrix.corpora])


def test_one_seed_or_a_corpus_not_run_needs_no_interval():
    rows = made_rows(1, ["NCBI", "CRAFT"], seeds=(1,))
    (matrix,) = score_matrices([row for row in rows if (row.corpus, row.label) != ("NCBI", "STM")])
    figure = gains_of(matrix, score_plots.baselines(matrix))
    assert "limits" not in figure.get_supxlabel()
    assert_legible(score_plots.corpus_scores(matrix))


def test_limits_are_drawn_where_they_are_known_and_said_to_be_cut():
    matrix = made_matrix(4, corpora=3, seeds=2, step=0)
    first, second, _ = matrix.corpora
    pair = ("SM a=0", "STM")
    for reach, said in ((0.1, "over seeds and sentences"), (1000, "(cut at the frame)")):
        limits = {(first, *pair): Interval(0, -reach, reach), (second, *pair): Interval(0, -np.inf, np.inf)}
        figure = gains_of(matrix, {"SM a=0": "STM"}, limits)
        assert figure.get_supxlabel().endswith(said)
        bars = [tuple(line.get_xdata()) for line in figure.axes[0].lines if len(set(line.get_xdata())) == 2]
        assert bars == [(-reach, reach)]
    assert "limits" not in gains_of(matrix, {"SM a=0": "STM"}).get_supxlabel()


def test_every_model_has_a_look_of_its_own_and_two_runs_of_one_its_colour():
    looks = drawing.look([str(k) for k in range(40)])
    assert len(set(looks.values())) == 40
    looks = drawing.look(["STM [A]", "STM [B]", "MTM [A]", "MTM [B]"])
    assert looks["STM [A]"][0] == looks["STM [B]"][0] != looks["MTM [A]"][0] == looks["MTM [B]"][0]
    assert looks["STM [A]"][1] != looks["STM [B]"][1]


def lines_of(axes):
    return [line for line in axes.lines if line.get_marker() not in {"None", None, ""}]


def test_a_failing_model_does_not_stretch_an_axis_and_is_told_by_its_number():
    matrix = made_matrix(5, corpora=2)
    first, second = matrix.corpora
    failed = replace(matrix, scores=matrix.scores | {(first, "SM a=0"): {0: 1.0, 1: 2.0, 2: 3.0}})
    for axes, corpus in zip(score_plots.corpus_scores(failed).axes, (first, second), strict=True):
        rest = [f1 for (c, m), by in failed.scores.items() if c == corpus and m != "SM a=0" for f1 in by.values()]
        low, high = axes.get_xlim()
        assert low < min(rest) < max(rest) < high
        assert high - low < 2 * (max(rest) - min(rest)) + 3
        assert [t.get_text() for t in axes.texts] == (["◂ 2.0"] if corpus == first else [])
        assert len(lines_of(axes)) == (4 if corpus == first else 5)
    assert_legible(score_plots.corpus_scores(failed))
    whole = gains_of(failed, score_plots.baselines(failed))
    assert max(abs(end) for end in whole.axes[0].get_xlim()) < 15
    (said,) = [t.get_text() for axes in whole.axes for t in axes.texts]
    assert said.startswith("◂ −")


@pytest.mark.parametrize(("seeds", "said"), [(3, "points are seeds, bars their means"), (1, "one seed")])
def test_points_are_called_seeds_only_where_they_are(seeds, said):
    matrix = made_matrix(3, corpora=2, seeds=seeds)
    assert score_plots.corpus_scores(matrix).get_supxlabel().endswith(said)
    bars = [line for line in score_plots.corpus_scores(matrix).axes[0].lines if line.get_marker() == "None"]
    assert len(bars) == (3 if seeds > 1 else 0)
    assert score_plots.said_of_points(published(1)) == "published means"


def gained(*estimates, limits=(-np.inf, np.inf)):
    row = tuple(Interval(x, x + limits[0], x + limits[1]) for x in estimates)
    return score_plots.Gains(tuple("ABCDEFG"[: len(row)]), {"SM": "STM"}, {"SM": row})


def test_the_axis_of_gains_begins_and_ends_where_they_do():
    low, high = gained(-1.0, 2.0, 14.5, 3.0).span
    assert -3 < low < -1
    assert 14.5 < high < 17
    low, high = gained(-80.0, 2.0, 1.0, 1.5).span  # of a failing model the number is told at the frame
    assert -2 < low < 0
    assert 2 < high < 4
    assert gained(-80.0, 2.0, 1.0, 1.5, limits=(-0.1, 0.1)).cut is False  # limits that are not drawn are not cut
    wide = gained(1.0, 2.0, 1.5, limits=(-50, 50))
    assert wide.cut
    assert wide.span[1] < 10
    assert not gained(0.0, 0.0, limits=(-1.0, 1.0)).cut


def test_a_model_has_one_colour_in_all_pictures():
    matrix = made_matrix(5, corpora=5)
    looks = drawing.look(("another model", *matrix.labels))
    comparison = compare(matrix)
    points = [Point("x", "NCBI", "c", m, s, e, 1 / e, None) for m in matrix.labels for s in (1, 2) for e in (1, 2, 3)]
    found = list(pictures(matrix, comparison, [], None, (), points, looks, dict.fromkeys(matrix.corpora, Traits(9))))
    assert [p.name for p in found] == ["average", "scores", "gains", "trend-1", "trend-2", "pairs", "ranks", "loss"]
    for picture in found:
        if picture.name == "pairs":
            continue
        for figure in (picture.whole(), *(draw() for draw in picture.parts)):
            drawn = {line.get_color() for axes in figure.axes for line in axes.lines} - {drawing.INK, drawing.FAINT}
            assert drawn
            assert drawn <= {looks[m][0] for m in matrix.labels}, picture.name
    scores = next(p for p in found if p.name == "scores").whole()
    assert [lines_of(scores.axes[0])[k].get_color() for k in range(5)] == [looks[m][0] for m in matrix.labels]
    gains = next(p for p in found if p.name == "gains").whole()
    assert [lines_of(axes)[-1].get_color() for axes in gains.axes] == [looks[m][0] for m in matrix.labels[1:]]


def test_a_picture_for_the_page_follows_its_theme_and_shares_no_names():
    matrix = made_matrix(3, corpora=1)
    texts = [drawing.inline(score_plots.corpus_scores(matrix), name) for name in ("a", "b")]
    for text in texts:
        assert ET.fromstring(text.replace("xlink:", "")).tag == "svg"
        assert not re.search(r"#[0-9a-f]{6}", text)
        assert "var(--m0)" in text
        assert "var(--sans)" in text
        assert "DejaVu" not in text
        assert "STM</text>" in text
    names = [set(re.findall(r'id="([^"]+)"', text)) for text in texts]
    assert names[0]
    assert not names[0] & names[1]


def test_files_are_png_and_svg_and_the_same_each_time(tmp_path):
    contents = [drawing.save(rank_plots.rank_diagram(compare(published(4))), tmp_path / "ranks") for _ in range(2)]
    assert contents[0] == contents[1]
    assert (tmp_path / "ranks.png").read_bytes() == contents[0]["png"]
    assert Image.open(io.BytesIO(contents[0]["png"])).width > 500
    svg = (tmp_path / "ranks.svg").read_text()
    assert "<svg" in svg
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ranks.png", "ranks.svg"]


def test_a_matplotlibrc_of_the_users_changes_no_picture(tmp_path):
    theirs = {
        "axes.facecolor": "black",
        "lines.linewidth": 9.0,
        "text.usetex": True,
        "figure.constrained_layout.use": True,
    }
    matrix = made_matrix(3, corpora=2)
    ours = drawing.save(score_plots.corpus_scores(matrix), tmp_path / "a")
    with mpl.rc_context(theirs):
        assert drawing.save(score_plots.corpus_scores(matrix), tmp_path / "b") == ours
