"""Files in a work folder that another program wrote, which a run would write over or go on with."""

import csv
from dataclasses import fields
from pathlib import Path

from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.runtime.files import read_json

_JSON = {"settings.json": {"settings", "corpora"}, "lanes.json": {"format", "cells"}}
_TABLES = {"results.csv": (results.read, results.Row), "types.csv": (results.read_types, results.TypeRow)}
_METRICS = '{"time": '  # what each line of metrics.jsonl begins with


def refuse_foreign(workdir: Path) -> None:
    """See before anything is trained that what a run would write over is a run's.

    JSON that is damaged is no foreigner: a run writes it anew, or says what is wrong with it.

    Raises:
        InputError: naming the first file that is of another program, or a table that can't be read or has columns
            of somebody else.
    """
    for name, keys in _JSON.items():
        try:
            described = read_json(workdir / name)
        except (OSError, ValueError, RecursionError):
            continue
        if not (isinstance(described, dict) and keys <= described.keys()):
            raise _foreign(workdir / name)
    try:
        with (workdir / "metrics.jsonl").open(encoding="utf-8-sig", errors="replace") as file:
            begins = file.read(len(_METRICS))
    except OSError:
        begins = ""
    if not _METRICS.startswith(begins) and begins.strip():
        raise _foreign(workdir / "metrics.jsonl")
    for name, (read, kind) in _TABLES.items():
        if (workdir / name).exists():
            read(workdir / name)
            _refuse_columns(workdir / name, {f.name for f in fields(kind)})


def _refuse_columns(path: Path, ours: set[str]) -> None:
    """Refuse a table with columns that somebody added, which a run would stop at once it has rows to write."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        added = [name for name in next(csv.reader(file)) if name not in ours]
    if added:
        raise InputError(
            f"{path}:1: the column {added[0]!r} is none of a run's, which writes the whole file; keep it in a copy and"
            " remove it here, or name another --workdir"
        )


def _foreign(path: Path) -> InputError:
    return InputError(f"{path}: was not written by kd_jax; name another --workdir, such as {path.parent / 'kd_jax'}")
