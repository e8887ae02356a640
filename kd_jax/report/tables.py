"""Tables of scores: rows are corpora, columns models, with the paper's figures, averages, best and second best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.experiment import experiments, load_experiment
from kd_jax.report import published as paper
from kd_jax.report.score_matrix import ScoreMatrix, listed, score_matrices

PLACES = ("", "¹", "²")


@dataclass(frozen=True)
class Cell:
    """A score and what it is compared with.

    Attributes:
        mean: F1 in percent, over seeds or corpora.
        sd: standard deviation over seeds (n - 1); None for fewer than two.
        seeds: number of seeds.
        place: 1 for the row's best, 2 for its second best, 0 for the others.
        reference: the figure of the paper, or of the other run; None where there is none.
    """

    mean: float
    sd: float | None = None
    seeds: int = 1
    place: int = 0
    reference: float | None = None

    @property
    def delta(self) -> float | None:
        """Mean minus reference."""
        return None if self.reference is None else self.mean - self.reference


@dataclass(frozen=True)
class ScoreTable:
    """A table of scores, ready to be rendered.

    Attributes:
        title: its heading.
        caption: what the numbers are.
        labels: its columns.
        rows: name and cells of each row; None for what was not run.
        averages: the same for rows that average over others.
        reference: whose figures stand beside ours; "" for nobody's.
        notes: sentences about what is missing.
    """

    title: str
    caption: str
    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell | None, ...]], ...]
    averages: tuple[tuple[str, tuple[Cell | None, ...]], ...] = ()
    reference: str = ""
    notes: tuple[str, ...] = ()


def _placed(cells: Sequence[Cell | None]) -> tuple[Cell | None, ...]:
    # By what is printed: two models that read 75.3 share a place, whatever their further decimals.
    shown = sorted({f"{cell.mean:.1f}" for cell in cells if cell}, key=float, reverse=True)
    best = shown[: min(2, len(shown) - 1)]  # the lowest has no place
    place = {text: k + 1 for k, text in enumerate(best)}
    return tuple(
        cell and Cell(cell.mean, cell.sd, cell.seeds, place.get(f"{cell.mean:.1f}", 0), cell.reference)
        for cell in cells
    )


def _cell(scores: Sequence[float], reference: float | None) -> Cell:
    sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
    return Cell(float(np.mean(scores)), sd, len(scores), reference=reference)


def _average(
    matrix: ScoreMatrix, corpora: Sequence[str], reference: Mapping[tuple[str, str], float]
) -> tuple[Cell, ...]:
    cells = []
    for label in matrix.labels:
        scores = [matrix.scores[corpus, label] for corpus in corpora]
        theirs = [reference[corpus, label] for corpus in corpora if (corpus, label) in reference]
        beside = float(np.mean(theirs)) if len(theirs) == len(corpora) else None
        # Averages of each seed have a spread only if every corpus has the same seeds; else there is a mean alone.
        if all(list(s) == list(scores[0]) for s in scores):
            cells.append(_cell([float(np.mean([s[seed] for s in scores])) for seed in scores[0]], beside))
        else:
            cells.append(Cell(float(np.mean([matrix.mean(corpus, label) for corpus in corpora])), reference=beside))
    return tuple(cells)


def score_table(
    matrix: ScoreMatrix, title: str, reference: Mapping[tuple[str, str], float], name: str = "the paper"
) -> ScoreTable:
    """The table of a score matrix.

    Args:
        matrix: the scores.
        title: heading.
        reference: F1 in percent to stand beside ours, by (corpus, label).
        name: whose figures those are.

    Returns:
        The table. Its averages are macro averages over the corpora that every model was scored on, and the reference's
        are recomputed over the same ones; where the reference lacks some of these corpora, one more row averages over
        those that it has.
    """
    rows = []
    for corpus in matrix.corpora:
        cells = [
            _cell(list(matrix.scores[corpus, label].values()), reference.get((corpus, label)))
            if (corpus, label) in matrix.scores
            else None
            for label in matrix.labels
        ]
        rows.append((corpus, _placed(cells)))
    common = matrix.common
    known = [corpus for corpus in common if any((corpus, label) in reference for label in matrix.labels)]
    averages = []
    if len(common) > 1:
        averages.append((f"Average of {len(common)}", _placed(_average(matrix, common, reference))))
    if 1 < len(known) < len(common):
        averages.append((f"Of {len(known)} in {name}", _placed(_average(matrix, known, reference))))
    beside = name if any(cell and cell.reference is not None for _, cells in rows for cell in cells) else ""
    notes = (*matrix.notes, *_in_default_mode(matrix))
    return ScoreTable(title, _caption(matrix, beside), matrix.labels, tuple(rows), tuple(averages), beside, notes)


def _in_default_mode(matrix: ScoreMatrix) -> list[str]:
    """A sentence about F1 in seqeval's default mode, which most published figures use; none where it isn't known."""
    known = {cell: [row.default_f1 for row in rows if row.f1 is not None] for cell, rows in matrix.rows.items()}
    if not known or any(f1 is None for scores in known.values() for f1 in scores):
        return []
    if all(row.f1 is None or row.default_f1 == row.f1 for rows in matrix.rows.values() for row in rows):
        return ["In seqeval's default mode every score is the same: all tag sequences are legal."]
    labels = {
        label: [cell for cell in known if cell[1] == label and cell[0] in matrix.common] for label in matrix.labels
    }
    means = [
        f"{label} {np.mean([np.mean([f1 for f1 in known[cell] if f1 is not None]) for cell in cells]):.1f}"
        for label, cells in labels.items()
        if cells
    ]
    return [f"In seqeval's default mode, which most published figures use: {', '.join(means)}."]


def _caption(matrix: ScoreMatrix, beside: str) -> str:
    seeds: dict[tuple[int, ...], list[str]] = {}
    for label in matrix.labels:
        of_label = {seed for (_, other), by_seed in matrix.scores.items() if other == label for seed in by_seed}
        seeds.setdefault(tuple(sorted(of_label)), []).append(label)
    seeds.pop((), None)
    schemes = sorted({row.scheme for rows in matrix.rows.values() for row in rows})
    parts = ["Entity F1 in percent on test"]
    if schemes:
        parts[0] += f" (seqeval, {' / '.join(schemes)})"
    if matrix.protocol:
        parts.append(f"trained on {matrix.protocol}")
    if matrix.rows and seeds:
        usual = max(seeds, key=lambda group: len(seeds[group]))
        text = f"mean ± sd over seeds {listed(usual)}" if len(usual) > 1 else f"seed {usual[0]}"
        others = [f"{listed(labels)}: {listed(group)}" for group, labels in seeds.items() if group != usual]
        parts.append(text + (f" ({'; '.join(others)})" if others else ""))
    if beside:
        parts.append(f"below: {beside}, and the difference")
    return "; ".join([*parts, "¹ best, ² second best"]) + "."


def experiment_tables(rows: Sequence[Row], number: int | None = None) -> list[ScoreTable]:
    """The tables that an experiment ends with, one for each protocol it was run under.

    Args:
        rows: its rows of results.csv.
        number: the paper's table that it repeats; None for an experiment of one's own.

    Returns:
        Tables with the paper's figures for those of its corpora and models that the paper has.
    """
    return [score_table(m, title_of(m, number), paper.figures(number)) for m in score_matrices(rows)]


def title_of(matrix: ScoreMatrix, number: int | None) -> str:
    """The heading of an experiment's table: what it is, and whose equations its students' losses have.

    Args:
        matrix: its scores.
        number: the paper's table that it repeats; None for others, which have the title of a built-in experiment, or a
            name.
    """
    students = {row.equations for rows in matrix.rows.values() for row in rows if row.model == "SM"} - {"-"}
    losses = f", {' and '.join(sorted(students))} equations" if students else ""
    if number:
        return f"Table {number}. {paper.TITLES[number]}{losses}"
    name = matrix.experiment
    title = f"{load_experiment(name).title} ({name})" if name in experiments() else f"Experiment {name}"
    return title + losses


def type_tables(rows: Sequence[TypeRow], matrix: ScoreMatrix) -> list[ScoreTable]:
    """F1 by entity type of each corpus that has several.

    Args:
        rows: rows of types.csv.
        matrix: the experiment and protocol whose types are wanted.

    Returns:
        A table a corpus; its rows are entity types with their gold entities in brackets.
    """
    score_tables = []
    for corpus in matrix.corpora:
        scores: dict[tuple[str, str], list[float]] = {}
        support: dict[str, int] = {}
        for row in rows:
            wanted = (row.experiment, row.protocol, row.split, row.corpus)
            if wanted == (matrix.experiment, matrix.protocol, "test", corpus):
                scores.setdefault((row.type, row.label), []).append(row.f1)
                support[row.type] = max(row.support, support.get(row.type, 0))
        # A type without gold entities was only ever predicted, and has no F1 but 0.
        kinds = sorted(kind for kind, gold in support.items() if gold)
        if len(kinds) < 2:
            continue
        labels = tuple(label for label in matrix.labels if any(other == label for _, other in scores))
        lines = []
        for kind in kinds:
            cells = [_cell(scores[kind, m], None) if (kind, m) in scores else None for m in labels]
            lines.append((f"{kind} ({support[kind]})", _placed(cells)))
        caption = "Entity F1 in percent on test by type, gold entities in brackets; ¹ best, ² second best."
        score_tables.append(ScoreTable(f"{corpus} by entity type", caption, labels, tuple(lines)))
    return score_tables


def _lines(cell: Cell | None, *, referenced: bool) -> Text:
    if cell is None:
        return Text("–")
    sd = "" if cell.sd is None else f" ± {cell.sd:.1f}"
    style = ("", "bold", "underline")[cell.place]
    text = Text.assemble((f"{cell.mean:.1f}", style), sd, PLACES[cell.place])
    if referenced:
        beside = "" if cell.reference is None else f"\n{cell.reference:.1f} {cell.delta:+z.1f}".replace("-", "−")
        text.append(beside, "dim")
    return text


def terminal(table: ScoreTable, width: int = 80) -> RenderableType:
    """A table for a terminal.

    Args:
        table: the table.
        width: columns of the terminal; models that don't fit beside each other follow below.

    Returns:
        Something for a rich Console to print.
    """
    everything = [*table.rows, *table.averages]
    first = max(len(name) for name, _ in everything) + 1
    texts = [[_lines(cell, referenced=bool(table.reference)) for cell in cells] for _, cells in everything]
    inner = max([len(line) for row in texts for text in row for line in text.plain.split("\n")])
    inner = max([inner, *(len(word) for label in table.labels for word in label.split())])
    fit = max(1, (width - first) // (inner + 2))
    parts: list[RenderableType] = []
    for start in range(0, len(table.labels), fit):
        labels = table.labels[start : start + fit]
        grid = Table(
            title=table.title + (" (continued)" if start else ""), title_justify="left", title_style="bold",
            box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1),
        )  # fmt: skip
        grid.add_column("", no_wrap=True)
        for label in labels:
            grid.add_column(label, justify="right", min_width=inner, max_width=inner)
        for k, ((name, _), row) in enumerate(zip(everything, texts, strict=True)):
            grid.add_row(name, *row[start : start + fit], end_section=k == len(table.rows) - 1)
        parts.append(grid)
    parts.append(Text(table.caption, "dim"))
    parts += [Text(note) for note in table.notes]
    return Group(*parts)


def experiment_table(rows: Sequence[Row], number: int | None = None, width: int = 80) -> RenderableType:
    """What an experiment shows at its end: its tables for a terminal.

    Args:
        rows: its rows of results.csv.
        number: the paper's table that it repeats, or None.
        width: columns of the terminal.

    Returns:
        Something for a rich Console to print.
    """
    return Group(*(terminal(table, width) for table in experiment_tables(rows, number)))
