"""Pictures of the tests over corpora, for screen and print, readable without colours too."""

import matplotlib as mpl
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from kd_jax.evaluation.significance import POSTHOCS
from kd_jax.report.comparison import Comparison, p_text
from kd_jax.report.drawing import FAINT, INK, STYLE, Looks, longest, look


def rank_diagram(comparison: Comparison, looks: Looks | None = None) -> Figure:
    """Models on an axis of mean ranks, the critical difference, and arrows where the post hoc test tells two apart.

    Args:
        comparison: with a Friedman test.
        looks: of the models; None for those of this picture alone.

    Returns:
        The picture; its arrows stand for pairs that the post hoc test tells apart.
    """
    assert comparison.friedman is not None
    assert comparison.posthoc is not None
    looks = looks or look(comparison.labels)
    mean_ranks = comparison.friedman.mean_ranks
    order = list(np.argsort(mean_ranks, kind="stable"))
    count = len(order)
    behind = {m: [n for n in order if mean_ranks[n] > mean_ranks[m] and comparison.posthoc[m, n] < comparison.alpha]
              for m in order}  # fmt: skip
    arrows = [m for m in order if behind[m]]
    names = {m: f"{comparison.labels[m]}  {mean_ranks[m]:.2f}" for m in order}
    # Narrow enough for a column of a paper and for a telephone.
    axis_width, margin, step, arrow_step = max(2.4, 0.36 * count), 0.3, 0.24, 0.09

    def at(rank: float) -> float:
        return float(margin + axis_width * (rank - 1) / (count - 1))

    # Inches, measured down from the axis: the arrows, then the names.
    # Each arrow has a line of its own, since the ranks of two that it could point to may be nearly equal.
    fans = [arrow_step * len(behind[m]) + 0.1 for m in arrows]
    first_name = 0.3 + (sum(fans) if arrows else step)
    below, above = first_name + step * count, 1.42
    width = max(margin + axis_width + 0.3, *(at(mean_ranks[m]) + longest([names[m]]) + 0.2 for m in order))
    height = above + below
    with mpl.rc_context(STYLE):
        figure = Figure((width, height))
        axes = figure.add_axes((0, 0, 1, 1), frame_on=False)
        axes.set(xlim=(0, width), ylim=(-below, above), xticks=[], yticks=[])
        axes.plot([at(1), at(count)], [0, 0], color=INK, lw=1.2)
        for tick in range(1, count + 1):
            axes.plot([at(tick)] * 2, [0, 0.07], color=INK, lw=1.2)
            axes.text(at(tick), 0.1, str(tick), ha="center", va="bottom")
        axes.text(at(1) - 0.05, 0.3, "mean rank", va="bottom", color=INK)
        if comparison.critical_difference is not None:
            end = min(at(1 + comparison.critical_difference), width - 0.1)
            axes.plot([at(1), end], [0.64, 0.64], color=INK, lw=2, marker="|", ms=8)
            axes.text(at(1) - 0.05, 0.71, f"critical difference {comparison.critical_difference:.3f}", va="bottom")
        name = POSTHOCS[comparison.method][0]
        heading = (
            f"{len(comparison.corpora)} corpora, Friedman {p_text(comparison.friedman.p)}\n"
            f"arrows: {name} p < {comparison.alpha:g}"
        )
        axes.text(at(1) - 0.05, above - 0.1, heading, va="top")
        top = -0.2
        for m, fan in zip(arrows, fans, strict=True):
            heights = [top - arrow_step * k for k in range(len(behind[m]))]
            axes.plot([at(mean_ranks[m])] * 2, [heights[0] + 0.02, heights[-1] - 0.02], color=INK, lw=2.4)
            for n, y in zip(behind[m], heights, strict=True):
                axes.annotate(
                    "", (at(mean_ranks[n]), y), (at(mean_ranks[m]), y),
                    arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1, "mutation_scale": 7,
                                "shrinkA": 0, "shrinkB": 0},
                )  # fmt: skip
            top -= fan
        if not arrows:
            axes.text(at((1 + count) / 2), -0.22, "no two models apart", ha="center", va="center", style="italic",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
        for level, m in enumerate(reversed(order)):
            # The worst model's name is highest: a name runs to the right, below the ends of lines that it would cross.
            y = -(first_name + step * level)
            axes.plot([at(mean_ranks[m])] * 2, [0, y], color=FAINT, lw=0.9, zorder=0)
            colour, marker = looks[comparison.labels[m]]
            axes.plot(at(mean_ranks[m]), 0, marker, color=colour, ms=6)
            axes.text(at(mean_ranks[m]) + 0.06, y, names[m], va="center")
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
    cell, count, margin = 0.52, len(names), longest(names) + 0.3
    slanted = max(map(len, names)) > 7
    bottom = 0.75 * longest(names) + 0.35 if slanted else 0.35
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
                    colour = "#ffffff" if p[i, j] < 0.01 else "#1a1a1a"
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
