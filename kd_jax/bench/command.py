"""The bench as a user asked for it: measured, shown, and written as JSON."""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console

from kd_jax.bench.measure import BenchRequest, lane_counts, measure
from kd_jax.bench.tables import tables
from kd_jax.bench.tagging import measure_tagging, tagging_table
from kd_jax.cost.ahead import CompileRequest, compile_for, compile_table, costliest_table
from kd_jax.errors import InputError
from kd_jax.runtime.display import standard_console
from kd_jax.runtime.files import replace_file
from kd_jax.settings import Head
from kd_jax.training.mesh import use_all_cores


def bench(request: BenchRequest, json_file: Path | None) -> None:
    """Measure, and show tables.

    Args:
        request: what to measure.
        json_file: gets everything that was measured; None for nothing.

    Raises:
        InputError: for whatever is wrong with what was asked, the corpora or the file.
    """
    console, errors_out = standard_console(), Console(stderr=True)

    def log(line: str) -> None:
        errors_out.print(line, highlight=False)

    if json_file:
        replace_file(json_file, b"{}")  # refused before minutes of work, if at all
    use_all_cores()
    with tempfile.TemporaryDirectory() as programs:
        jax.config.update("jax_compilation_cache_dir", programs)  # what is compiled to be asked is then run, too
        measured = measure(request, log)
        measured["tagging"] = measure_tagging(request, log)
    for table in tables(measured):
        console.print(table)
    console.print(tagging_table(measured["tagging"]))
    if json_file:
        replace_file(json_file, json.dumps(measured | {"command": sys.argv}, indent=1).encode())


def compile_and_show(
    request: BenchRequest, names: Sequence[str], head: Head, hlo: Path | None, json_file: Path | None
) -> None:
    """Compile for devices that are not here, and show tables.

    Args:
        request: what would be measured; one dtype.
        names: of the devices.
        head: output layer.
        hlo: folder that gets the programs as text; None for none.
        json_file: gets what `compile_for` finds; None for nothing.

    Raises:
        InputError: for whatever is wrong with what was asked, the corpora or the file, and for missing compilers.
    """
    console, errors_out = standard_console(), Console(stderr=True)
    if len(request.dtypes) > 1:
        raise InputError(f"--dtype={','.join(request.dtypes)}: --compile_for takes one")
    if json_file:
        replace_file(json_file, b"[]")  # refused before minutes of work, if at all
    wanted = [
        CompileRequest(
            device=name,
            lanes=tuple(lane_counts(request.lanes)),
            dtype=request.dtypes[0],
            head=head,
            data_dir="" if request.data_dir is None else str(request.data_dir),
            datasets=tuple(request.datasets),
            scheme=request.scheme or "",
            assignments=tuple(request.assignments),
            hlo="" if hlo is None else str(hlo),
        )
        for name in names
    ]
    found = compile_for(wanted, lambda line: errors_out.print(line, highlight=False))
    for name in names:
        console.print(compile_table([one for one in found if one["device"] == name]))
    for one in (one for one in found if "fault" not in one):
        console.print(costliest_table(one))
    if json_file:
        replace_file(json_file, json.dumps(found, indent=1).encode())
