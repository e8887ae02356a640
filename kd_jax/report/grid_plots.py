"""Every point of a grid (--grid) as a picture: a line over one axis, a heat map over two."""

import re
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from kd_jax.report.drawing import INK, STYLE, panels
from kd_jax.report.score_matrix import ScoreMatrix

POINT = re.compile(r"SM(?: \w+=[-+.\de]+)+")
Points = Mapping[str, tuple[float, ...]]


def grid_of(matrix: ScoreMatrix) -> tuple[tuple[str, ...], Points]:
    """The names of a grid's axes and the place of each of its columns; nothing for a matrix that is no grid's.

    Columns are read by their labels, such as "SM alpha=0.5 tau=2".
    """
    # The name that `kd_jax.sweep.grid.with_grid` gives; another experiment may have columns with such labels by chance.
    if not matrix.experiment.endswith("-grid"):
        return (), {}
    points = {
        label: dict(part.split("=") for part in label.split()[1:]) for label in matrix.labels if POINT.fullmatch(label)
    }
    names = tuple(next(iter(points.values()), {}))
    return names, {label: tuple(float(at[name]) for name in names) for label, at in points.items()}


def grid_figure(matrix: ScoreMatrix) -> Figure:
    """Mean F1 on test at every point, a panel for each corpus.

    Args:
        matrix: of an experiment that was run with --grid.

    Returns:
        Over one axis a line, each seed as a point and the single-task model's mean dashed; over two axes a heat map.
    """
    names, points = grid_of(matrix)
    return _lines(matrix, names[0], points) if len(names) == 1 else _heat(matrix, names, points)


def _lines(matrix: ScoreMatrix, name: str, points: Points) -> Figure:
    values = sorted({at[0] for at in points.values()})
    with mpl.rc_context(STYLE):
        figure, grid = panels(matrix.corpora, ["00.0"], 2.6, 1.9)
        for axes, corpus in zip(grid, matrix.corpora, strict=True):
            means = {}
            for label, (value,) in points.items():
                f1 = list(matrix.scores.get((corpus, label), {}).values())
                if f1:
                    means[value] = float(np.mean(f1))
                    axes.plot([values.index(value)] * len(f1), f1, "o", color=INK, alpha=0.5, ms=4, mew=0)
            shown = sorted(means)
            axes.plot([values.index(value) for value in shown], [means[value] for value in shown], color=INK, lw=1.5)
            for label in ("STM", "STM-CRF"):
                if (corpus, label) in matrix.scores:
                    axes.axhline(matrix.mean(corpus, label), color=INK, lw=1, ls=(0, (4, 3)))
            axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            axes.margins(0.12, 0.2)
        figure.supxlabel(f"{name}; F1 (%) on test, dashed the single-task model")
        return figure


def _heat(matrix: ScoreMatrix, names: tuple[str, ...], points: Points) -> Figure:
    down, across = (sorted({at[axis] for at in points.values()}) for axis in (0, 1))
    with mpl.rc_context(STYLE):
        figure, grid = panels(matrix.corpora, ["00.0"], 0.75 * len(across) + 0.9, 0.42 * len(down) + 0.8)
        for axes, corpus in zip(grid, matrix.corpora, strict=True):
            block = np.full((len(down), len(across)), np.nan)
            for label, (first, second) in points.items():
                block[down.index(first), across.index(second)] = matrix.mean(corpus, label)
            if not np.isfinite(block).any():  # every lane of this corpus diverged
                continue
            axes.pcolormesh(np.ma.masked_invalid(block), cmap="cividis", edgecolors="white", lw=1)
            middle = (np.nanmin(block) + np.nanmax(block)) / 2
            for (y, x), value in np.ndenumerate(block):
                if np.isfinite(value):
                    # cividis is dark where values are low.
                    colour = "#fdfdfd" if value < middle else "#1a1a1a"
                    axes.text(x + 0.5, y + 0.5, f"{value:.1f}", ha="center", va="center", color=colour, fontsize=8)
            axes.set_xticks(np.arange(len(across)) + 0.5, [f"{value:g}" for value in across])
            axes.set_yticks(np.arange(len(down)) + 0.5, [f"{value:g}" for value in down])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
            axes.set_ylabel(names[0])
        figure.supxlabel(f"{names[1]}; mean F1 (%) on test, each corpus with its own shades")
        return figure
