"""Pictures of scores and of the tests between models, for screen and print, readable without colours too."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from kd_jax.evaluation.significance import POSTHOCS, Interval
from kd_jax.report.comparison import Comparison, p_text
from kd_jax.report.score_matrix import ScoreMatrix
from kd_jax.runtime.files import replace_file

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's palette, which colour-blind readers can tell apart, its yellow replaced by a grey that prints."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
INK, FAINT = "#222222", "#BBBBBB"
INCH_A_LETTER = 0.085

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "figure.labelsize": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "legend.frameon": False,
    "svg.hashsalt": "kd_jax",
    "savefig.dpi": 150,
}


def look(labels: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each label, a different pair for up to 40 of them."""
    return {label: (COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]) for k, label in enumerate(labels)}


def save(figure: Figure, stem: Path) -> dict[str, bytes]:
    """Write a picture as PNG and SVG.

    Args:
        figure: the picture.
        stem: path without a suffix.

    Returns:
        The files' contents by suffix, "png" and "svg".

    Raises:
        InputError: where the folder can't be written.
    """
    contents = {}
    with mpl.rc_context(STYLE):
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # laid out once for both formats
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
            contents[suffix] = buffer.getvalue()
    buffer = BytesIO()
    Image.open(BytesIO(contents["png"])).convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    contents["png"] = buffer.getvalue()
    for suffix, content in contents.items():
        replace_file(stem.with_name(f"{stem.name}.{suffix}"), content)
    return contents


def _longest(names: Sequence[str]) -> float:
    return INCH_A_LETTER * max(map(len, names))


def rank_diagram(comparison: Comparison) -> Figure:
    """Models on an axis of mean ranks, the critical difference, and arrows where the post hoc test tells two apart.

    Args:
        comparison: with a Friedman test.

    Returns:
        The picture; its arrows stand for pairs that the post hoc test tells apart.
    """
    assert comparison.friedman is not None
    assert comparison.posthoc is not None
    mean_ranks = comparison.friedman.mean_ranks
    order = list(np.argsort(mean_ranks, kind="stable"))
    count, half = len(order), (len(order) + 1) // 2
    behind = {m: [n for n in order if mean_ranks[n] > mean_ranks[m] and comparison.posthoc[m, n] < comparison.alpha]
              for m in order}  # fmt: skip
    arrows = [m for m in order if behind[m]]
    names = [f"{comparison.labels[m]}  {mean_ranks[m]:.2f}" for m in order]
    axis_width, margin, step = max(3.6, 0.55 * count), _longest(names) + 0.35, 0.24
    # Inches, measured down from the axis: the arrows, then the names.
    first_name = 0.3 + step * max(1, len(arrows))
    below, above = first_name + step * half, 1.1
    width, height = axis_width + 2 * margin, above + below
    with mpl.rc_context(STYLE):
        figure = Figure((width, height))
        axes = figure.add_axes((0, 0, 1, 1), frame_on=False)
        axes.set(xlim=(0, width), ylim=(-below, above), xticks=[], yticks=[])

        def at(rank: float) -> float:
            return float(margin + axis_width * (rank - 1) / (count - 1))

        axes.plot([at(1), at(count)], [0, 0], color=INK, lw=1.2)
        for tick in range(1, count + 1):
            axes.plot([at(tick)] * 2, [0, 0.07], color=INK, lw=1.2)
            axes.text(at(tick), 0.1, str(tick), ha="center", va="bottom")
        axes.text(at(1) - 0.15, 0.1, "mean rank", ha="right", va="bottom", color=INK)
        if comparison.critical_difference is not None:
            end = min(at(1 + comparison.critical_difference), width - 0.1)
            axes.plot([at(1), end], [0.42, 0.42], color=INK, lw=2, marker="|", ms=8)
            axes.text(at(1), 0.5, f"critical difference {comparison.critical_difference:.3f}", va="bottom")
        name = POSTHOCS[comparison.method][0]
        heading = (
            f"{len(comparison.corpora)} corpora, Friedman {p_text(comparison.friedman.p)}. Arrows: {name} p < "
            f"{comparison.alpha:g}"
        )
        axes.text(width / 2, above - 0.12, heading, ha="center", va="top")
        for level, m in enumerate(arrows):
            y = -(0.22 + step * level)
            axes.plot(at(mean_ranks[m]), y, "o", color=COLOURS[0], ms=5)
            for n in behind[m]:
                axes.annotate(
                    "", (at(mean_ranks[n]), y), (at(mean_ranks[m]), y),
                    arrowprops={"arrowstyle": "-|>", "color": COLOURS[0], "lw": 1.4, "shrinkA": 0, "shrinkB": 0},
                )  # fmt: skip
        if not arrows:
            axes.text(width / 2, -0.22, "no two models apart", ha="center", va="center", style="italic",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        for k, (m, text) in enumerate(zip(order, names, strict=True)):
            left = k < half
            y = -(first_name + step * (k if left else count - 1 - k))
            edge = margin - 0.1 if left else width - margin + 0.1
            axes.plot([at(mean_ranks[m]), at(mean_ranks[m]), edge], [0, y, y], color=FAINT, lw=0.9, zorder=0)
            axes.plot(at(mean_ranks[m]), 0, "o", color=INK, ms=4)
            axes.text(edge + (-0.06 if left else 0.06), y, text, ha="right" if left else "left", va="center")
        return figure


def pairwise_matrix(comparison: Comparison) -> Figure:
    """P-values of the post hoc test between all pairs, models in the order of their mean ranks."""
    assert comparison.friedman is not None
    assert comparison.posthoc is not None
    order = np.argsort(comparison.friedman.mean_ranks, kind="stable")
    names = [comparison.labels[m] for m in order]
    p = comparison.posthoc[np.ix_(order, order)]
    shades = ListedColormap(["#084594", "#4292C6", "#9ECAE1", "#F2F2F2"])
    edges = [0, 0.001, 0.01, 0.05, 1]
    cell, count, margin = 0.52, len(names), _longest(names) + 0.3
    slanted = max(map(len, names)) > 7
    bottom = 0.75 * _longest(names) + 0.35 if slanted else 0.35
    width, height = margin + cell * count + 1.5, bottom + cell * count + 0.45
    with mpl.rc_context(STYLE):
        figure = Figure((width, height))
        axes = figure.add_axes((margin / width, bottom / height, cell * count / width, cell * count / height))
        shown = np.ma.masked_where(np.eye(count, dtype=bool), p)
        image = axes.pcolormesh(shown, cmap=shades, norm=BoundaryNorm(edges, 4), edgecolors="white", lw=2)
        for i in range(count):
            for j in range(count):
                if i != j:
                    text = "<.001" if p[i, j] < 0.0005 else f"{p[i, j]:.3f}".removeprefix("0")
                    colour = "white" if p[i, j] < 0.01 else INK
                    axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", color=colour)
        middles = np.arange(count) + 0.5
        axes.set_xticks(middles, names, rotation=45 if slanted else 0, ha="right" if slanted else "center",
                        rotation_mode="anchor" if slanted else "default")  # fmt: skip
        axes.set_yticks(middles, names)
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        tall = min(cell * count, 2.2)
        beside, below = margin + cell * count + 0.25, bottom + cell * count - tall
        bar = figure.add_axes((beside / width, below / height, 0.16 / width, tall / height))
        figure.colorbar(image, cax=bar, ticks=edges[:-1], spacing="uniform").set_label("p", rotation=0)
        bar.set_yticklabels(["0", ".001", ".01", ".05"])
        left = 0.08 / width
        title = f"{POSTHOCS[comparison.method][0]} p over {len(comparison.corpora)} corpora"
        figure.text(left, 1 - 0.12 / height, title, ha="left", va="top")
        return figure


def panels(
    titles: Sequence[str], labels: Sequence[str], width: float, height: float, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of small panels, up to three beside each other, each with its title.

    Args:
        titles: of the panels.
        labels: names on the vertical axes, which need room.
        width: of a panel in inches, more where its title takes it.
        height: of a panel in inches, with its title and axis.
        **shared: sharex and sharey, as matplotlib has them.

    Returns:
        The figure and its panels.
    """
    columns = min(3, len(titles))
    lines = -(-len(titles) // columns)
    beside = columns if not shared.get("sharey") else 1
    wide = columns * max(width, _longest(titles) + 0.3) + beside * _longest(labels) + 0.3
    figure = Figure((max(wide, 4.6), height * lines + 0.4), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, **shared)
    flat = list(grid.flat)
    for axes in flat[len(titles) :]:
        axes.remove()
    for axes in flat[max(0, len(titles) - columns) : len(titles)]:
        axes.tick_params(labelbottom=True)
    for axes, title in zip(flat, titles, strict=False):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.grid(visible=True)
    return figure, flat[: len(titles)]


def corpus_scores(matrix: ScoreMatrix) -> Figure:
    """F1 of every seed and the mean over seeds, a panel for each corpus with an axis of its own."""
    with mpl.rc_context(STYLE):
        names, looks = matrix.labels, look(matrix.labels)
        figure, grid = panels(matrix.corpora, names, 2.2, 0.62 + 0.2 * len(names), sharey=True)
        for axes, corpus in zip(grid, matrix.corpora, strict=True):
            for y, label in enumerate(names):
                scores = list(matrix.scores.get((corpus, label), {}).values())
                if scores:
                    colour, marker = looks[label]
                    axes.plot(scores, [y] * len(scores), marker, color=colour, ms=5, alpha=0.6, mew=0)
                    axes.plot([np.mean(scores)] * 2, [y - 0.36, y + 0.36], color=INK, lw=1.6)
            axes.set_yticks(range(len(names)), names)
            axes.xaxis.set_major_locator(MaxNLocator(4))
        grid[0].set_ylim(len(names) - 0.5, -0.5)
        figure.supxlabel("entity F1 (%) on test; points are seeds, bars their means")
        return figure


def baselines(matrix: ScoreMatrix) -> Mapping[str, str]:
    """The single-task model that each student stands against: the one of its own head, if any was run."""
    heads: dict[str, str] = {}
    single: dict[str, str] = {}
    for (_, label), rows in matrix.rows.items():
        heads[label] = rows[0].head
        if rows[0].model == "STM":
            single.setdefault(rows[0].head, label)
    if not matrix.rows:
        heads = {label: "crf" if "CRF" in label else "softmax" for label in matrix.labels}
        single = {heads[label]: label for label in matrix.labels if label.startswith("STM")}
    models = {label: rows[0].model for (_, label), rows in matrix.rows.items()}
    students = [label for label in matrix.labels if models.get(label, label[:2]) == "SM"]
    fallback = next(iter(single.values()), None)
    found = {label: single.get(heads.get(label, ""), fallback) for label in students}
    return {label: base for label, base in found.items() if base is not None}


def _gain(
    matrix: ScoreMatrix, corpus: str, label: str, base: str, limits: Mapping[tuple[str, str, str], Interval]
) -> Interval | None:
    if (corpus, label) not in matrix.scores or (corpus, base) not in matrix.scores:
        return None
    open_ended = Interval(0, -np.inf, np.inf)
    _, low, high = limits.get((corpus, label, base), open_ended)
    return Interval(matrix.mean(corpus, label) - matrix.mean(corpus, base), low, high)


def gains(
    matrix: ScoreMatrix,
    against: Mapping[str, str],
    limits: Mapping[tuple[str, str, str], Interval] = MappingProxyType({}),
) -> Figure | None:
    """What some models gain over others, corpus by corpus, with 95 % limits over seeds and sentences.

    Args:
        matrix: the scores.
        against: the label that each label stands against, such as `baselines` finds them.
        limits: differences with their limits, by corpus, label and the label it stands against.

    Returns:
        The picture; None where no two of them were run on the same corpus.
    """
    gained = {
        label: [_gain(matrix, corpus, label, base, limits) for corpus in matrix.corpora]
        for label, base in against.items()
    }
    known = [gain for row in gained.values() for gain in row if gain is not None]
    if not known:
        return None
    ends = [abs(end) for gain in known for end in gain[1:] if np.isfinite(end)]
    reach = max(abs(gain.estimate) for gain in known)
    reach = 1.1 * max(reach, min(max(ends, default=0), 3 * reach)) + 0.1
    with mpl.rc_context(STYLE):
        titles = [f"{label} − {base}" for label, base in against.items()]
        figure, grid = panels(titles, matrix.corpora, 2.2, 0.7 + 0.2 * len(matrix.corpora), sharex=True, sharey=True)
        for axes, row, (colour, marker) in zip(grid, gained.values(), look(titles).values(), strict=True):
            axes.axvline(0, color=INK, lw=1)
            for y, gain in enumerate(row):
                if gain is not None:
                    if np.isfinite(gain.low):
                        axes.plot(gain[1:], [y, y], color=colour, lw=1.6)
                    axes.plot(gain.estimate, y, marker, color=colour, ms=6)
            axes.set_yticks(range(len(matrix.corpora)), matrix.corpora)
        grid[0].set(xlim=(-reach, reach), ylim=(len(matrix.corpora) - 0.5, -0.5))
        said = ", with 95 % limits over seeds and sentences" if ends else ""
        said += " (cut at the frame)" if ends and max(ends) > reach else ""
        figure.supxlabel(f"difference of F1{said}")
        return figure
