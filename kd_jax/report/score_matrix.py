"""The scores of an experiment by corpus, model and seed: what tables, tests and pictures are made from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kd_jax.evaluation.results import Row
from kd_jax.report import published as paper
from kd_jax.structs import ALPHA_ONE_SEEDS

Cell = tuple[str, str]


@dataclass(frozen=True)
class ScoreMatrix:
    """F1 on test files of the models of one experiment, trained under one protocol.

    Attributes:
        experiment: its name.
        protocol: "train+devel" or "train"; "" for published figures.
        corpora: the D corpora, the paper's first, in its order.
        labels: the M models, the paper's first, in its order.
        scores: F1 in percent of every seed, by (corpus, label); nothing for what was not run.
        rows: the rows they come from, in the same order; nothing for published figures.
        notes: sentences about what is missing, lost or ambiguous.
        apart: corpora whose models were made with other settings, or teachers of other corpora, than the latest.
    """

    experiment: str
    protocol: str
    corpora: tuple[str, ...]
    labels: tuple[str, ...]
    scores: Mapping[Cell, Mapping[int, float]]
    rows: Mapping[Cell, tuple[Row, ...]]
    notes: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    @property
    def table(self) -> int | None:
        """Number of the paper's table that the experiment repeats."""
        return paper.NUMBERS.get(self.experiment)

    @property
    def means(self) -> np.ndarray:
        """Mean F1 over seeds, [D, M]; NaN for what was not run."""
        return np.array([[self.mean(corpus, label) for label in self.labels] for corpus in self.corpora]).reshape(
            len(self.corpora), len(self.labels)
        )

    def mean(self, corpus: str, label: str) -> float:
        """Mean F1 over the seeds of a model on a corpus; NaN where it was not run."""
        scores = self.scores.get((corpus, label))
        # Decimals that float arithmetic leaves apart are ties to the tests over ranks.
        return round(float(np.mean(list(scores.values()))), 9) if scores else float("nan")

    @property
    def common(self) -> tuple[str, ...]:
        """Corpora that every model was scored on, made alike: the only ones that averages and tests may use."""
        scored = (c for c in self.corpora if all((c, label) in self.scores for label in self.labels))
        return tuple(c for c in scored if c not in self.apart)

    @property
    def average(self) -> "ScoreMatrix":
        """The averages over the corpora that every model was scored on, as the scores of one corpus.

        A model has a score for each seed where its seeds are those of all these corpora, else one: the mean of means.
        """
        name, averaged = f"average of {len(self.common)} corpora", {}
        for label in self.labels:
            of_corpora = [self.scores[corpus, label] for corpus in self.common]
            seeds = set.intersection(*(set(scores) for scores in of_corpora))
            alike = all(set(scores) == seeds for scores in of_corpora)
            averaged[name, label] = (
                {seed: float(np.mean([scores[seed] for scores in of_corpora])) for seed in sorted(seeds)}
                if alike
                # Seeds of other corpora can't be paired, so there is one average and no spread; it stands under seed 0.
                else {0: float(np.mean([self.mean(corpus, label) for corpus in self.common]))}
            )
        return replace(self, corpora=(name,), scores=averaged, notes=(), apart=())

    def only(self, corpora: Iterable[str], labels: Iterable[str] | None = None) -> "ScoreMatrix":
        """The score matrix of some of its corpora and labels, in its own order, without notes."""
        kept_corpora, kept_labels = set(corpora), set(self.labels if labels is None else labels)
        kept = [cell for cell in self.scores if cell[0] in kept_corpora and cell[1] in kept_labels]
        return replace(
            self,
            corpora=tuple(c for c in self.corpora if c in kept_corpora),
            labels=tuple(label for label in self.labels if label in kept_labels),
            scores={cell: self.scores[cell] for cell in kept},
            rows={cell: self.rows[cell] for cell in kept if cell in self.rows},
            notes=(),
        )


def _ordered(names: Iterable[str], first: Sequence[str]) -> tuple[str, ...]:
    seen = tuple(dict.fromkeys(names))
    return tuple(name for name in first if name in seen) + tuple(name for name in seen if name not in first)


def listed(items: Sequence[object]) -> str:
    """Words in a row: "a", "a and b", "a, b and c"."""
    words = [str(item) for item in items]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _without_teacher(row: Row) -> bool:
    return row.model == "SM" and not (row.beta or row.gamma or row.kappa)


def _counted(rows: Sequence[Row]) -> tuple[list[tuple[int, Row]], list[str]]:
    """Rows with the seeds that they count under, and sentences about those that were trained with others.

    Where devel chose weights without a teacher for a student on some corpora only, it was trained there with seeds of
    its own; they share a column with the usual ones.
    """
    some = {row.label for row in rows if _without_teacher(row)}
    mixed = some & {row.label for row in rows if not _without_teacher(row)}
    out: list[tuple[int, Row]] = []
    moved: dict[Cell, list[int]] = {}
    for row in rows:
        shifted = row.label in mixed and _without_teacher(row) and row.seed >= ALPHA_ONE_SEEDS
        if shifted:
            moved.setdefault((row.corpus, row.label), []).append(row.seed)
        out.append((row.seed - ALPHA_ONE_SEEDS if shifted else row.seed, row))
    notes = [
        f"{label} on {corpus}: devel chose weights without a teacher; {listed(seeds)}"
        f" are its seeds there, counted as {listed([seed - ALPHA_ONE_SEEDS for seed in seeds])}."
        for (corpus, label), seeds in moved.items()
    ]
    return out, notes


def _apart(rows: Sequence[Row]) -> tuple[str, ...]:
    """Corpora that have models made otherwise than the latest of the table, or of their column."""
    # A recipe is TABLE.COLUMN (`kd_jax.sweep.identity.Identity.comparison_key`). The last row is of the latest run.
    table = rows[-1].recipe.split(".")[0]
    column = {row.label: row.recipe for row in rows}
    odd = (row.corpus for row in rows if row.recipe.split(".")[0] != table or row.recipe != column[row.label])
    return tuple(dict.fromkeys(odd))


def _notes(lost: Sequence[Row], ambiguous: Sequence[str], matrix: ScoreMatrix) -> list[str]:
    notes = [f"{row.label} on {row.corpus}, seed {row.seed}, {row.status}: left out." for row in lost]
    notes += [f"{cell} was scored more than once; the last row of results.csv counts." for cell in ambiguous]
    for label in matrix.labels:
        seeds = {seed for (_, other), scores in matrix.scores.items() if other == label for seed in scores}
        for corpus in matrix.corpora:
            known = {row.seed for row in lost if (row.corpus, row.label) == (corpus, label)}
            missing = sorted(seeds - known - set(matrix.scores.get((corpus, label), seeds)))
            if missing:
                notes.append(f"{label} on {corpus} lacks seed {listed(missing)}: its mean is over the others.")
    if matrix.apart:
        notes.append(
            f"On {listed(matrix.apart)} models were made with other settings, or teachers of other corpora, than the"
            " latest; run the experiment on all corpora together to compare them."
        )
    if any(corpus not in matrix.common for corpus in matrix.corpora):
        for corpus in matrix.corpora:
            absent = [label for label in matrix.labels if (corpus, label) not in matrix.scores]
            if absent:
                notes.append(f"No score on {corpus} of {listed(absent)}.")
        rest = f"only {listed(matrix.common)}" if matrix.common else "no corpus"
        notes.append(f"Averages and tests use {rest}: they compare models on the same corpora.")
    return notes


def score_matrices(rows: Iterable[Row]) -> list[ScoreMatrix]:
    """Score matrices of the test scores in results.csv, one for each experiment and protocol.

    Args:
        rows: rows of results.csv; those of other splits are ignored.

    Returns:
        Score matrices in the order of their first rows. Diverged lanes are left out, and said to be in the notes.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.split == "test":
            groups.setdefault((row.experiment, row.protocol), []).append(row)
    matrices = []
    for (experiment, protocol), members in groups.items():
        cells: dict[Cell, dict[int, Row]] = {}
        lost: list[Row] = []
        ambiguous: dict[str, None] = {}
        counted, moved = _counted(members)
        for seed, row in counted:
            cell = cells.setdefault((row.corpus, row.label), {})
            if row.f1 is None:
                lost.append(row)
                continue
            if seed in cell:
                ambiguous[f"{row.label} on {row.corpus}, seed {seed},"] = None
            cell[seed] = row
        number = paper.NUMBERS.get(experiment)
        # An experiment of one's own has the paper's corpora and models, if any, in the order of its first table.
        published = paper.tables()[number or 1]
        matrix = ScoreMatrix(
            experiment,
            protocol,
            _ordered((row.corpus for row in members), published.corpora),
            _ordered((row.label for row in members), published.labels),
            {cell: {s: r.f1 for s, r in sorted(by.items()) if r.f1 is not None} for cell, by in cells.items() if by},
            {cell: tuple(r for _, r in sorted(by.items())) for cell, by in cells.items() if by},
            apart=_apart(members),
        )
        matrices.append(replace(matrix, notes=(*moved, *_notes(lost, list(ambiguous), matrix))))
    return matrices


def published(number: int) -> ScoreMatrix:
    """The score matrix of one of the paper's tables: a single figure for every corpus and model."""
    table = paper.tables()[number]
    names = {number: name for name, number in paper.NUMBERS.items()}
    scores = {
        (corpus, label): {0: float(table.f1[d, m])}
        for d, corpus in enumerate(table.corpora)
        for m, label in enumerate(table.labels)
    }
    return ScoreMatrix(names[number], "", table.corpora, table.labels, scores, {})
