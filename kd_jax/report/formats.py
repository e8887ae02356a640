"""Tables of scores as Markdown, CSV and LaTeX (booktabs)."""

import csv
import re
from collections.abc import Sequence
from io import StringIO

from kd_jax.report.tables import Cell, ScoreTable

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "¹": r"$^1$", "²": r"$^2$", "−": "$-$",
    "–": "--",
})  # fmt: skip
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\|*_<>`"})


def signed(number: float) -> str:
    """A difference of F1 with its sign."""
    # z: a difference that rounds to 0 is +0.0, never -0.0. The sign is a minus, as wide as the plus.
    return f"{number:+z.1f}".replace("-", "−")


def _markdown_cell(cell: Cell | None) -> str:
    if cell is None:
        return "–"
    marks = ("", "**", "_")[cell.place]
    text = f"{marks}{cell.mean:.1f}{marks}" + ("" if cell.sd is None else f" ± {cell.sd:.1f}")
    return text if cell.delta is None else f"{text} ({cell.reference:.1f}, {signed(cell.delta)})"


def markdown(tables: Sequence[ScoreTable]) -> str:
    """Tables as Markdown: best in bold, second best in italics, reference and difference in brackets."""
    parts = []
    for table in tables:
        lines = [f"### {table.title.translate(_MARKDOWN)}", ""]
        lines.append("| | " + " | ".join(label.translate(_MARKDOWN) for label in table.labels) + " |")
        lines.append("|---|" + "---:|" * len(table.labels))
        for name, cells in (*table.rows, *table.averages):
            lines.append(f"| {name.translate(_MARKDOWN)} | " + " | ".join(map(_markdown_cell, cells)) + " |")
        # Captions speak of the terminal's signs (`kd_jax.report.tables`); Markdown has other means for them.
        caption = table.caption.replace("¹ best, ² second best", "**best**, _second best_").replace(
            f"below: {table.reference}, and the difference", f"in brackets: {table.reference}, and the difference"
        )
        parts.append("\n".join([*lines, "", caption, *(f"- {note}" for note in table.notes)]))
    return "\n\n".join(parts) + "\n"


def tidy_csv(tables: Sequence[ScoreTable]) -> str:
    """Tables as one CSV, a line for each score, with six decimals: beyond them is float arithmetic.

    Its columns: table, row, average (true or false), label, mean, sd, seeds, place (1 best, 2 second best, 0),
    reference, delta.
    """
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["table", "row", "average", "label", "mean", "sd", "seeds", "place", "reference", "delta"])
    for table in tables:
        for average, rows in (("false", table.rows), ("true", table.averages)):
            for name, cells in rows:
                for label, cell in zip(table.labels, cells, strict=True):
                    if cell:
                        numbers = (cell.mean, cell.sd, cell.seeds, cell.place, cell.reference, cell.delta)
                        lines.writerow([table.title, name, average, label, *(_plain(n) for n in numbers)])
    return text.getvalue()


def _plain(number: float | None) -> str:
    return "" if number is None else str(round(number, 6))


def _latex_cells(cells: Sequence[Cell | None]) -> str:
    texts = []
    for cell in cells:
        if cell is None:
            texts.append("--")
            continue
        mean = (r"{}", r"\textbf{{{}}}", r"\underline{{{}}}")[cell.place].format(f"{cell.mean:.1f}")
        texts.append(mean + ("" if cell.sd is None else rf" {{\scriptsize$\pm${cell.sd:.1f}}}"))
    return " & ".join(texts)


def _latex_reference(cells: Sequence[Cell | None]) -> str:
    texts = []
    for cell in cells:
        if cell is None or cell.delta is None:
            texts.append("")
        else:
            texts.append(rf"{{\scriptsize {cell.reference:.1f} (${cell.delta:+z.1f}$)}}")
    return " & ".join(texts)


_LINE = 68
"""Letters of \\small that a line of an article's text holds."""


def _blocks(table: ScoreTable) -> list[slice]:
    """Columns that fit beside each other on a page, block by block."""
    longest = max(len(name) for name, _ in (*table.rows, *table.averages))
    # Letters of \small that a cell takes: 75.3 ±1.2, or 75.3 (+0.2) below it, the latter in \scriptsize as is ±1.2.
    least = 9 if table.reference else 8
    blocks, start, width = [], 0, longest
    for k, label in enumerate(table.labels):
        # 4 pt on either side of a column are about two letters.
        takes = max(len(label), least) + 2
        if k > start and width + takes > _LINE:
            blocks.append(slice(start, k))
            start, width = k, longest
        width += takes
    return [*blocks, slice(start, len(table.labels))]


def latex(tables: Sequence[ScoreTable]) -> str:
    """Tables as LaTeX for the booktabs package: best in bold, second best underlined, reference in a line below.

    A table that is wider than a page goes on in a second one below, with the same rows.
    """
    parts = ["% \\usepackage{booktabs}"]
    for table in tables:
        # LaTeX numbers tables itself.
        title = re.sub(r"^Table \d+\. ", "", table.title)
        caption = f"{title}. {table.caption}".replace("¹ best, ² second best", "bold: best, underlined: second")
        captions = [" ".join([caption, *table.notes]), f"{title}, continued."]
        parts += [
            _latex_block(table, block, captions[min(1, block.start)].translate(_LATEX)) for block in _blocks(table)
        ]
    return "\n\n".join(parts) + "\n"


def _latex_block(table: ScoreTable, block: slice, caption: str) -> str:
    labels = table.labels[block]
    lines = [
        r"\begin{table}", r"\centering\small\setlength{\tabcolsep}{4pt}",
        r"\begin{tabular}{@{}l" + "r" * len(labels) + "@{}}", r"\toprule",
        " & ".join(["", *(label.translate(_LATEX) for label in labels)]) + r" \\", r"\midrule",
    ]  # fmt: skip
    for k, (name, cells) in enumerate((*table.rows, *table.averages)):
        if k == len(table.rows):
            lines.append(r"\midrule")
        lines.append(f"{name.translate(_LATEX)} & {_latex_cells(cells[block])} \\\\")
        if any(cell and cell.reference is not None for cell in cells[block]):
            lines.append(f" & {_latex_reference(cells[block])} \\\\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", rf"\caption{{{caption}}}", r"\end{table}"])
