"""The files of a work folder that hold scores: results.csv, types.csv beside it, and entity counts by sentence.

Every write replaces the whole file at once: a reader, or a run that was killed, never meets half of one.
"""

import csv
import math
import re
import typing
from collections.abc import Callable, Hashable, Sequence
from dataclasses import MISSING, dataclass, fields
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from jaxtyping import Int, Int32

from kd_jax.errors import InputError, brief
from kd_jax.evaluation.scores import MODE, SCHEME
from kd_jax.runtime.files import DAMAGED_ARRAYS, name_part, replace_file


@dataclass(frozen=True)
class Row:
    """One line of results.csv: one lane (a corpus, a model, its loss weights, a seed) scored on one split.

    Attributes:
        experiment: name of the experiment.
        corpus: name of the corpus.
        model: single-task model, multi-task model or student.
        head: "softmax" or "crf".
        alpha: weight of the gold labels' term; 1 for STM and MTM.
        beta: weight of the logits' or soft labels' term.
        gamma: weight of the task BiLSTM's term.
        kappa: weight of the shared BiLSTM's term.
        tau: temperature of soft labels.
        seed: the lane's seed.
        split: split that was scored.
        precision: of entities, in percent; None where the lane diverged.
        recall: entity recall in percent; None where the lane diverged.
        f1: entity F1 in percent; None where the lane diverged.
        protocol: what it was trained on, "train+devel" or "train".
        epochs: epochs trained, or the epoch that devel selected.
        tokens: tokens trained on, those of all epochs together.
        seconds: the lane's share of the time its training took.
        label: the table's column, such as "STM", "SM a=0.5" or "SM task".
        scheme: seqeval's mode and scheme.
        status: "ok", or "diverged at step N".
        settings: hash of all that models of different seeds must share to be averaged.
        recipe: hashes of what models of one table must share, and of what those of one column must share over corpora.
        path: of the model's folder in the work folder; "-" in tables of before there was this column.
        default_f1: entity F1 in percent in seqeval's default mode; None where the lane diverged, or is of before 0.2.0.
        teachers: "own" where each seed has its own, "shared" where all seeds have the same; "-" without any.
        equations: of the run's distillation losses, as `distill.equations`; "-" in older tables.
    """

    experiment: str
    corpus: str
    model: Literal["STM", "MTM", "SM"]
    head: Literal["softmax", "crf"]
    alpha: float
    beta: float
    gamma: float
    kappa: float
    tau: float
    seed: int
    split: str
    precision: float | None
    recall: float | None
    f1: float | None
    protocol: str
    epochs: int
    tokens: int
    seconds: float
    label: str
    scheme: str = f"{MODE} {SCHEME}"
    status: str = "ok"
    settings: str = "-"
    recipe: str = "-"
    path: str = "-"
    default_f1: float | None = None
    teachers: str = "-"
    equations: str = "-"

    @property
    def key(self) -> Hashable:
        """What makes two rows one and the same lane and split."""
        weights = (self.alpha, self.beta, self.gamma, self.kappa, self.tau)
        return (self.experiment, self.corpus, self.label, self.head, weights, self.seed, self.split, self.protocol)

    @property
    def column(self) -> Hashable:
        """What rows that are averaged have in common, but for their settings."""
        return (self.experiment, self.corpus, self.label, self.head, self.split, self.protocol)

    @property
    def described(self) -> str:
        """The row in words, for messages."""
        weights = f"alpha={self.alpha:g} beta={self.beta:g} gamma={self.gamma:g} kappa={self.kappa:g} tau={self.tau:g}"
        return f"{self.experiment}: {self.label} on {self.corpus}, {weights}, seed {self.seed}, {self.split}"

    @property
    def fault(self) -> str | None:
        """What is wrong with the row's values, or None."""
        ok = self.status == "ok"
        if not ok and not re.fullmatch(r"diverged at step \d+", self.status):
            return f"status {self.status!r}: write 'ok' or 'diverged at step N'"
        for name in ("precision", "recall", "f1"):
            value = getattr(self, name)
            if (value is None) == ok:
                return f"{name} is {'missing' if ok else 'given'} where status is {self.status!r}"
        for name in ("precision", "recall", "f1", "default_f1"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                return f"{name} is {value:g}, not in percent"
        return None


@dataclass(frozen=True)
class TypeRow:
    """One line of types.csv: scores in percent of one entity type in a row of results.csv; support counts gold ones."""

    experiment: str
    corpus: str
    label: str
    head: Literal["softmax", "crf"]
    seed: int
    split: str
    protocol: str
    type: str
    precision: float
    recall: float
    f1: float
    support: int

    @property
    def key(self) -> Hashable:
        """What makes two rows one and the same."""
        return (*lane_of(self), self.type)

    @property
    def described(self) -> str:
        """The row in words, for messages."""
        return f"{self.experiment}: {self.type} of {self.label} on {self.corpus}, seed {self.seed}, {self.split}"

    @property
    def fault(self) -> str | None:
        """What is wrong with the row's values, or None."""
        for name in ("precision", "recall", "f1"):
            if not 0 <= getattr(self, name) <= 100:
                return f"{name} is {getattr(self, name):g}, not in percent"
        return None


def lane_of(row: Row | TypeRow) -> tuple[Hashable, ...]:
    """What a row of results.csv and those of types.csv for the same model and split have in common."""
    return (row.experiment, row.corpus, row.label, row.head, row.seed, row.split, row.protocol)


class _Keyed(Protocol):
    @property
    def key(self) -> Hashable: ...

    @property
    def described(self) -> str: ...

    @property
    def fault(self) -> str | None: ...


R = TypeVar("R", Row, TypeRow)
COLUMNS = tuple(f.name for f in fields(Row))


def _value(text: str, kind: Any) -> Any:
    if kind == float | None:
        return float(text) if text else None
    if typing.get_origin(kind) is Literal:
        if text not in typing.get_args(kind):
            raise ValueError(text)
        return text
    if kind is str and not text:
        raise ValueError(text)
    return kind(text)


def _wanted(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return " or ".join(typing.get_args(kind))
    return {str: "a name", int: "a whole number"}.get(kind, "a number")


def _checked(row: _Keyed, where: str) -> None:
    for name, value in vars(row).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{where}: {name} is {value} ({row.described}): train this lane again, or remove the row")
    if row.fault:
        raise InputError(f"{where}: {row.fault} ({row.described})")


def _read(path: Path, kind: type[R]) -> tuple[list[str], list[R]]:
    hints = typing.get_type_hints(kind)
    wanted = [f.name for f in fields(kind)]
    needed = [f.name for f in fields(kind) if f.default is MISSING]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets write a byte order mark
            lines = csv.reader(file, strict=True)
            header = next(lines, [])
            if len(header) == 1 and ";" in header[0]:
                raise InputError(f"{path}:1: its columns are parted by semicolons; save it with commas")
            if missing := [name for name in needed if name not in header]:
                raise InputError(f"{path}:1: no column {', '.join(missing)}; the columns are {','.join(wanted)}")
            rows: list[R] = []
            seen: dict[Hashable, int] = {}
            for cells in lines:
                where = f"{path}:{lines.line_num}"
                if len(cells) != len(header):
                    raise InputError(
                        f"{where}: {len(cells)} cells under {len(header)} columns: mend or remove the line"
                    )
                record = dict(zip(header, cells, strict=True))
                values = {}
                for name in record.keys() & set(wanted):
                    try:
                        values[name] = _value(record[name], hints[name])
                    except ValueError:
                        raise InputError(
                            f"{where}: {name} is {record[name][:40]!r}, not {_wanted(hints[name])}"
                        ) from None
                row = kind(**values)
                _checked(row, where)
                if row.key in seen:
                    raise InputError(f"{where}: repeats line {seen[row.key]} ({row.described}): remove one of them")
                seen[row.key] = lines.line_num
                rows.append(row)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; is this the work folder of a run?") from None
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise InputError(f"{path}: can't be read as a table: {fault}") from None
    return header, rows


def read(path: Path) -> list[Row]:
    """Rows of a results.csv; columns it has beyond those of `Row` are ignored.

    Returns:
        The file's rows in its order.

    Raises:
        InputError: with path and line for a missing column, a cell of the wrong type, a number that is no percentage,
            a repeated row; or where there is no such file.
    """
    return _read(path, Row)[1]


def read_types(path: Path) -> list[TypeRow]:
    """Rows of a types.csv, read and refused like those of results.csv."""
    return _read(path, TypeRow)[1]


def append(
    path: Path,
    rows: Sequence[R],
    kind: type[R],
    stays: Callable[[R], bool] = lambda _: True,
    held: Sequence[R] | None = None,
) -> list[R]:
    """Add rows to a results.csv or types.csv, made where it is missing.

    Args:
        path: the file, replaced as a whole.
        rows: the new rows, which go to the end; older ones with their keys go.
        kind: of the rows.
        stays: whether an older row stays.
        held: the rows that are in the file; None to read it.

    Returns:
        The rows that are in the file now.

    Raises:
        InputError: for a row whose numbers are not finite percentages, or a file that can't be read or written; the
            file is then as before.
    """
    wanted = [f.name for f in fields(kind)]
    if held is None and path.exists():
        header, held = _read(path, kind)
        if not set(header) <= set(wanted):
            raise InputError(f"{path}:1: columns of another version of kd_jax; the columns are {','.join(wanted)}")
    kept = {row.key: row for row in held or () if stays(row)}
    for row in rows:
        _checked(row, str(path))
        kept.pop(row.key, None)
        kept[row.key] = row
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(wanted)
    table.writerows(["" if v is None else v for v in vars(row).values()] for row in kept.values())
    replace_file(path, text.getvalue().encode())
    return list(kept.values())


def counts_path(workdir: Path, row: Row) -> Path:
    """Where the counts by sentence of a row lie in a work folder."""
    name = f"{name_part(row.label)}-{row.head}-{row.protocol}-seed{row.seed}-{row.split}.npy"
    return workdir / "counts" / row.experiment / row.corpus / name


def write_counts(workdir: Path, row: Row, counts: Int[np.ndarray, "N 3"]) -> Path:
    """Write the counts by sentence of a row.

    Args:
        workdir: the work folder.
        row: the row whose scores they add up to.
        counts: entities that are correct, predicted and gold in each sentence of the split, [N, 3].

    Returns:
        The file's path.

    Raises:
        InputError: where it can't be written.
    """
    path = counts_path(workdir, row)
    buffer = BytesIO()
    np.save(buffer, np.ascontiguousarray(counts, np.int32), allow_pickle=False)
    replace_file(path, buffer.getvalue())
    return path


def read_counts(workdir: Path, row: Row) -> Int32[np.ndarray, "N 3"] | None:
    """Counts by sentence of a row, [N, 3]; None where there are none.

    Raises:
        InputError: for a file that is no such array.
    """
    path = counts_path(workdir, row)
    if not (path.exists() or path.is_symlink()):
        return None
    try:
        counts = np.load(path, allow_pickle=False)
    except PermissionError as fault:
        raise InputError(f"{path}: can't be read: {fault.strerror}") from None
    except DAMAGED_ARRAYS as fault:
        raise InputError(
            f"{path}: not an array of counts ({brief(fault)}); remove it and score the model again"
        ) from None
    if counts.dtype != np.int32 or counts.ndim != 2 or counts.shape[1] != 3:
        raise InputError(f"{path}: {counts.dtype} {counts.shape}, not int32 [N, 3]; score the model again")
    return counts
