"""Files in a work folder that another program wrote, which a run would write over or go on with."""

from pathlib import Path

from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.runtime.files import read_json

_JSON = {"settings.json": {"settings", "corpora"}, "lanes.json": {"format", "cells"}}
_TABLES = {"results.csv": results.read, "types.csv": results.read_types}
_METRICS = '{"time": '  # what each line of metrics.jsonl begins with


def refuse_foreign(workdir: Path) -> None:
    """See before anything is trained that what a run would write over is a run's.

    JSON that is damaged is no foreigner: a run writes it anew, or says what is wrong with it.

    Raises:
        InputError: naming the first file that is of another program, or a table that can't be read.
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
    for name, read in _TABLES.items():
        if (workdir / name).exists():
            read(workdir / name)


def _foreign(path: Path) -> InputError:
    return InputError(f"{path}: was not written by kd_jax; name another --workdir, such as {path.parent / 'kd_jax'}")
