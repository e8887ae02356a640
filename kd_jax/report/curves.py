"""Pictures of training and of tuning: learning curves, F1 over loss weights, F1 over temperatures."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median_high, median_low
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kd_jax.errors import InputError
from kd_jax.evaluation.results import Row
from kd_jax.report.drawing import FAILING, INK, STYLE, Looks, legend_above, look, panels


class Point(NamedTuple):
    """One epoch of one lane, from metrics.jsonl; devel_f1 is None where devel was not scored."""

    experiment: str
    corpus: str
    group: str
    label: str
    seed: int
    epoch: int
    loss: float
    devel_f1: float | None
    protocol: str = ""


def read_metrics(path: Path) -> list[Point]:
    """Points of a metrics.jsonl.

    Args:
        path: the file; nothing is read where there is none.

    Returns:
        A point for each line that has a corpus, a label, an epoch and a loss; a line that was cut off, as a writer that
        was stopped leaves it, is ignored.

    Raises:
        InputError: with path and line for a line that is not a JSON object.
    """
    if not path.exists():
        return []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"{path}: can't be read: {fault}") from None
    points = []
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            if not {"corpus", "label", "epoch", "loss"} <= record.keys():
                continue
            points.append(
                Point(
                    str(record.get("experiment", "")),
                    str(record["corpus"]),
                    # The key is of 0.1.0, whose files are read too; a group was called a cell then.
                    str(record.get("cell", "")),
                    str(record["label"]),
                    int(record.get("seed", 0)),
                    int(record["epoch"]),
                    # JSON has no NaN: a lane that diverged has null.
                    float("nan" if record["loss"] is None else record["loss"]),
                    None if record.get("devel_f1") is None else float(record["devel_f1"]),
                    str(record.get("protocol", "")),
                )
            )
        # A line that was cut off begins as one should and lacks its end: the next writer begins a line of its own.
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            if not line.startswith("{") or line.endswith("}\n"):
                raise InputError(f"{path}:{number}: not a JSON object of a run's metrics; remove the line") from None
    return points


Lanes = Mapping[tuple[str, str], Sequence[Mapping[int, float]]]
"""Of each corpus and label, the values by epoch of its lanes."""


def lanes_of(points: Sequence[Point], quantity: str) -> Lanes:
    """What was recorded of a quantity while models trained.

    Args:
        points: of one experiment.
        quantity: "loss" or "devel_f1".

    Returns:
        The lanes of each corpus and label; nothing where fewer than two epochs were recorded.
    """
    # A lane that was trained again, perhaps for fewer epochs, repeats some: what was recorded last counts.
    lanes: dict[tuple[str, str], dict[tuple[str, int], dict[int, float]]] = {}
    for point in points:
        value = getattr(point, quantity)
        if value is not None and math.isfinite(value):
            curve = lanes.setdefault((point.corpus, point.label), {}).setdefault((point.group, point.seed), {})
            for later in [epoch for epoch in curve if epoch >= point.epoch]:
                del curve[later]
            curve[point.epoch] = value
    if not any(len(curve) > 1 for of_label in lanes.values() for curve in of_label.values()):
        return {}
    return {cell: list(of_label.values()) for cell, of_label in lanes.items()}


def said_of_lines(lanes: Lanes) -> str:
    """What the lines of `learning_curves` are."""
    return "thin lines are seeds, thick ones their means" if any(len(c) > 1 for c in lanes.values()) else "one seed"


def _mean(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    epochs = sorted({epoch for curve in curves for epoch in curve})
    return {epoch: float(np.mean([curve[epoch] for curve in curves if epoch in curve])) for epoch in epochs}


def learning_curves(lanes: Lanes, quantity: str, looks: Looks | None = None, *, legend: bool = True) -> Figure:
    """A panel for each corpus: thin lines are lanes, thick ones their mean.

    Args:
        lanes: what was recorded, at least one.
        quantity: "loss" or "devel_f1".
        looks: of the models; None for those of this picture alone.
        legend: whether the picture says which model has which look.

    Returns:
        The picture. A model that fails leaves the frame and does not stretch the axis.
    """
    corpora = list(dict.fromkeys(corpus for corpus, _ in lanes))
    labels = list(dict.fromkeys(label for _, label in lanes))
    looks = looks or look(labels)
    # A multi-task model's corpus is the names of all, joined by +: of three and more no panel has room for them.
    titles = [corpus if corpus.count("+") < 2 else f"{corpus.count('+') + 1} corpora together" for corpus in corpora]
    with mpl.rc_context(STYLE):
        figure, grid = panels(titles, ["00.00"], 2.6, 2.0)
        for axes, corpus in zip(grid, corpora, strict=True):
            tops = []
            for label in labels:
                curves = lanes.get((corpus, label), [])
                if not curves:
                    continue
                colour, marker = looks[label]
                for curve in curves if len(curves) > 1 else ():
                    axes.plot(list(curve), list(curve.values()), color=colour, lw=0.7, alpha=0.35)
                mean = _mean(curves)
                tops.append(max(mean.values()))
                # Markers at eight epochs or so: one at every epoch would hide the line.
                every = max(1, len(mean) // 8)
                axes.plot(list(mean), list(mean.values()), marker, color=colour, ls="-", lw=1.5, ms=4,
                          markevery=every, label=label)  # fmt: skip
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            if quantity == "devel_f1":
                # A model that never came near the others leaves the frame, with all of its epochs.
                learned = median_high(tops) - FAILING
                of_corpus = [list(c.values()) for (name, _), cs in lanes.items() if name == corpus for c in cs]
                kept = [values for values in of_corpus if max(values) >= learned]
                if len(kept) < len(of_corpus):
                    axes.set_ylim(bottom=min(map(min, kept)) - 1)
            if quantity == "loss":
                axes.set_yscale("log")
                if max(tops) > 30 * median_low(tops):
                    axes.set_ylim(top=3 * median_low(tops))
                axes.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5), numticks=8))
                axes.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
                axes.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        if legend:
            legend_above(figure, grid)
        name = {"loss": "training loss (log scale)", "devel_f1": "entity F1 (%) on devel"}[quantity]
        figure.supxlabel(f"{name} over epochs")
        return figure


def tuned(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows of students that were scored on devel to choose their loss weights or temperature, by head and kind.

    Args:
        rows: of one experiment.

    Returns:
        Rows by "softmax" or "crf", and the kind of student where an experiment has several ("softmax, SM soft");
        nothing for one whose students all have the same weights.
    """
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        # What is shown in a table is scored on test: a student on devel is one that was trained to choose weights.
        if row.split == "devel" and row.model == "SM" and row.f1 is not None:
            kind = row.label.rpartition(": ")[0]  # as a plan names candidates
            by_kind.setdefault(f"{row.head}, {kind}" if kind else row.head, []).append(row)
    return {
        kind: of_kind
        for kind, of_kind in by_kind.items()
        if len({(r.alpha, r.beta, r.gamma, r.kappa, r.tau) for r in of_kind}) > 1
    }


def weights_vary(rows: Sequence[Row]) -> bool:
    """Whether gamma and kappa were varied, so that `weight_grid` has something to show."""
    return len({(r.gamma, r.kappa) for r in rows}) > 1


def temperatures_vary(rows: Sequence[Row]) -> bool:
    """Whether the temperature was varied, so that `temperatures` has something to show."""
    return len({row.tau for row in rows}) > 1


def weight_grid(rows: Sequence[Row]) -> Figure:
    """F1 on devel over beta and gamma: a line of panels for each corpus, one for each alpha and kappa.

    Args:
        rows: students of one head, scored on devel.

    Returns:
        The picture, the best of each corpus framed.
    """
    corpora = list(dict.fromkeys(row.corpus for row in rows))
    outer = sorted({(row.alpha, row.kappa) for row in rows})
    betas, gammas = sorted({row.beta for row in rows}), sorted({row.gamma for row in rows})
    scores: dict[tuple[str, float, float, float, float], list[float]] = {}
    for row in rows:
        if row.f1 is not None:
            scores.setdefault((row.corpus, row.alpha, row.kappa, row.beta, row.gamma), []).append(row.f1)
    with mpl.rc_context(STYLE):
        size = (0.55 * len(betas) + 0.5, 0.42 * len(gammas) + 0.75)
        figure = Figure((size[0] * len(outer) + 0.9, size[1] * len(corpora) + 0.4), layout="constrained")
        grid = figure.subplots(len(corpora), len(outer), squeeze=False, sharex=True, sharey=True)
        for line, corpus in zip(grid, corpora, strict=True):
            means = {key[1:]: float(np.mean(f1)) for key, f1 in scores.items() if key[0] == corpus}
            best = max(means, key=means.__getitem__)
            low, high = min(means.values()), max(means.values())
            for axes, (alpha, kappa) in zip(line, outer, strict=True):
                block = [[means.get((alpha, kappa, beta, gamma), np.nan) for beta in betas] for gamma in gammas]
                # A range of one value would have no shades at all.
                axes.pcolormesh(np.ma.masked_invalid(block), cmap="cividis", vmin=low, vmax=high + 1e-9,
                                edgecolors="white", lw=1)  # fmt: skip
                for y, values in enumerate(block):
                    for x, value in enumerate(values):
                        if np.isfinite(value):
                            # cividis is dark where values are low: letters are light there.
                            dark = value < (low + high) / 2
                            axes.text(x + 0.5, y + 0.5, f"{value:.1f}", ha="center", va="center",
                                      color="#fdfdfd" if dark else "#1a1a1a", fontsize=8)  # fmt: skip
                if best[:2] == (alpha, kappa):
                    corner = (betas.index(best[2]), gammas.index(best[3]))
                    axes.add_patch(mpl.patches.Rectangle(corner, 1, 1, fill=False, ec="#E4572E", lw=2.5, clip_on=False))
                name = corpus if axes is line[0] else ""
                axes.set_title(f"{name}\nα {alpha:g}, κ {kappa:g}", loc="left")
                axes.set_xticks(np.arange(len(betas)) + 0.5, [f"{beta:g}" for beta in betas])
                axes.set_yticks(np.arange(len(gammas)) + 0.5, [f"{gamma:g}" for gamma in gammas])
                axes.tick_params(length=0)
                axes.spines[:].set_visible(False)
            line[0].set_ylabel("γ", rotation=0, labelpad=8)
        figure.supxlabel("β; F1 on devel, each corpus with its own shades, its best framed")
        return figure


def temperatures(rows: Sequence[Row]) -> Figure:
    """F1 on devel over the temperature of soft labels, a panel for each corpus.

    Args:
        rows: students of one head, scored on devel.

    Returns:
        The picture, the best of each corpus ringed.
    """
    taus = sorted({row.tau for row in rows})
    corpora = list(dict.fromkeys(row.corpus for row in rows))
    with mpl.rc_context(STYLE):
        figure, grid = panels(corpora, ["00.0"], 2.2, 1.6)
        for axes, corpus in zip(grid, corpora, strict=True):
            by_tau = {
                tau: [r.f1 for r in rows if (r.corpus, r.tau) == (corpus, tau) and r.f1 is not None] for tau in taus
            }
            means = {tau: float(np.mean(f1)) for tau, f1 in by_tau.items() if f1}
            for tau, f1 in by_tau.items():
                axes.plot([taus.index(tau)] * len(f1), f1, "o", color=INK, alpha=0.5, ms=4, mew=0)
            axes.plot([taus.index(tau) for tau in means], list(means.values()), color=INK, lw=1.5)
            best = max(means, key=means.__getitem__)
            axes.plot(taus.index(best), means[best], "o", mfc="none", mec="#E4572E", ms=11, mew=2)
            axes.set_xticks(range(len(taus)), [f"{tau:g}" for tau in taus])
            axes.margins(0.12, 0.2)
        figure.supxlabel("temperature τ; F1 (%) on devel, the best ringed")
        return figure
