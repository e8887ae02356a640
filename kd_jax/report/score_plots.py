"""Pictures of scores: F1 of every seed on each corpus, and what some models gain over others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kd_jax.evaluation.significance import Interval
from kd_jax.report.drawing import FAILING, INK, STYLE, Looks, beyond, frame, look, panels
from kd_jax.report.score_matrix import ScoreMatrix


def said_of_points(matrix: ScoreMatrix) -> str:
    """What the points of `corpus_scores` are: seeds where there are several, else what they come from."""
    seeds = max((len(scores) for scores in matrix.scores.values()), default=0)
    if seeds > 1:
        return "points are seeds, bars their means"
    return "one seed" if matrix.rows else "published means"


def corpus_scores(matrix: ScoreMatrix, looks: Looks | None = None) -> Figure:
    """F1 of every seed and the mean over seeds, a panel for each corpus with an axis of its own.

    Args:
        matrix: the scores.
        looks: of the models; None for those of this picture alone.

    Returns:
        The picture. A model that fails is told by its number at the frame and does not stretch the axis.
    """
    with mpl.rc_context(STYLE):
        names, looks = matrix.labels, looks or look(matrix.labels)
        figure, grid = panels(matrix.corpora, names, 2.2, 0.62 + 0.2 * len(names), sharey=True)
        for axes, corpus in zip(grid, matrix.corpora, strict=True):
            of_corpus = {m: list(matrix.scores.get((corpus, m), {}).values()) for m in names}
            means = {m: float(np.mean(scores)) for m, scores in of_corpus.items() if scores}
            if means:  # not where every model of a corpus diverged
                low, high = frame(list(means.values()), [f1 for scores in of_corpus.values() for f1 in scores])
                axes.set_xlim(low, high)
            for y, label in enumerate(names):
                colour, marker = looks[label]
                if label in means and means[label] < low:
                    beyond(axes, means[label], y, colour)
                elif label in means:
                    scores = of_corpus[label]
                    several = len(scores) > 1
                    how = {"ms": 5, "alpha": 0.65} if several else {"ms": 6}
                    axes.plot(scores, [y] * len(scores), marker, color=colour, mew=0, **how)
                    if several:
                        axes.plot([means[label]] * 2, [y - 0.36, y + 0.36], color=INK, lw=1.6)
                    if len(matrix.corpora) == 1:  # a panel alone has the room to be read exactly
                        axes.annotate(f"{means[label]:.1f}", (1, y), (2, 0), xycoords=("axes fraction", "data"),
                                      textcoords="offset points", va="center", fontsize=8)  # fmt: skip
            axes.set_yticks(range(len(names)), names)
            axes.xaxis.set_major_locator(MaxNLocator(4))
        grid[0].set_ylim(len(names) - 0.5, -0.5)
        figure.supxlabel(f"entity F1 (%) on test; {said_of_points(matrix)}")
        return figure


def baselines(matrix: ScoreMatrix, kinds: Sequence[str] = ("SM",)) -> Mapping[str, str]:
    """The single-task model that each student stands against: the one of its own head, if any was run.

    Args:
        matrix: the scores.
        kinds: of models that are held against it; ("MTM", "SM") for teachers too.
    """
    heads: dict[str, str] = {}
    single: dict[str, str] = {}
    for (_, label), rows in matrix.rows.items():
        heads[label] = rows[0].head
        if rows[0].model == "STM":
            single.setdefault(rows[0].head, label)
    # Published figures have no rows that say model and head; their labels do.
    if not matrix.rows:
        heads = {label: "crf" if "CRF" in label else "softmax" for label in matrix.labels}
        single = {heads[label]: label for label in matrix.labels if label.startswith("STM")}
    models = {label: rows[0].model for (_, label), rows in matrix.rows.items()}
    held = [label for label in matrix.labels if models.get(label, label.split()[0].split("-")[0]) in kinds]
    fallback = next(iter(single.values()), None)
    bases = {label: single.get(heads.get(label, ""), fallback) for label in held}
    return {label: base for label, base in bases.items() if base is not None}


USUAL = 30.0
"""Points of F1 that a teacher may give a small corpus; what is above that stands against a model that failed."""

Limits = Mapping[tuple[str, str, str], Interval]
"""Differences with their 95 % limits, by corpus, label and the label it stands against."""


@dataclass(frozen=True)
class Gains:
    """What some models gain over others, corpus by corpus.

    Attributes:
        corpora: the rows.
        against: the label that each label stands against, such as `baselines` finds them.
        gained: of each label, a gain for each corpus with its limits, infinite where they are not known; None where it
            was not run.
    """

    corpora: tuple[str, ...]
    against: Mapping[str, str]
    gained: Mapping[str, tuple[Interval | None, ...]]

    @classmethod
    def of(cls, matrix: ScoreMatrix, against: Mapping[str, str], limits: Limits = MappingProxyType({})) -> "Gains":
        """The differences of the means of a score matrix."""

        def gain(corpus: str, label: str, base: str) -> Interval | None:
            if (corpus, label) not in matrix.scores or (corpus, base) not in matrix.scores:
                return None
            _, low, high = limits.get((corpus, label, base), Interval(0, -np.inf, np.inf))
            return Interval(matrix.mean(corpus, label) - matrix.mean(corpus, base), low, high)

        gained = {
            label: tuple(gain(corpus, label, base) for corpus in matrix.corpora) for label, base in against.items()
        }
        return cls(matrix.corpora, against, {m: row for m, row in gained.items() if any(row)})

    @property
    def known(self) -> list[Interval]:
        """All that is known."""
        return [gain for row in self.gained.values() for gain in row if gain is not None]

    @cached_property
    def span(self) -> tuple[float, float]:
        """Where the axis of all labels begins and ends, 0 within; a model that fails does not stretch it."""
        gains = [gain.estimate for gain in self.known]
        # As `frame` has it: what is far from the usual gain leaves the axis, and is told by its number.
        most = max(6 * float(np.median(np.abs(gains))), FAILING)
        shown = [gain for gain in self.known if -most <= gain.estimate <= max(most, USUAL)] or self.known
        low, high = min(0.0, *(g.estimate for g in shown)), max(0.0, *(g.estimate for g in shown))
        # Limits may stretch the axis to three times the gains, then they are cut: gains have to stay legible.
        far = 3 * max(high, -low, 0.5)
        ends = [end for gain in shown for end in gain[1:] if np.isfinite(end)]
        low, high = max(min([low, *ends]), -far), min(max([high, *ends]), far)
        room = 0.06 * (high - low) + 0.1
        return low - room, high + room

    @property
    def ends(self) -> list[float]:
        """Where limits of what is on the axis end."""
        low, high = self.span
        on_axis = (gain for gain in self.known if low <= gain.estimate <= high)
        return [end for gain in on_axis for end in gain[1:] if np.isfinite(end)]

    @property
    def cut(self) -> bool:
        """Whether limits go beyond the axis."""
        low, high = self.span
        return any(not low <= end <= high for end in self.ends)


def gains(gained: Gains, labels: Sequence[str], looks: Looks | None = None) -> Figure:
    """What some models gain over others, corpus by corpus, with 95 % limits over seeds and sentences.

    Args:
        gained: the gains.
        labels: those of its labels that are shown, a panel for each.
        looks: of the models; None for those of this picture alone.
    """
    looks = looks or look(list(gained.gained))
    with mpl.rc_context(STYLE):
        titles = [f"{label} − {gained.against[label]}" for label in labels]
        height = 0.7 + 0.2 * len(gained.corpora)
        figure, grid = panels(titles, gained.corpora, 2.2, height, sharex=True, sharey=True)
        grid[0].set(xlim=gained.span, ylim=(len(gained.corpora) - 0.5, -0.5))
        for axes, label in zip(grid, labels, strict=True):
            colour, marker = looks[label]
            axes.axvline(0, color=INK, lw=1)
            for y, gain in enumerate(gained.gained[label]):
                if gain is None:
                    continue
                if not gained.span[0] <= gain.estimate <= gained.span[1]:
                    beyond(axes, gain.estimate, y, colour)
                    continue
                if np.isfinite(gain.low):
                    axes.plot(gain[1:], [y, y], color=colour, lw=1.6)
                axes.plot(gain.estimate, y, marker, color=colour, ms=6)
            axes.set_yticks(range(len(gained.corpora)), gained.corpora)
        limits_note = ", with 95 % limits over seeds and sentences" if gained.ends else ""
        limits_note += " (cut at the frame)" if gained.cut else ""
        figure.supxlabel(f"difference of F1{limits_note}")
        return figure
