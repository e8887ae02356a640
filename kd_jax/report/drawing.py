"""What all pictures share: one colour a model, the style, panels, the frame of an axis, and files."""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import median, median_high
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from kd_jax.runtime.files import replace_file

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
"""Okabe and Ito's palette, which colour-blind readers can tell apart, its yellow replaced by a grey that prints."""
ON_DARK = ("#4FB3E8", "#FF8B4A", "#3DCB9F", "#E8A3CB", "#F5BC3D", "#9AD8F7", "#F2F2F2", "#A6A6A6")
"""The same colours, lighter, for a dark page."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")  # filled ones: they carry the colour
INK, FAINT, GRID = "#222222", "#BBBBBB", "#E6E6E6"
INCH_A_LETTER = 0.085  # of DejaVu Sans at 9 pt: names take 0.063 to 0.084 a letter, so that the widest fit
FAILING = 12.0
"""Points of F1 below the middle model's at which one that learned little may lie before an axis leaves it out."""

Look = tuple[str, str]
"""A colour and a marker."""
Looks = Mapping[str, Look]
"""Those of each label."""

# A matplotlibrc of the user's, which matplotlib reads in the current folder too, is for pictures of their own.
STYLE: dict[Any, Any] = {name: value for name, value in mpl.rcParamsDefault.items() if "backend" not in name} | {
    "font.size": 9,
    "figure.labelsize": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "legend.frameon": False,
    "svg.hashsalt": "kd_jax",  # else ids are random, and a picture of the same numbers has other bytes
    "savefig.dpi": 150,
}


def model_of(label: str) -> str:
    """The model of a label: where two runs are compared, the label without the run that stands behind it."""
    return re.sub(r" \[[^\]]*\]$", "", label)


def look(labels: Sequence[str]) -> dict[str, Look]:
    """Colour and marker of each label, a different pair for up to 40 models; two runs of a model share the colour."""
    models = list(dict.fromkeys(map(model_of, labels)))
    seen: dict[str, int] = {}
    looks = {}
    for label in labels:
        k = models.index(model_of(label))
        run = seen[models[k]] = seen.get(models[k], -1) + 1
        # 8 colours and 10 markers, both stepping by one, first repeat a pair after their least common multiple, 40. A
        # second run is five markers on, as far from the first as ten allow.
        looks[label] = (COLOURS[k % len(COLOURS)], MARKERS[(k + 5 * run) % len(MARKERS)])
    return looks


def frame(middles: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis of F1 that one failing model does not stretch.

    Args:
        middles: the mean of each model, which say where most of them lie.
        values: what is to be shown.

    Returns:
        Limits around all values but those that lie far below the middle model, more than `FAILING` points and more than
        six times as far as the models usually do.
    """
    middle = median_high(middles)
    reach = max(6 * median(abs(m - middle) for m in middles if m >= middle - FAILING), FAILING)
    shown = [value for value in values if value >= middle - reach] or list(values)
    low, high = min(shown), max(shown)
    room = 0.07 * (high - low) + 0.15
    return low - room, high + room


def beyond(axes: Axes, value: float, y: float, colour: str) -> None:
    """Say that a value lies outside of a panel: an arrow at the frame on its side, and the number."""
    low, high = axes.get_xlim()
    left, number = value < low, f"{value:.1f}".replace("-", "−")
    axes.annotate(
        f"◂ {number}" if left else f"{number} ▸", (low if left else high, y), (3 if left else -3, 0),
        textcoords="offset points", ha="left" if left else "right", va="center", color=colour, fontsize=8,
    )  # fmt: skip


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
        # No version of matplotlib and no date inside, so that the same numbers give the same file.
        for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            buffer = BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
            contents[suffix] = buffer.getvalue()
    buffer = BytesIO()
    # A picture has some 290 colours, soft edges included; with 256 of them its file is less than half as large.
    Image.open(BytesIO(contents["png"])).convert("RGB").quantize(256).save(buffer, "png", optimize=True)
    contents["png"] = buffer.getvalue()
    for suffix, content in contents.items():
        replace_file(stem.with_name(f"{stem.name}.{suffix}"), content)
    return contents


_ON_PAGE = {INK: "--ink", FAINT: "--faint", GRID: "--line", "#ffffff": "--paper"} | {
    colour: f"--m{k}" for k, colour in enumerate(COLOURS)
}
_THEMED = {colour.lower(): f"var({name})" for colour, name in _ON_PAGE.items()} | {"white": "var(--paper)"}


def inline(figure: Figure, name: str) -> str:
    """A picture as SVG for the page: words in the page's font, colours as the page's light or dark theme has them.

    Args:
        figure: the picture.
        name: of the picture, different for each of a page, so that no two pictures share the names of their parts.

    Returns:
        An <svg> element of the picture's own size.
    """
    with mpl.rc_context(STYLE | {"svg.fonttype": "none", "svg.hashsalt": name}):
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    # Ids of groups are numbered anew in each picture, so on one page they would repeat; nothing refers to them.
    text = re.sub(r' id="[a-z0-9]+(?:\.[a-z]+)?_\d+"', "", text)
    text = re.sub(r"(font(?:-family)?: )([^;\"]*)", lambda m: m[1] + _page_font(m[2]), text)
    text = re.sub(r"#[0-9a-fA-F]{6}\b", lambda m: _THEMED.get(m[0].lower(), m[0]), text)
    # matplotlib's SVG is in points, 72 an inch; CSS has 96 pixels an inch, so a point is 4/3 pixels.
    width, height = (72 * inches for inches in figure.get_size_inches())
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" width="{width * 4 / 3:.0f}" height="{height * 4 / 3:.0f}">'
    return re.sub(r"\s*\n\s*", "\n", re.sub(r"<svg[^>]*>", opening, text, count=1))


def _page_font(declared: str) -> str:
    return re.sub(r"'[^']*'(, [^;\"]*)?|DejaVu Sans.*|sans-serif", "var(--sans)", declared, count=1)


def longest(names: Sequence[str]) -> float:
    """Inches that the longest of some names takes."""
    return INCH_A_LETTER * max(map(len, names))


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
    # Names on the vertical axis take room in every column, but once where panels share the axis.
    beside = columns if not shared.get("sharey") else 1
    wide = columns * max(width, longest(titles) + 0.3) + beside * longest(labels) + 0.3
    figure = Figure((max(wide, 3.5), height * lines + 0.4), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, **shared)
    flat = list(grid.flat)
    for axes in flat[len(titles) :]:
        axes.remove()
    # Shared axes are labelled in the last line alone, where the columns of a line that is not full have no panel.
    for axes in flat[max(0, len(titles) - columns) : len(titles)]:
        axes.tick_params(labelbottom=True)
    for axes, title in zip(flat, titles, strict=False):
        axes.set_title(title, loc="left", fontweight="bold")
        axes.grid(visible=True)
    return figure, flat[: len(titles)]


def legend_above(figure: Figure, grid: Sequence[Axes]) -> None:
    """One legend of all panels, in the figure's own height above them."""
    handles = {text: h for axes in grid for h, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    width, height = figure.get_size_inches()
    columns = max(1, int(width / (INCH_A_LETTER * max(map(len, handles)) + 0.6)))
    figure.set_size_inches(width, height + 0.2 * -(-len(handles) // columns) + 0.1)
    figure.legend(handles.values(), handles.keys(), loc="outside upper left", ncols=columns)
