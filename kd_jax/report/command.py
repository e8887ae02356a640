"""A report as a user asked for it: of a work folder, of two, or of the paper; written, and shown on the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from kd_jax.errors import InputError
from kd_jax.report import claims, comparison, page, tables
from kd_jax.report.build import (
    Heading,
    compared_heading,
    compared_subjects,
    heading,
    publish,
    published_subjects,
    subjects_of,
)
from kd_jax.report.frontier import write_frontier


def report(
    workdirs: Sequence[Path],
    *,
    of_paper: bool,
    output: Path | None,
    alpha: float,
    method: str,
    console: Console,
    of_frontier: bool = False,
) -> None:
    """Write a report and show its tables and tests.

    Args:
        workdirs: one work folder, or two to compare; none for the paper.
        of_paper: report on the paper's tables.
        output: folder of the report, or None for the usual place.
        alpha: level of the tests.
        method: post hoc test.
        console: where tables, tests and progress go.
        of_frontier: show F1 against size and speed, of a run of the experiment of that name, and nothing else.

    Raises:
        InputError: for whatever can't be read or written.
    """
    if of_frontier:
        if len(workdirs) != 1 or of_paper:
            raise InputError("--frontier reports on one work folder: name it, and leave --paper out")
        by_size, said, picture = write_frontier(workdirs[0], output or workdirs[0] / "report")
        console.print(by_size)
        for sentence in said:
            console.print(sentence, highlight=False, markup=False)
        console.print(f"picture: {picture}", highlight=False, markup=False, soft_wrap=True)
        return
    if of_paper:
        if workdirs:
            raise InputError("--paper reports on the paper's tables alone: leave --workdir out")
        subjects, folder = published_subjects(alpha, method), Path("paper_report")
        judged = claims.verdicts(alpha)
        summary = claims.totals(judged)
        table = page.grid(claims.HEAD, [claims.cells(verdict) for verdict in judged], "plain")
        html = page.render("claims.html", said=summary, table=table, note=claims.NOTE)
        around = Heading(
            "The paper's tables", ["kd-jax report --paper"], after=[page.Part("The paper's claims", summary, html)]
        )
    elif len(workdirs) == 1:
        subjects, folder = subjects_of(workdirs[0], alpha, method), workdirs[0] / "report"
        around = heading(workdirs[0])
    elif workdirs:
        subjects = compared_subjects(workdirs, alpha, method)
        folder = workdirs[0] / "report" / f"against-{workdirs[1].resolve().name}"
        around = compared_heading(workdirs)
    else:
        raise InputError("name a work folder with --workdir, or ask for the paper's tables with --paper")
    for subject in subjects:
        console.print(tables.terminal(subject.table, console.width))
        console.print()
        console.print(comparison.terminal(subject.comparison))
        console.print()
    if of_paper:
        console.print(claims.terminal(judged, alpha))
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=sum(subject.steps for subject in subjects))

        def done(what: str) -> None:
            progress.update(task, advance=1, description=what)

        index, within = publish(output or folder, subjects, around, done)
    if within:
        console.print("[bold]Within each corpus, over its sentences[/bold]")
        for sentence in within:
            console.print(sentence, highlight=False, markup=False)
        console.print()
    console.print(f"report: {index}", highlight=False, markup=False, soft_wrap=True)
