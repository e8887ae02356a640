"""What a gain goes with: the size of a corpus, and what the teacher gains on it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter
from scipy.stats import spearmanr

from kd_jax.report.comparison import p_text
from kd_jax.report.drawing import INK, STYLE, Looks, panels
from kd_jax.report.score_matrix import ScoreMatrix
from kd_jax.report.score_plots import Gains, baselines

LEAST = 5
"""Corpora that a trend needs: of fewer no order has a p below 0.05."""
_NAMED = 2  # corpora at either end that are named


class Traits(NamedTuple):
    """What is known of a corpus.

    Attributes:
        tokens: that its single-task model is trained on.
        unseen: share of test tokens whose words are not among them, 0 to 1; None where it is not known.
    """

    tokens: int
    unseen: float | None = None


class Quantity(NamedTuple):
    """Something that corpora differ in.

    Attributes:
        name: of the axis.
        values: by corpus.
        log: whether its axis is logarithmic.
    """

    name: str
    values: Mapping[str, float]
    log: bool = False


def quantities(matrix: ScoreMatrix, traits: Mapping[str, Traits]) -> list[Quantity]:
    """What gains are held against, where enough corpora have it.

    Args:
        matrix: the scores.
        traits: of the corpora of which something is known.
    """
    known = {corpus: traits[corpus] for corpus in matrix.corpora if corpus in traits}
    unseen = {corpus: 100 * of.unseen for corpus, of in known.items() if of.unseen is not None}
    found = [
        Quantity("tokens of training", {corpus: of.tokens for corpus, of in known.items()}, log=True),
        Quantity("test tokens not seen in training (%)", unseen),
    ]
    models = {label: rows[0].model for (_, label), rows in matrix.rows.items()}
    teachers = [label for label in matrix.labels if models.get(label, label[:3]) == "MTM"]
    if len(teachers) == 1:
        (teacher,) = teachers
        base = next(iter(baselines(matrix).values()), None)
        both = [c for c in matrix.corpora if {(c, teacher), (c, base)} <= set(matrix.scores)]
        gain = {c: matrix.mean(c, teacher) - matrix.mean(c, str(base)) for c in both}
        found.append(Quantity(f"{teacher} − {base} (F1)", gain))
    return [quantity for quantity in found if len(quantity.values) >= LEAST]


def trend(gained: Gains, quantity: Quantity, labels: Sequence[str], looks: Looks) -> Figure:
    """Gains over a quantity, a point a corpus, with Spearman's rank correlation.

    Args:
        gained: the gains.
        quantity: what they are held against.
        labels: those of its labels that are shown, a panel for each.
        looks: of the models.

    Returns:
        The picture. The corpora with the highest and lowest gains are named.
    """
    with mpl.rc_context(STYLE):
        titles = [f"{label} − {gained.against[label]}" for label in labels]
        figure, grid = panels(titles, ["00.0"], 2.4, 2.3, sharey=True)
        for axes, label in zip(grid, labels, strict=True):
            points = _points(gained, quantity, label)
            colour, marker = looks[label]
            axes.axhline(0, color=INK, lw=1)
            axes.plot(
                [x for x, _, _ in points], [y for _, y, _ in points], marker, color=colour, ms=5, mew=0, alpha=0.8
            )
            if quantity.log:
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_major_formatter(EngFormatter(sep=""))
                axes.xaxis.set_minor_formatter(NullFormatter())
            if min(len({x for x, _, _ in points}), len({y for _, y, _ in points})) >= LEAST:
                rho, p = spearmanr([x for x, _, _ in points], [y for _, y, _ in points])
                axes.set_xlabel(f"Spearman's ρ = {rho:.2f}, {p_text(float(p))}", fontsize=8)
        for axes, label in zip(grid, labels, strict=True):
            _name_ends(axes, _points(gained, quantity, label), quantity.log)
        figure.supxlabel(quantity.name)
        figure.supylabel("difference of F1")
        return figure


def _name_ends(axes: Axes, points: Sequence[tuple[float, float, str]], log: bool) -> None:
    """Name the corpora with the highest and lowest gains, beside their points and not over each other."""
    ordered = sorted(points, key=lambda point: point[1])
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    middle = (left * right) ** 0.5 if log else (left + right) / 2
    inches_high = 1.4  # of a panel without its title and axis, about
    least = 8 / 72 / inches_high * (high - low)  # of a line of text, in units of the axis
    low_ends, high_ends = ordered[:_NAMED], ordered[max(_NAMED, len(ordered) - _NAMED) :]
    for down, ends in ((1, low_ends[::-1]), (-1, high_ends)):  # the outermost is moved further out
        taken = {True: float("inf"), False: float("inf")}
        for x, y, corpus in ends:
            toward = x < middle  # the name stays in the frame
            taken[toward] = at = min(down * y, taken[toward] - least)
            axes.annotate(corpus, (x, y), (5 if toward else -5, (down * at - y) / (high - low) * inches_high * 72),
                          textcoords="offset points", ha="left" if toward else "right", va="center",
                          fontsize=7)  # fmt: skip


def _points(gained: Gains, quantity: Quantity, label: str) -> list[tuple[float, float, str]]:
    return [
        (quantity.values[corpus], gain.estimate, corpus)
        for corpus, gain in zip(gained.corpora, gained.gained[label], strict=True)
        if gain is not None and corpus in quantity.values
    ]
