"""One section of the report: a score matrix's tables, tests, pictures and cost, as files in a folder and as HTML."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kd_jax import __version__
from kd_jax.errors import InputError, brief
from kd_jax.evaluation.results import Row
from kd_jax.evaluation.significance import verdict
from kd_jax.report import curves, page, sentences
from kd_jax.report.comparison import Comparison, Within, compare, within_corpora
from kd_jax.report.drawing import Looks, look, save
from kd_jax.report.pictures import pictures
from kd_jax.report.score_matrix import ScoreMatrix
from kd_jax.report.tables import ScoreTable
from kd_jax.report.trend_plots import Traits
from kd_jax.runtime.files import digest, read_json, remove_ours, replace_file, whole_folder

FORMAT = 2
"""Of a section's page; raised when the same numbers are shown otherwise."""
SECTION = "section.json"  # says what a section was made from, and which files of its folder are ours
# What a section of a version that did not list its files may consist of.
_BEFORE_LISTS = ("section.json", "tests.csv", "*.png", "*.svg")


@dataclass(frozen=True)
class Subject:
    """What a section is about.

    Attributes:
        name: of its folder.
        matrix: the scores.
        table: its main table.
        more: tables to unfold, such as those by entity type.
        rows: of results.csv that belong to the experiment, other splits included.
        points: of metrics.jsonl that belong to it.
        load: counts by sentence of a label's row.
        among: pairs of labels of a first and a second run that are compared; None for all pairs of one run.
        alpha: level of the tests.
        method: post hoc test.
        named: pairs of labels that the experiment named before it was run; tests are about these alone. None for all.
        traits: of the corpora of which something is known.
        palette: labels in whose order models get their colours; those of its own matrix where it is empty.
    """

    name: str
    matrix: ScoreMatrix
    table: ScoreTable
    more: tuple[ScoreTable, ...] = ()
    rows: tuple[Row, ...] = ()
    points: tuple[curves.Point, ...] = ()
    load: Callable[[str, Row], np.ndarray | None] = lambda _label, _row: None
    among: tuple[tuple[str, str], ...] | None = None
    alpha: float = 0.05
    method: str = "nemenyi"
    named: tuple[tuple[str, str], ...] | None = None
    traits: Mapping[str, Traits] = field(default_factory=dict)
    palette: tuple[str, ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...] | None:
        """Those that are tested; None for all."""
        return self.among or self.named

    @property
    def looks(self) -> Looks:
        """Colour and marker of each label, the same in all pictures of a report."""
        return look(tuple(dict.fromkeys((*self.palette, *self.matrix.labels))))

    @cached_property
    def comparison(self) -> Comparison:
        """Its tests over corpora."""
        return compare(self.matrix, self.alpha, self.method, self.pairs)

    @property
    def steps(self) -> int:
        """How often `write_section` reports to have done something."""
        return len(self.matrix.corpora) + 1

    @property
    def identity(self) -> str:
        """Hash of everything that the section is made from."""
        shown = (self.matrix, self.table, self.more, self.rows, self.points, self.palette, self.traits)
        parts = (*shown, self.pairs, self.alpha, self.method)
        # Counts by sentence are not among them: what they add up to is in the rows.
        return digest([__version__, FORMAT, *map(repr, parts)])


def _tests_csv(comparison: Comparison, within: Sequence[Within]) -> str:
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    posthoc = f"{comparison.method}_p"
    lines.writerow(["scope", "first", "second", "n", "wins", "losses", "holm_p", posthoc, "rank_biserial",
                    "f1_difference", "low", "high", "verdict"])  # fmt: skip
    for pair in comparison.pairs:
        lines.writerow(["corpora", pair.first, pair.second, len(comparison.corpora), pair.wins, pair.losses,
                        pair.wilcoxon, "" if pair.posthoc is None else pair.posthoc, pair.effect, *pair.difference,
                        comparison.verdict(pair)])  # fmt: skip
    for test in within:
        lines.writerow([test.corpus, test.first, test.second, test.sentences, "", "", test.p, "", "", *test.difference,
                        verdict(test.p, *test.difference[1:], comparison.alpha)])  # fmt: skip
    return text.getvalue()


class Section(NamedTuple):
    """A section that was written: what it means in a sentence, its HTML, and what the tests within corpora say."""

    meaning: str
    html: str
    within: list[str]


def write_section(folder: Path, subject: Subject, done: Callable[[str], object], *, fresh: bool) -> Section:
    """Draw and test a subject.

    Args:
        folder: gets pictures (PNG and SVG) and tests.csv, all at once; what was drawn from the same numbers is kept.
        subject: the scores.
        done: called with what comes next, `subject.steps` times.
        fresh: draw again what already exists.

    Returns:
        The section.

    Raises:
        InputError: where the folder can't be written, or counts can't be read.
    """
    made = _made(folder)
    if not fresh and made and made["identity"] == subject.identity:
        for _ in range(subject.steps):
            done("")
        return Section(made["meaning"], made["html"], made["within"])
    comparison = subject.comparison
    within, notes = within_corpora(
        subject.matrix, subject.load, subject.pairs, lambda corpus: done(f"{subject.name}: sentences of {corpus}")
    )
    shown = []
    with whole_folder(folder, made.get("files", _BEFORE_LISTS)) as partial:
        for picture in pictures(
            subject.matrix,
            comparison,
            within,
            subject.among,
            subject.rows,
            subject.points,
            subject.looks,
            subject.traits,
        ):
            save(picture.whole(), partial / picture.name)
            shown.append(page.drawn(picture, subject.looks, subject.name))
        replace_file(partial / "tests.csv", _tests_csv(comparison, within).encode())
        section = _section(subject, comparison, within, notes, shown)
        files = sorted([SECTION, *(path.name for path in partial.iterdir())])
        about = {"name": folder.name, "files": files, "identity": subject.identity}
        replace_file(partial / SECTION, json.dumps(about | section._asdict()).encode())
    done(f"{subject.name}: pictures")
    return section


def _section(
    subject: Subject,
    comparison: Comparison,
    within: Sequence[Within],
    notes: Sequence[str],
    shown: Sequence[page.Drawn],
) -> Section:
    matrix, among = subject.matrix, subject.among
    meaning = (
        sentences.meaning_of_runs(matrix, among, comparison, within)
        if among is not None
        else sentences.meaning(matrix, comparison, within)
    )
    choosing = [row for of_kind in curves.tuned(subject.rows).values() for row in of_kind]
    html = page.render(
        "section.html",
        meaning=meaning,
        cautions=sentences.cautions(matrix),
        table=subject.table,
        pictures=shown,
        over=page.over_corpora(comparison),
        within=page.within_corpora(within, notes, subject.alpha),
        more=subject.more,
        weights=page.chosen_weights(matrix),
        cost=page.cost(matrix, choosing),
    )
    return Section(meaning, html, [*sentences.within_sentences(within, subject.alpha), *notes])


def _made(folder: Path) -> dict[str, Any]:
    """What a section's folder says of itself; nothing where there is none yet."""
    if not folder.exists() or not any(folder.iterdir()):
        return {}
    try:
        return dict(read_json(folder / SECTION))
    except FileNotFoundError:
        raise InputError(f"{folder}: already exists and is no section of a report; name another --output") from None
    except (OSError, ValueError, TypeError) as fault:
        raise InputError(f"{folder / SECTION}: can't be read ({brief(fault)}); remove {folder}") from None


def remove_stale(report: Path, names: Sequence[str]) -> None:
    """Remove sections that a report does not have any more; copies that a user made of one stay.

    Args:
        report: the folder of the report.
        names: of the sections that it has.

    Raises:
        InputError: where the disk refuses.
    """
    for kept in sorted(report.glob(f"*/{SECTION}")):
        about = _made(kept.parent)
        if about.get("name") == kept.parent.name and kept.parent.name not in names:
            remove_ours(kept.parent, about["files"])
