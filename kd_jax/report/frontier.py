"""F1 against size and speed: every column of an experiment by its models' cards, as a table and a picture."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.table import Table

from kd_jax.errors import InputError
from kd_jax.evaluation.results import read
from kd_jax.report.drawing import COLOURS, INK, STYLE, save
from kd_jax.runtime.files import read_json, replace_file

EXPERIMENT = "frontier"
NEAR = 1.0  # points of F1
HEAD = ("corpus", "model", "seeds", "F1", "parameters", "without words", "bytes", "tokens/s", "p50 (ms)")


class Point(NamedTuple):
    """A column of a corpus, means over its seeds.

    Attributes:
        corpus: name.
        label: of the column.
        taught: whether a teacher was matched.
        seeds: how many.
        f1: on test, in percent.
        parameters: all.
        inner: those without the word table.
        bytes: of the arrays, in float32.
        tokens_per_s: when many sentences are tagged.
        latency: of one sentence, the median in ms.
    """

    corpus: str
    label: str
    taught: bool
    seeds: int
    f1: float
    parameters: int
    inner: int
    bytes: int
    tokens_per_s: float
    latency: float


def write_frontier(workdir: Path, folder: Path) -> tuple[Table, list[str], Path]:
    """Write frontier.csv, frontier.png and frontier.svg.

    Args:
        workdir: of a run of the experiment.
        folder: that gets them.

    Returns:
        The table for people, a sentence about each corpus, and the picture.

    Raises:
        InputError: where the folder has no cards of the experiment, or they are of an older version.
    """
    points, teachers = frontier_points(workdir)
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(Point._fields)
    writer.writerows(points)
    replace_file(folder / "frontier.csv", rows.getvalue().encode())
    save(frontier_figure(points, teachers), folder / "frontier")
    table = Table(title="F1 on test against size and speed, means over seeds")
    for number, column in enumerate(HEAD):
        table.add_column(column, justify="left" if number < 2 else "right")
    for p in points:
        numbers = f"{p.f1:.1f}", f"{p.parameters:,}", f"{p.inner:,}", f"{p.bytes:,}", f"{p.tokens_per_s:,.0f}"
        table.add_row(p.corpus, p.label, str(p.seeds), *numbers, f"{p.latency:.1f}")
    for corpus, f1 in teachers.items():
        table.add_row(corpus, "MTM", "", f"{f1:.1f}", *[""] * 5)
    return table, [smallest_near(points, corpus, f1) for corpus, f1 in teachers.items()], folder / "frontier.png"


def smallest_near(points: Sequence[Point], corpus: str, teacher: float) -> str:
    """Which taught column of a corpus is the smallest within 1 F1 of the teacher, in words.

    Args:
        points: of `frontier_points`.
        corpus: name.
        teacher: its mean F1 there.
    """
    near = [p for p in points if p.corpus == corpus and p.taught and p.f1 >= teacher - NEAR]
    if not near:
        return f"{corpus}: no student is within {NEAR:g} F1 of the teacher's {teacher:.1f}."
    p = min(near, key=lambda p: p.parameters)
    return (
        f"{corpus}: the smallest student within {NEAR:g} F1 of the teacher's {teacher:.1f} is {p.label} with"
        f" {p.f1:.1f}: {p.parameters:,} parameters, {p.inner:,} without words, {p.tokens_per_s:,.0f} tokens/s."
    )


def frontier_points(workdir: Path) -> tuple[list[Point], dict[str, float]]:
    """The columns of the experiment by corpus, the largest first, and the mean F1 of its teachers on each corpus.

    Raises:
        InputError: as of `write_frontier`.
    """
    rows = [row for row in read(workdir / "results.csv") if row.experiment == EXPERIMENT and row.split == "test"]
    rows = [row for row in rows if row.protocol == rows[-1].protocol]  # of the latest run: others were trained on less
    cards: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.model != "MTM" and row.f1 is not None:
            cards.setdefault((row.corpus, row.label), []).append(_card(workdir / row.path / "card.json"))
    if not cards:
        raise InputError(
            f"{workdir}: no models of the experiment {EXPERIMENT} yet; run --experiment={EXPERIMENT} into it"
        )
    points = [_point(corpus, label, of) for (corpus, label), of in cards.items()]
    f1 = {
        corpus: [r.f1 for r in rows if r.model == "MTM" and r.corpus == corpus and r.f1 is not None]
        for corpus, _ in cards
    }
    teachers = {corpus: mean(of) for corpus, of in f1.items() if of}
    return sorted(points, key=lambda p: (p.corpus, not p.taught, -p.parameters)), teachers


def _card(path: Path) -> Mapping[str, Any]:
    try:
        card: Mapping[str, Any] = read_json(path)
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path}: can't be read ({fault}); write the cards again: kd-jax card --workdir=...") from None
    if "word_parameters" not in card:
        raise InputError(f"{path}: of an older version; write the cards again: kd-jax card --workdir=...")
    return card


def _point(corpus: str, label: str, cards: Sequence[Mapping[str, Any]]) -> Point:
    first = cards[0]
    return Point(
        corpus,
        label,
        any(first["weights"][name] for name in ("beta", "gamma", "kappa")),
        len(cards),
        mean(card["f1"] for card in cards),
        first["parameters"],
        first["parameters"] - first["word_parameters"],
        first["bytes"],
        mean(card["speed"]["tokens_per_s"] for card in cards),
        mean(card["speed"]["latency_p50_ms"] for card in cards),
    )


def frontier_figure(points: Sequence[Point], teachers: Mapping[str, float]) -> Figure:
    """F1 over parameters, a row of two panels for each corpus: with the word table, and without.

    Args:
        points: of `frontier_points`.
        teachers: mean F1 of the teachers by corpus, a dashed line. A column without a size in its label, such as the
            STM, is in the table alone.
    """
    corpora = list(dict.fromkeys(p.corpus for p in points))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 1.0 + 2.5 * len(corpora)), layout="constrained")
        grid = figure.subplots(len(corpora), 2, squeeze=False, sharey="row")
        for row, corpus in zip(grid, corpora, strict=True):
            mine = [p for p in points if p.corpus == corpus]
            for axes, field in zip(row, ("parameters", "inner"), strict=True):
                _panel(axes, mine, field, teachers.get(corpus))
            row[0].set_title(corpus, loc="left", fontweight="bold")
            row[0].set_ylabel("F1 (%) on test")
        grid[-1][0].set_xlabel("parameters")
        grid[-1][1].set_xlabel("parameters without the word table")
        # Below the panels, where it covers no point.
        figure.legend(*grid[0][1].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
        return figure


def _panel(axes: Axes, points: Sequence[Point], field: str, teacher: float | None) -> None:
    axes.set_xscale("log")
    axes.grid(visible=True, axis="y")
    for taught, colour, marker, name in (
        (True, COLOURS[0], "o", "with the teacher"),
        (False, COLOURS[1], "s", "without"),
    ):
        mine = [(getattr(p, field), p.f1, p.label.partition(" ")[2]) for p in points if p.taught == taught]
        # Sizes are "100" or, with words of fewer numbers, "50 w25": points beside the line, named on its other side.
        for narrow, mark in ((False, colour), (True, "white")):
            shown = sorted(point for point in mine if (" " in point[2]) == narrow and point[2])
            if not shown:
                continue
            axes.plot(
                [x for x, _, _ in shown], [y for _, y, _ in shown], marker=marker, color=colour, mfc=mark, ms=5,
                lw=0 if narrow else 1.2, label=f"{name}, shorter words (w)" if narrow else name,
            )  # fmt: skip
            for x, y, size in shown:
                away = (0, 6 if taught != narrow else -12)
                axes.annotate(
                    size, (x, y), away, textcoords="offset points", ha="center", fontsize=7, color=colour
                )  # fmt: skip
    if teacher is not None:
        axes.axhline(teacher, color=INK, lw=1, ls=(0, (4, 3)), label="the teacher")
    axes.margins(0.12, 0.22)
