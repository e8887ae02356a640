"""Programs compiled for devices that are not here, one process a device: what is asked of it and what it says."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from kd_jax.cost.targets import Target, environment, target_named
from kd_jax.errors import InputError
from kd_jax.settings import Head

PROCESS = "kd_jax.bench.compile_for"
"""What compiles, by its name: it builds every program, and so stands above this file."""


@dataclass(frozen=True)
class CompileRequest:
    """What to compile for one device; fields as the flags of kd_jax.bench.

    Attributes:
        device: name of the target.
        lanes: numbers of lanes, a program each.
        dtype: of the products.
        head: output layer.
        data_dir: folder of corpora; "" for synthetic ones.
        datasets: names; none for all.
        scheme: of the tags; "" for what the files say.
        assignments: settings as key=value.
        hlo: folder that keeps the programs as text; "" for none.
        programs: their names; none for all.
        settings: all of them as plain JSON types, in place of assignments; None for these.
    """

    device: str
    lanes: tuple[int, ...]
    dtype: str
    head: Head
    data_dir: str
    datasets: tuple[str, ...]
    scheme: str
    assignments: tuple[str, ...]
    hlo: str
    programs: tuple[str, ...] = ()
    settings: dict[str, Any] | None = None


def compile_for(requests: Sequence[CompileRequest], log: Callable[[str], None]) -> list[dict[str, Any]]:
    """Compile everything that was asked for, one process a device, one after the other.

    Args:
        requests: one a device.
        log: is told what is going on.

    Returns:
        As `kd_jax.cost.compiled.CompiledCost`, one a program; of one that the device has no memory for what is known
        without its compiler, None for the rest and, as `fault`, what the compiler says.

    Raises:
        InputError: for an unknown device, a missing compiler, or whatever a process says.
    """
    targets = [target_named(request.device) for request in requests]
    found = []
    for request, target in zip(requests, targets, strict=True):
        log(f"compiling for {target.name}")
        with tempfile.TemporaryDirectory() as room:
            for line in _lines_of(request, target, Path(room)):
                found.append(one := json.loads(line))
                ended = one.get("fault") or f"in {one['compile_s']:.0f} s"
                log(f"{target.name}: {one['program']}, {one['lanes']} lanes {ended}")
    return found


def _lines_of(request: CompileRequest, target: Target, room: Path) -> Iterator[str]:
    """What a process that compiles for a device prints: a JSON object for each program."""
    own = os.environ | environment(target, room / "dump")
    command = [sys.executable, "-m", PROCESS, json.dumps(asdict(request) | {"dump": str(room / "dump")})]
    errors = room / "errors"  # a file: compilers write more than a pipe holds
    with errors.open("wb") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, env=own) as run:
        try:
            yield from (line.decode() for line in run.stdout or () if line.startswith(b"{"))
        except BaseException:
            run.kill()
            raise
    if run.returncode:
        text = errors.read_text(encoding="utf-8", errors="replace").strip()
        lines = text.splitlines() or [f"its process ended with status {run.returncode}"]
        told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        raise InputError(f"--compile_for={target.name}: {(told or lines)[-1]}")


def compile_table(of_device: Sequence[dict[str, Any]]) -> Table:
    """What was compiled for one device, for people with a terminal of 80 columns."""
    target = target_named(of_device[0]["device"])
    with_cycles = target.platform == "tpu"
    loop = ["M\ncycles", "ms"] if with_cycles else ["kernels", "a time\nstep"]
    notes = [f"{one['program']}, {one['lanes']} lanes: {one['fault']}" for one in of_device if "fault" in one]
    notes += [
        f"{one['program']}, {one['lanes']} lanes: {_once_a_call(one)}" for one in of_device if one.get("call_bytes")
    ]
    of_loop = "ms at the clock of its cycles" if with_cycles else "kernels, and those of a time step in a loop"
    table = Table(
        title=f"compiled for {target.name}, {target.bytes / 1e9:.0f} GB a device",
        caption="\n".join([*notes, f"FLOPs, GB moved, {of_loop}: of one step, all lanes together"]),
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 0, 0, 1),
    )
    for column in ("program", "lanes", "compiled", "GB\ntaken", "GB\npredicted", "GFLOP", "GB\nmoved", *loop):
        table.add_column(column, justify="left" if column == "program" else "right")
    for one in of_device:
        if "fault" in one:
            continue
        predicted, cycles = one["predicted_bytes"], one["cycles"]
        of_loop = one["kernels_a_time_step"]
        last = [f"{one['kernels']:,}", "" if of_loop is None else f"{of_loop:.1f}"]
        if with_cycles:
            last = [f"{cycles / 1e6:.1f}", f"{1e3 * cycles / target.clock:.1f}"]
        table.add_row(
            one["program"],
            str(one["lanes"]),
            f"{one['compile_s']:.0f} s",
            f"{(one['argument_bytes'] + one['temporary_bytes']) / 1e9:.2f}",
            f"{predicted / 1e9:.2f}" if predicted else "",
            f"{one['flops'] / 1e9:.0f}",
            f"{one['bytes_moved'] / 1e9:.2f}",
            *last,
        )
    return table


def _once_a_call(one: dict[str, Any]) -> str:
    cycles = "" if one["call_cycles"] is None else f"{one['call_cycles'] / 1e6:.1f} M cycles, "
    return f"{cycles}{one['call_bytes'] / 1e9:.2f} GB moved once a call of many steps, around them"


def costliest_table(one: dict[str, Any]) -> Table:
    """A program's costliest operations, for people."""
    unit = "bytes" if one["cycles"] is None else "cycles"
    table = Table(title=f"{one['device']}, {one['program']}, {one['lanes']} lanes: what costs most")
    for column in (unit, "operations", "from"):
        table.add_column(column, justify="left" if column == "from" else "right")
    for row in one["costliest"]:
        table.add_row(f"{row['cost']:,}", f"{row['operations']:,}", row["from"])
    for row in one["unestimated"]:
        table.add_row(f"<= {row['at_most_cycles']:,}", f"{row['times']:,}", f"no estimate: {row['name']} {row['from']}")
    return table
