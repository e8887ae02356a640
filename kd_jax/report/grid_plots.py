"""Every point of a grid (--grid) as a picture: a line over one axis, a heat map over two."""

import re
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from kd_jax.report.drawing import INK, STYLE, legend_above, look, panels
from kd_jax.report.score_matrix import ScoreMatrix

POINT = re.compile(r"(?P<line>.+?)(?P<place>(?: \w+=[-+.\de]+)+)")
SAID = {"text": "sentences of text", "foreign": "sentences of other corpora"}
Points = Mapping[str, tuple[float, ...]]


def grid_of(matrix: ScoreMatrix) -> tuple[tuple[str, ...], Points]:
    """The names of a grid's axes and the place of each of its columns; nothing for a matrix that is no grid's.

    Columns are read by their labels, such as "SM alpha=0.5 tau=2".
    """
    # The name that `kd_jax.sweep.grid.with_grid` gives; another experiment may have columns with such labels by chance.
    if not matrix.experiment.endswith("-grid"):
        return (), {}
    found = {label: point for label in matrix.labels if (point := POINT.fullmatch(label))}
    points = {label: dict(part.split("=") for part in at["place"].split()) for label, at in found.items()}
    names = tuple(next(iter(points.values()), {}))
    return names, {label: tuple(float(at[name]) for name in names) for label, at in points.items()}


def grid_figure(matrix: ScoreMatrix) -> Figure:
    """Mean F1 on test at every point, a panel for each corpus.

    Args:
        matrix: of an experiment that was run with --grid.

    Returns:
        Over one axis a line for each kind of student, each seed as a point and the single-task model's mean dashed;
        over two axes a heat map, for each kind in panels of its own.
    """
    names, points = grid_of(matrix)
    kinds: dict[str, dict[str, tuple[float, ...]]] = {}
    for label, at in points.items():
        kinds.setdefault(POINT.sub(r"\g<line>", label), {})[label] = at
    return _lines(matrix, names[0], kinds) if len(names) == 1 else _heat(matrix, names, kinds)


def _lines(matrix: ScoreMatrix, name: str, kinds: Mapping[str, Points]) -> Figure:
    values = sorted({at[0] for points in kinds.values() for at in points.values()})
    looks = look(list(kinds)) if len(kinds) > 1 else dict.fromkeys(kinds, (INK, "o"))
    with mpl.rc_context(STYLE):
        figure, grid = panels(matrix.corpora, ["00.0"], 2.6, 1.9)
        for axes, corpus in zip(grid, matrix.corpora, strict=True):
            for kind, points in kinds.items():
                colour, marker = looks[kind]
                means = {}
                for label, (value,) in points.items():
                    f1 = list(matrix.scores.get((corpus, label), {}).values())
                    if f1:
                        means[value] = float(np.mean(f1))
                        axes.plot([values.index(value)] * len(f1), f1, marker, color=colour, alpha=0.5, ms=4, mew=0)
                shown = sorted(means)
                heights = [means[value] for value in shown]
                axes.plot([values.index(value) for value in shown], heights, color=colour, lw=1.5, label=kind)
            for label in ("STM", "STM-CRF"):
                if (corpus, label) in matrix.scores:
                    axes.axhline(matrix.mean(corpus, label), color=INK, lw=1, ls=(0, (4, 3)))
            axes.set_xticks(range(len(values)), [f"{value:g}" for value in values])
            axes.margins(0.12, 0.2)
        if len(kinds) > 1:
            legend_above(figure, grid)
        figure.supxlabel(f"{SAID.get(name, name)}; F1 (%) on test, dashed the single-task model")
        return figure


def _heat(matrix: ScoreMatrix, names: tuple[str, ...], kinds: Mapping[str, Points]) -> Figure:
    places = [at for points in kinds.values() for at in points.values()]
    down, across = (sorted({at[axis] for at in places}) for axis in (0, 1))
    blocks = [(corpus, kind) for corpus in matrix.corpora for kind in kinds]
    titles = [corpus if len(kinds) == 1 else f"{corpus}, {kind}" for corpus, kind in blocks]
    with mpl.rc_context(STYLE):
        figure, grid = panels(titles, ["00.0"], 0.75 * len(across) + 0.9, 0.42 * len(down) + 0.8)
        for axes, (corpus, kind) in zip(grid, blocks, strict=True):
            block = np.full((len(down), len(across)), np.nan)
            for label, (first, second) in kinds[kind].items():
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
            axes.set_ylabel(SAID.get(names[0], names[0]))
        figure.supxlabel(f"{SAID.get(names[1], names[1])}; mean F1 (%) on test, each corpus with its own shades")
        return figure
