"""The bench as a user asked for it: measured, shown, and written as JSON."""

import json
import sys
import tempfile
from pathlib import Path

import jax
from rich.console import Console

from kd_jax.bench.measure import BenchRequest, measure
from kd_jax.bench.tables import tables
from kd_jax.bench.tagging import measure_tagging, tagging_table
from kd_jax.runtime.display import standard_console
from kd_jax.runtime.files import replace_file
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
