"""The published figures and claims that ours stand beside.

Source: Mehmood, Gerevini, Lavelli, Olivato, Serina: Distilling Knowledge with a Teacher's Multitask Model for
Biomedical Named Entity Recognition. Information 2023, 14(5), 255. https://doi.org/10.3390/info14050255

`published_tables.csv` holds tables 1 to 7: entity F1 in percent on the test files, the mean of five runs.
`published_claims.csv` holds what section 5 says of pairs of models: whether they differ significantly, stated or
implied.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

TITLES: Mapping[int, str] = {
    1: "Students distilled from the softmax teacher's logits",
    2: "Students of an ensemble of softmax teachers",
    3: "Students of an ensemble of a softmax and a CRF teacher",
    4: "Students of the logits and the BiLSTM outputs",
    5: "CRF students of the CRF teacher's logits",
    6: "CRF students distilled from the softmax teacher's logits",
    7: "Students of soft labels",
}
NUMBERS: Mapping[str, int] = {
    "logits": 1,
    "ensemble": 2,
    "ensemble_crf": 3,
    "intermediate": 4,
    "crf": 5,
    "crf_softmax": 6,
    "soft_labels": 7,
}
"""The experiments that repeat a table, by name."""

_BASELINES = {1: ("STM", "MTM"), 5: ("STM-CRF", "MTM-CRF")}


@dataclass(frozen=True)
class Table:
    """One published table.

    Attributes:
        number: 1 to 7.
        corpora: names of its D rows, 15 in every table.
        labels: names of its M columns.
        f1: entity F1 in percent, [D, M].
        printed_average: the table's last row, [M].
    """

    number: int
    corpora: tuple[str, ...]
    labels: tuple[str, ...]
    f1: np.ndarray
    printed_average: np.ndarray


@dataclass(frozen=True)
class Claim:
    """What section 5 says of two models of a table.

    Attributes:
        table: number of the table.
        first: label of a model.
        second: label of the other.
        significant: whether they are said to differ significantly.
        basis: "stated", or "implied" by the exception that the text names.
    """

    table: int
    first: str
    second: str
    significant: bool
    basis: str


def _records(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((files(__package__) / name).read_text(encoding="utf-8").splitlines()))


@cache
def tables() -> Mapping[int, Table]:
    """The seven tables by number."""
    cells: dict[int, dict[str, dict[str, float]]] = {}
    for record in _records("published_tables.csv"):
        row = cells.setdefault(int(record["table"]), {}).setdefault(record["dataset"], {})
        row[record["model"]] = float(record["f1"])
    by_number = {}
    for number, rows in cells.items():
        average = rows.pop("Average")
        labels = tuple(average)
        f1 = np.array([[row[label] for label in labels] for row in rows.values()])
        by_number[number] = Table(number, tuple(rows), labels, f1, np.array(list(average.values())))
    return by_number


@cache
def claims() -> tuple[Claim, ...]:
    """What section 5 says of pairs of models, table by table."""
    return tuple(
        Claim(int(r["table"]), r["model_a"], r["model_b"], r["significant"] == "yes", r["basis"])
        for r in _records("published_claims.csv")
    )


def figures(table: int | None) -> Mapping[tuple[str, str], float]:
    """Published F1 in percent by (corpus, label).

    Args:
        table: number of a table; None for an experiment that is no table of the paper, whose single-task and multi-task
            models still have published figures, those of table 1 (softmax) and table 5 (CRF).

    Returns:
        The figures; nothing for corpora and labels that the paper lacks.
    """
    wanted = _BASELINES if table is None else {table: tables()[table].labels}
    return {
        (corpus, label): float(tables()[number].f1[d, tables()[number].labels.index(label)])
        for number, labels in wanted.items()
        for label in labels
        for d, corpus in enumerate(tables()[number].corpora)
    }
