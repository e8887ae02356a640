"""Command line: tables, tests and pictures from a work folder, from two of them, or from the paper's own figures."""

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags
from rich.console import Console
from rich.progress import Progress

from kd_jax import paper
from kd_jax.errors import InputError
from kd_jax.evaluation import claims, comparison, curves, formats, page, results, tables
from kd_jax.evaluation.board import Board, boards, published
from kd_jax.evaluation.results import Row
from kd_jax.evaluation.section import Subject, write_section
from kd_jax.evaluation.significance import POSTHOCS
from kd_jax.files import replace_file

FLAGS = flags.FLAGS


def write_report(workdir: Path) -> Path:
    """Write the report of a work folder into its folder report/.

    Args:
        workdir: with results.csv, and what else a run leaves there.

    Returns:
        The page, report/index.html. Sections whose numbers have not changed are kept as they are.

    Raises:
        InputError: for files that can't be read or written, or a work folder without scores.
    """
    return publish(workdir / "report", subjects_of(workdir), *_heading(workdir), fresh=False)[0]


def subjects_of(workdir: Path, alpha: float = 0.05, method: str = "nemenyi") -> list[Subject]:
    """What there is to report on in a work folder: an entry for each experiment and protocol.

    Args:
        workdir: the work folder.
        alpha: level of the tests.
        method: post hoc test.

    Raises:
        InputError: for files that can't be read, or where nothing was scored on test.
    """
    rows = results.read(workdir / "results.csv")
    types = results.read_types(workdir / "types.csv") if (workdir / "types.csv").exists() else []
    points = curves.read_metrics(workdir / "metrics.jsonl")
    found = []
    for board in boards(rows):
        title = f"Table {board.table}. {paper.TITLES[board.table]}" if board.table else f"Experiment {board.experiment}"
        found.append(
            Subject(
                f"{board.experiment}-{board.protocol}",
                board,
                tables.score_table(board, title, paper.figures(board.table)),
                tuple(tables.type_tables(types, board)),
                tuple(r for r in rows if r.experiment == board.experiment and r.protocol in _protocols(board)),
                tuple(
                    p
                    for p in points
                    if p.experiment in {board.experiment, ""} and p.protocol in {*_protocols(board), ""}
                ),
                partial(_counts, workdir),
                alpha=alpha,
                method=method,
            )
        )
    if not found:
        raise InputError(f"{workdir / 'results.csv'}: no scores on test yet; run an experiment into this folder first")
    return found


def _protocols(board: Board) -> tuple[str, str]:
    """That of a board's models, and that under which their weights are chosen."""
    return board.protocol, "train+clean" if "clean" in board.protocol else "train"


def _counts(workdir: Path, _label: str, row: Row) -> np.ndarray | None:
    return results.read_counts(workdir, row)


def _settings(workdir: Path) -> Mapping[str, Any]:
    path = workdir / "settings.json"
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path}: can't be read as JSON ({fault}); run an experiment again to write it anew") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; run an experiment again to write it anew")
    return content


def _heading(workdir: Path) -> tuple[str, list[tuple[str, str]]]:
    settings = _settings(workdir)
    ran = page.what_ran(settings) if settings else "<p>The work folder has no settings.json.</p>"
    return f"kd_jax: {workdir.resolve().name}", [("What was run last", ran)]


def published_subjects(alpha: float = 0.05, method: str = "nemenyi") -> list[Subject]:
    """The paper's seven tables as subjects."""
    found = []
    for number, title in paper.TITLES.items():
        board = published(number)
        table = tables.score_table(board, f"Table {number}. {title}", {})
        found.append(Subject(f"table-{number}", board, table, alpha=alpha, method=method))
    return found


def compared_subjects(workdirs: Sequence[Path], alpha: float = 0.05, method: str = "nemenyi") -> list[Subject]:
    """Two runs side by side: the second's scores with the first's below them, and tests between the two.

    Args:
        workdirs: two work folders.
        alpha: level of the tests.
        method: post hoc test.

    Raises:
        InputError: for anything but two folders, or two without a common experiment.
    """
    if len(workdirs) != 2:
        raise InputError(f"--workdir was given {len(workdirs)} times: once for a report, twice to compare two runs")
    names = [path.resolve().name for path in workdirs]
    if names[0] == names[1]:
        names = [f"{path.resolve().parent.name}/{name}" for path, name in zip(workdirs, names, strict=True)]
    if names[0] == names[1]:
        names = ["first", "second"]
    first, second = ({(s.board.experiment, s.board.protocol): s for s in subjects_of(w)} for w in workdirs)
    both = [key for key in first if key in second]
    if not both:
        kinds = [" and ".join(" ".join(key) for key in found) for found in (first, second)]
        raise InputError(
            f"no experiment under the same protocol in both: {names[0]} has {kinds[0]}, {names[1]} {kinds[1]}"
        )
    return [_compared(first[key].board, second[key].board, names, workdirs, alpha, method) for key in both]


def _compared(
    first: Board, second: Board, names: Sequence[str], workdirs: Sequence[Path], alpha: float, method: str
) -> Subject:
    labels = [label for label in first.labels if label in second.labels]
    if not labels:
        raise InputError(f"{first.experiment}: {names[0]} and {names[1]} have no model in common")
    alone = [label for label in dict.fromkeys((*first.labels, *second.labels)) if label not in labels]
    folders: dict[str, Path] = {}
    scores, rows = {}, {}
    for board, name, workdir in zip((first, second), names, workdirs, strict=True):
        for corpus, label in board.scores:
            if label in labels:
                folders[f"{label} [{name}]"] = workdir
                scores[corpus, f"{label} [{name}]"] = board.scores[corpus, label]
                rows[corpus, f"{label} [{name}]"] = board.rows[corpus, label]
    pairs = tuple((f"{label} [{names[0]}]", f"{label} [{names[1]}]") for label in labels)
    corpora = tuple(dict.fromkeys((*first.corpora, *second.corpora)))
    merged = Board(
        first.experiment, first.protocol, corpora, tuple(m for pair in pairs for m in pair), scores, rows,
        apart=(*first.apart, *second.apart),
    )  # fmt: skip
    reference = {(corpus, label): first.mean(corpus, label) for corpus, label in first.scores}
    table = tables.score_table(second, f"{first.experiment}: {names[1]} against {names[0]}", reference, names[0])
    notes = [f"{names[0]}: {note}" for note in first.notes] + [f"{names[1]}: {note}" for note in second.notes]
    notes += [f"{label} was run in one of the two only." for label in alone]
    left = [corpus for corpus in corpora if corpus not in merged.common]
    notes += [f"{corpus} was not run in both for every model: left out of the tests." for corpus in left]

    def load(label: str, row: Row) -> np.ndarray | None:
        return results.read_counts(folders[label], row)

    return Subject(
        f"{first.experiment}-{first.protocol}", merged, replace(table, notes=tuple(notes)), load=load, among=pairs,
        alpha=alpha, method=method,
    )  # fmt: skip


def publish(
    folder: Path,
    subjects: Sequence[Subject],
    title: str,
    before: Iterable[tuple[str, str]] = (),
    after: Iterable[tuple[str, str]] = (),
    done: Callable[[str], object] = str,
    *,
    fresh: bool = True,
) -> tuple[Path, list[str]]:
    """Write a report: index.html, tables.md, tables.csv, tables.tex, and a folder of pictures for each subject.

    Args:
        folder: gets the files.
        subjects: its sections.
        title: of the page.
        before: headings and HTML of sections that come before the subjects.
        after: and of those that come after them.
        done: is told of each step.
        fresh: draw again what stands there from the same numbers.

    Returns:
        The page's path, and what the tests within corpora say.

    Raises:
        InputError: where the folder can't be written, or counts by sentence can't be read.
    """
    sections = [write_section(folder / subject.name, subject, done, fresh=fresh) for subject in subjects]
    headed = [(subject.table.title, section.html) for subject, section in zip(subjects, sections, strict=True)]
    everything = [table for subject in subjects for table in (subject.table, *subject.more)]
    replace_file(folder / "tables.md", formats.markdown(everything).encode())
    replace_file(folder / "tables.csv", formats.tidy_csv(everything).encode())
    replace_file(folder / "tables.tex", formats.latex(everything).encode())
    lead = page.bullets([page.glance(s.table) for s in subjects]) + f"<p class=caption>{page.GLOSSARY}</p>"
    index = folder / "index.html"
    replace_file(index, page.page(title, lead, [*before, *headed, *after]).encode())
    for stale in folder.glob("*/section.json"):
        if stale.parent.name not in {subject.name for subject in subjects}:
            shutil.rmtree(stale.parent)
    several = len(subjects) > 1
    said = [
        f"{subject.board.experiment}: {sentence}" if several else sentence
        for subject, section in zip(subjects, sections, strict=True)
        for sentence in section.within
    ]
    return index, said


def define_flags() -> None:
    """The command's flags; defined when it runs, so that other commands can import this room."""
    flags.DEFINE_multi_string("workdir", [], "Work folder of a run; given twice, two runs are compared.")
    flags.DEFINE_boolean(
        "paper", default=False, help="Tables, tests and pictures of the paper's own seven tables, and its claims."
    )
    flags.DEFINE_string("output", None, "Folder of the report; default: report/ in the work folder, or paper_report/.")
    flags.DEFINE_enum("posthoc", "nemenyi", list(POSTHOCS), "Post hoc test over all pairs of models.")
    flags.DEFINE_float("alpha", 0.05, "Level of the tests.", lower_bound=0.0001, upper_bound=0.5)


def report(
    workdirs: Sequence[Path], *, of_paper: bool, output: Path | None, alpha: float, method: str, console: Console
) -> None:
    """Write a report and show its tables and tests.

    Args:
        workdirs: one work folder, or two to compare; none for the paper.
        of_paper: report on the paper's tables.
        output: folder of the report, or None for the usual place.
        alpha: level of the tests.
        method: post hoc test.
        console: where tables, tests and progress go.

    Raises:
        InputError: for whatever can't be read or written.
    """
    before: list[tuple[str, str]] = []
    after: list[tuple[str, str]] = []
    if of_paper:
        if workdirs:
            raise InputError("--paper reports on the paper's tables alone: leave --workdir out")
        subjects, title, folder = published_subjects(alpha, method), "The paper's tables", Path("paper_report")
        found = claims.verdicts(alpha)
        grid = page.grid(claims.HEAD, [claims.cells(verdict) for verdict in found], "plain")
        after.append(("The paper's claims", f"<p>{claims.totals(found)}</p>{grid}<p class=caption>{claims.NOTE}</p>"))
    elif len(workdirs) == 1:
        subjects, folder = subjects_of(workdirs[0], alpha, method), workdirs[0] / "report"
        title, before = _heading(workdirs[0])
    elif workdirs:
        subjects = compared_subjects(workdirs, alpha, method)
        folder = workdirs[0] / "report" / f"against-{workdirs[1].resolve().name}"
        title = f"{workdirs[1]} against {workdirs[0]}"
        before = [(f"What was run last in {w}", _heading(w)[1][0][1]) for w in workdirs]
    else:
        raise InputError("name a work folder with --workdir, or ask for the paper's tables with --paper")
    for subject in subjects:
        console.print(tables.terminal(subject.table, console.width))
        console.print()
        console.print(comparison.terminal(subject.comparison))
        console.print()
    if of_paper:
        console.print(claims.terminal(found, alpha))
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=sum(subject.steps for subject in subjects))

        def done(what: str) -> None:
            progress.update(task, advance=1, description=what)

        index, within = publish(output or folder, subjects, title, before, after, done)
    if within:
        console.print("[bold]Within each corpus, over seeds and sentences[/bold]")
        for sentence in within:
            console.print(sentence, highlight=False, markup=False)
        console.print()
    console.print(f"report: {index}", highlight=False, markup=False, soft_wrap=True)


def main(argv: Sequence[str]) -> None:
    """Report as the flags say; exit 2 with one line where they or the files are wrong."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that can't show ± or − is no reason to fail
    if len(argv) > 1:
        print(f"error: {argv[1]}: flags look like --name=value", file=sys.stderr)
        sys.exit(2)
    try:
        report(
            [Path(path) for path in FLAGS.workdir],
            of_paper=FLAGS.paper,
            output=None if FLAGS.output is None else Path(FLAGS.output),
            alpha=FLAGS.alpha,
            method=FLAGS.posthoc,
            console=Console(),
        )
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    define_flags()
    app.run(main)
