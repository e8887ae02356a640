"""From files to a report: of a work folder, of two of them, or of the paper's own figures."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row
from kd_jax.experiment import experiments, load_experiment
from kd_jax.report import curves, formats, page, tables
from kd_jax.report import published as paper
from kd_jax.report.score_matrix import ScoreMatrix, published, score_matrices
from kd_jax.report.section import Subject, remove_stale, write_section
from kd_jax.report.trend_plots import Traits
from kd_jax.runtime.files import read_json, replace_file


def write_report(workdir: Path) -> Path:
    """Write the report of a work folder into its folder report/.

    Args:
        workdir: with results.csv, and what else a run leaves there.

    Returns:
        The page, report/index.html. Sections whose numbers have not changed are kept as they are.

    Raises:
        InputError: for files that can't be read or written, or a work folder without scores.
    """
    return publish(workdir / "report", subjects_of(workdir), heading(workdir), fresh=False)[0]


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
    subjects = [
        Subject(
            f"{matrix.experiment}-{matrix.protocol}",
            matrix,
            tables.score_table(matrix, tables.title_of(matrix, matrix.table), paper.figures(matrix.table)),
            tuple(tables.type_tables(types, matrix)),
            tuple(r for r in rows if r.experiment == matrix.experiment and r.protocol in _protocols(matrix)),
            tuple(p for p in points if p.experiment in {matrix.experiment, ""} and p.protocol in {matrix.protocol, ""}),
            partial(_counts, workdir),
            alpha=alpha,
            method=method,
            named=_named_pairs(workdir, matrix),
            traits=_traits(workdir, matrix.protocol),
        )
        for matrix in score_matrices(rows)
    ]
    if not subjects:
        raise InputError(f"{workdir / 'results.csv'}: no scores on test yet; run an experiment into this folder first")
    return subjects


def _protocols(matrix: ScoreMatrix) -> tuple[str, str]:
    """That of a score matrix's models, and that under which their weights are chosen."""
    return matrix.protocol, "train+clean" if "clean" in matrix.protocol else "train"


def _counts(workdir: Path, _label: str, row: Row) -> np.ndarray | None:
    return results.read_counts(workdir, row)


def _named_pairs(workdir: Path, matrix: ScoreMatrix) -> tuple[tuple[str, str], ...] | None:
    """The pairs that an experiment named before it was run, those that have been scored; None where it named none."""
    # As they were when it ran: the experiment's file may have been changed since, or be one of the user's own.
    ran: Any = _settings(workdir).get("experiment")
    if isinstance(ran, dict) and ran.get("name") == matrix.experiment:
        pairs = [tuple(map(str, pair)) for pair in ran.get("pairs", ()) if isinstance(pair, list)]
    else:
        pairs = list(load_experiment(matrix.experiment).pairs) if matrix.experiment in experiments() else []
    return tuple((a, b) for a, b in pairs if {a, b} <= set(matrix.labels)) or None


def _traits(workdir: Path, protocol: str) -> dict[str, Traits]:
    """What the last run says of its corpora; nothing where sentences are left out, which it does not count."""
    if "clean" in protocol:
        return {}
    found = {}
    corpora: Any = _settings(workdir).get("corpora")
    for name, about in corpora.items() if isinstance(corpora, dict) else ():
        try:
            tokens = sum(int(about["tokens"].get(split, 0)) for split in protocol.split("+"))
            found[name] = Traits(tokens, None if "unseen" not in about else float(about["unseen"]))
        except (TypeError, KeyError, ValueError, AttributeError):
            continue  # a file of a former version, or of a hand that changed it, says less
    return found


def _settings(workdir: Path) -> Mapping[str, Any]:
    path = workdir / "settings.json"
    if not path.exists():
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{path}: can't be read as JSON ({fault}); run an experiment again to write it anew") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object; run an experiment again to write it anew")
    return content


class Heading(NamedTuple):
    """What a page has around its sections.

    Attributes:
        title: of the page.
        commands: that made it, as one types them.
        folded: headings and HTML of what is folded at its end.
        after: sections that come after the others.
    """

    title: str
    commands: Sequence[str]
    folded: Sequence[tuple[str, str]] = ()
    after: Sequence[page.Part] = ()


def heading(workdir: Path) -> Heading:
    """The title of a work folder, the command that was last run into it, and everything that was set."""
    settings = _settings(workdir)
    command = settings.get("command")
    ran = shlex.join(["kd-jax", "report", str(workdir)])
    commands = [command, ran] if isinstance(command, str) and command else [ran]
    return Heading(workdir.resolve().name, commands, [("Settings, corpora and their hashes", page.what_ran(settings))])


def compared_heading(workdirs: Sequence[Path]) -> Heading:
    """The title of a comparison of two work folders, and everything that was set in each."""
    ran = shlex.join(["kd-jax", "report", *map(str, workdirs)])
    folded = [(f"Settings, corpora and their hashes of {w}", page.what_ran(_settings(w))) for w in workdirs]
    return Heading(f"{workdirs[1].resolve().name} against {workdirs[0].resolve().name}", [ran], folded)


def published_subjects(alpha: float = 0.05, method: str = "nemenyi") -> list[Subject]:
    """The paper's seven tables as subjects."""
    subjects = []
    for number, title in paper.TITLES.items():
        matrix = published(number)
        table = tables.score_table(matrix, f"Table {number}. {title}", {})
        subjects.append(Subject(f"table-{number}", matrix, table, alpha=alpha, method=method))
    return subjects


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
    first, second = ({(s.matrix.experiment, s.matrix.protocol): s for s in subjects_of(w)} for w in workdirs)
    both = [key for key in first if key in second]
    if not both:
        kinds = [" and ".join(" ".join(key) for key in of_folder) for of_folder in (first, second)]
        raise InputError(
            f"no experiment under the same protocol in both: {names[0]} has {kinds[0]}, {names[1]} {kinds[1]}"
        )
    return [_compared(first[key].matrix, second[key].matrix, names, workdirs, alpha, method) for key in both]


def _compared(
    first: ScoreMatrix, second: ScoreMatrix, names: Sequence[str], workdirs: Sequence[Path], alpha: float, method: str
) -> Subject:
    labels = [label for label in first.labels if label in second.labels]
    if not labels:
        raise InputError(f"{first.experiment}: {names[0]} and {names[1]} have no model in common")
    alone = [label for label in dict.fromkeys((*first.labels, *second.labels)) if label not in labels]
    folders: dict[str, Path] = {}
    scores, rows = {}, {}
    for matrix, name, workdir in zip((first, second), names, workdirs, strict=True):
        for corpus, label in matrix.scores:
            if label in labels:
                folders[f"{label} [{name}]"] = workdir
                scores[corpus, f"{label} [{name}]"] = matrix.scores[corpus, label]
                rows[corpus, f"{label} [{name}]"] = matrix.rows[corpus, label]
    pairs = tuple((f"{label} [{names[0]}]", f"{label} [{names[1]}]") for label in labels)
    corpora = tuple(dict.fromkeys((*first.corpora, *second.corpora)))
    merged = ScoreMatrix(
        first.experiment, first.protocol, corpora, tuple(m for pair in pairs for m in pair), scores, rows,
        apart=(*first.apart, *second.apart),
    )  # fmt: skip
    singles = [
        # Their notes are said once, below the table of both, with the run that each is of.
        tables.score_table(replace(matrix, notes=()), f"{name}: {matrix.experiment}, its own table", {})
        for matrix, name in zip((first, second), names, strict=True)
    ]
    reference = {(corpus, label): first.mean(corpus, label) for corpus, label in first.scores}
    table = tables.score_table(second, f"{first.experiment}: {names[1]} against {names[0]}", reference, names[0])
    notes = [f"{names[0]}: {note}" for note in first.notes] + [f"{names[1]}: {note}" for note in second.notes]
    notes += [f"{label} was run in one of the two only." for label in alone]
    left = [corpus for corpus in corpora if corpus not in merged.common]
    notes += [f"{corpus} was not run in both for every model: left out of the tests." for corpus in left]

    def load(label: str, row: Row) -> np.ndarray | None:
        return results.read_counts(folders[label], row)

    return Subject(
        f"{first.experiment}-{first.protocol}", merged, replace(table, notes=tuple(notes)), tuple(singles), load=load,
        among=pairs, alpha=alpha, method=method,
    )  # fmt: skip


def publish(
    folder: Path,
    subjects: Sequence[Subject],
    around: Heading,
    done: Callable[[str], object] = str,
    *,
    fresh: bool = True,
) -> tuple[Path, list[str]]:
    """Write a report: index.html, tables.md, tables.csv, tables.tex, and a folder of pictures for each subject.

    Args:
        folder: gets the files.
        subjects: its sections.
        around: what the page has around them.
        done: called with each step.
        fresh: draw again even what was drawn from the same numbers.

    Returns:
        The page's path, and what the tests within corpora say.

    Raises:
        InputError: where the folder can't be written, or counts by sentence can't be read.
    """
    _refuse_foreign(folder)
    # Over all subjects: a model has one colour in the whole report, whatever tables it is in.
    palette = tuple(dict.fromkeys(label for subject in subjects for label in subject.matrix.labels))
    subjects = [replace(subject, palette=palette) for subject in subjects]
    sections = [write_section(folder / subject.name, subject, done, fresh=fresh) for subject in subjects]
    parts = [
        page.Part(subject.table.title, section.meaning, section.html)
        for subject, section in zip(subjects, sections, strict=True)
    ]
    everything = [table for subject in subjects for table in (subject.table, *subject.more)]
    # The page alone says that it is ours, so it comes first: later, tables of a report that was stopped aren't foreign.
    index = folder / "index.html"
    replace_file(index, page.page(around.title, around.commands, [*parts, *around.after], around.folded).encode())
    replace_file(folder / "tables.md", formats.markdown(everything).encode())
    replace_file(folder / "tables.csv", formats.tidy_csv(everything).encode())
    replace_file(folder / "tables.tex", formats.latex(everything).encode())
    remove_stale(folder, [subject.name for subject in subjects])
    several = len(subjects) > 1
    sentences = [
        f"{subject.matrix.experiment}: {sentence}" if several else sentence
        for subject, section in zip(subjects, sections, strict=True)
        for sentence in section.within
    ]
    return index, sentences


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder whose page or tables are not of a report that we wrote."""
    index = folder / "index.html"
    foreign = [path for path in (folder / f"tables.{kind}" for kind in ("md", "csv", "tex")) if path.exists()]
    try:
        if index.exists():
            # Tables carry no mark of ours: they are beside a page that does.
            foreign = [] if page.is_ours(index.read_text(encoding="utf-8", errors="replace")) else [index]
    except OSError as fault:
        raise InputError(f"{index}: can't be read: {fault.strerror or fault}") from None
    if foreign:
        raise InputError(f"{foreign[0]}: already exists and is not from a report; name another folder with --output")
