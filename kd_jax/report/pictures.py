"""The pictures of a section, each drawn twice: whole for the files, panel by panel for the page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from matplotlib.figure import Figure

from kd_jax.evaluation.results import Row
from kd_jax.evaluation.significance import POSTHOCS, Interval
from kd_jax.report import curves, grid_plots, rank_plots, score_plots, trend_plots
from kd_jax.report.comparison import Comparison, Within
from kd_jax.report.drawing import Looks
from kd_jax.report.score_matrix import ScoreMatrix
from kd_jax.runtime.files import name_part


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its files.
        title: above it on the page; "" where its panel has one.
        caption: what it shows.
        whole: draws all of it, for the files.
        parts: draw its panels, for the page, which puts as many beside each other as fit; none where the page shows the
            whole.
        labels: models that a legend has to name, since the page's panels don't.
        leads: whether it stands beside the table.
    """

    name: str
    title: str
    caption: str
    whole: Callable[[], Figure]
    parts: tuple[Callable[[], Figure], ...] = ()
    labels: tuple[str, ...] = ()
    leads: bool = False


def pictures(
    matrix: ScoreMatrix,
    comparison: Comparison,
    within: Sequence[Within],
    among: Sequence[tuple[str, str]] | None,
    rows: Sequence[Row],
    points: Sequence[curves.Point],
    looks: Looks,
    traits: Mapping[str, trend_plots.Traits],
) -> Iterator[Picture]:
    """The pictures that the data of a section allow; the first of them stands beside its table.

    Args:
        matrix: the scores.
        comparison: tests over corpora.
        within: tests within corpora.
        among: pairs of labels of a first and a second run that are compared; None for one run.
        rows: of the experiment, those of other splits included.
        points: of metrics.jsonl.
        looks: colour and marker of each label.
        traits: of the corpora of which something is known.
    """
    if among is not None:
        yield from _gains(matrix, within, among, looks)
        yield _scores(matrix, looks)
        return
    names, points_of_grid = grid_plots.grid_of(matrix)
    if points_of_grid:
        yield Picture(
            "grid", "Every point of the grid", f"F1 (%) on test by {' and '.join(names)}, means over seeds.",
            partial(grid_plots.grid_figure, matrix),
            tuple(partial(grid_plots.grid_figure, matrix.only([c])) for c in matrix.corpora), leads=True,
        )  # fmt: skip
    elif len(matrix.corpora) > 1 and len(matrix.common) > 1:
        yield _average(matrix.average, looks)
        yield _scores(matrix, looks)
    else:
        yield replace(_scores(matrix, looks), leads=True)
    yield from _gains(matrix, within, among, looks)
    yield from _trends(matrix, traits, looks)
    if comparison.friedman is not None:
        test, over = POSTHOCS[comparison.method][0], f"{len(comparison.corpora)} corpora"
        yield Picture(
            "pairs", f"{test}'s test of all pairs", f"P-values of {test}'s test between all pairs of models.",
            partial(rank_plots.pairwise_matrix, comparison),
        )  # fmt: skip
        draw = partial(rank_plots.rank_diagram, comparison, looks)
        yield Picture(
            "ranks", "Mean ranks",
            f"Models by their mean rank over {over}, 1 being the best. An arrow points from a model to one that "
            f"{test}'s test tells apart from it at {comparison.alpha:g}.",
            draw, (draw,),
        )  # fmt: skip
    yield from _chosen(rows)
    shown = [point for point in points if point.label in matrix.labels]
    yield from _curves(shown, looks)


def _average(matrix: ScoreMatrix, looks: Looks) -> Picture:
    points = score_plots.said_of_points(matrix)
    draw = partial(score_plots.corpus_scores, matrix, looks)
    return Picture("average", "", f"Entity F1 (%) on test; {points}.", draw, (draw,), leads=True)


def _scores(matrix: ScoreMatrix, looks: Looks) -> Picture:
    points = score_plots.said_of_points(matrix)
    caption = f"Entity F1 (%) on test, each corpus with an axis of its own; {points}."
    panels = tuple(partial(score_plots.corpus_scores, matrix.only([c]), looks) for c in matrix.corpora)
    return Picture("scores", "F1 by corpus", caption, partial(score_plots.corpus_scores, matrix, looks), panels)


def _gains(
    matrix: ScoreMatrix, within: Sequence[Within], among: Sequence[tuple[str, str]] | None, looks: Looks
) -> Iterator[Picture]:
    limits = {}
    for pair in within:
        estimate, low, high = pair.difference
        limits[pair.corpus, pair.first, pair.second] = pair.difference
        limits[pair.corpus, pair.second, pair.first] = Interval(-estimate, -high, -low)
    against: Mapping[str, str]
    if among is None:
        against, gained = (
            score_plots.baselines(matrix, ("MTM", "SM")),
            "What a model gains over the one trained on that corpus alone",
        )
    else:
        against, gained = {second: first for first, second in among}, "What the second run gains over the first"
    shown = score_plots.Gains.of(matrix, against, limits)
    if not shown.known:
        return
    ends = "; lines are 95 % limits over seeds and sentences" if shown.ends else ""
    ends += ", cut at the frame" if shown.cut else ""
    draw = partial(score_plots.gains, shown, looks=looks)
    yield Picture(
        "gains", gained, f"Difference of F1 by corpus, a panel for each model{ends}.",
        partial(draw, list(shown.gained)), tuple(partial(draw, [label]) for label in shown.gained),
        leads=among is not None,
    )  # fmt: skip


def _trends(matrix: ScoreMatrix, traits: Mapping[str, trend_plots.Traits], looks: Looks) -> Iterator[Picture]:
    gained = score_plots.Gains.of(matrix, score_plots.baselines(matrix))
    if not gained.known:
        return
    for number, quantity in enumerate(trend_plots.quantities(matrix, traits)):
        draw = partial(trend_plots.trend, gained, quantity, looks=looks)
        yield Picture(
            f"trend-{number + 1}", f"Gain against {quantity.name}",
            f"Difference of F1, a point a corpus, over {quantity.name}. No such test was named beforehand.",
            partial(draw, list(gained.gained)), tuple(partial(draw, [label]) for label in gained.gained),
        )  # fmt: skip


def _chosen(rows: Sequence[Row]) -> Iterator[Picture]:
    kinds = (
        ("weights", "weights of the loss", curves.weights_vary, curves.weight_grid),
        ("temperature", "temperature of soft labels", curves.temperatures_vary, curves.temperatures),
    )
    for kind, of_kind in curves.tuned(rows).items():
        by_corpus = [[row for row in of_kind if row.corpus == c] for c in dict.fromkeys(row.corpus for row in of_kind)]
        for name, what, varies, draw in kinds:
            if varies(of_kind):
                yield Picture(
                    f"{name}-{name_part(kind)}", f"Choosing the {what} ({kind})",
                    f"F1 of students ({kind}) on the development files, trained on the training files, by the {what}.",
                    partial(draw, of_kind), tuple(partial(draw, part) for part in by_corpus if varies(part)),
                )  # fmt: skip


def _curves(points: Sequence[curves.Point], looks: Looks) -> Iterator[Picture]:
    kinds = (("devel_f1", "Learning", "F1 on the development files"), ("loss", "Training loss", "Training loss (log)"))
    for quantity, title, what in kinds:
        if lanes := curves.lanes_of(points, quantity):
            of_corpora = [
                {cell: values for cell, values in lanes.items() if cell[0] == corpus}
                for corpus in dict.fromkeys(corpus for corpus, _ in lanes)
            ]
            draw = partial(curves.learning_curves, quantity=quantity, looks=looks)
            yield Picture(
                quantity.removesuffix("_f1"), title, f"{what} over epochs; {curves.said_of_lines(lanes)}.",
                partial(draw, lanes), tuple(partial(draw, part, legend=False) for part in of_corpora),
                tuple(dict.fromkeys(label for _, label in lanes)),
            )  # fmt: skip
