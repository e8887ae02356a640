"""What a program would cost on a device that is not here, as that device's own compiler says."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from kd_jax.cost import hlo, schedules
from kd_jax.cost.operations import products
from kd_jax.cost.targets import Target

SHOWN = 12  # costliest operations


class Traced(NamedTuple):
    """A program that is ready to be compiled.

    Attributes:
        name: "train", "teacher", "tag" or "knowledge".
        lanes: computed at the same time, on all devices together.
        steps: batches of one call.
        predicted: bytes on one device, by shapes; None where nothing is predicted.
        trace: gives the traced program.
        time_steps: of a row.
    """

    name: str
    lanes: int
    steps: int
    predicted: int | None
    trace: Callable[[], Any]
    time_steps: int


OURS = ("lstm_", "filters_", "dropout_bits", "read_rows", "write_rows", "take_branch", "put_branch")
"""Our own kernels, by the beginning of their names."""
BY_ROWS = ("gather", "scatter", "sort")
"""Operations that go row by row, by the beginning of their names."""
OF_INTEREST = (*OURS, *BY_ROWS)
"""Operations, by the beginning of their names, whose schedules are kept beside a program."""


@dataclass
class CompiledCost:
    """A compiled program's cost; flops, bytes_moved, kernels and cycles are one step's: a batch with all lanes.

    Attributes:
        device: as in `kd_jax.cost.targets`.
        program: "train", "teacher", "tag" or "knowledge".
        lanes: computed at the same time.
        compile_s: seconds.
        argument_bytes: what is handed in, on one device.
        temporary_bytes: what is held on the way, on one device.
        device_bytes: what the device has.
        predicted_bytes: what was predicted by shapes before anything was compiled; None where nothing was.
        flops: of matrix products.
        bytes_moved: between the chip and its memory.
        kernels: launched.
        cycles: of a TPU: for each operation the larger of its schedule and its bytes over the memory's bandwidth, one
            after the other, with `unestimated` at their bounds; None for a GPU.
        estimated_cycles: the compiler's own estimates alone, of the operations that have one.
        schedule_cycles: of our own kernels, from their schedules.
        kernels_a_time_step: of the loops over time, a pass of which may be of several steps, the most of any; None
            where there is none.
        call_bytes: moved once a call, around the loop over its steps: what its arguments are laid out and padded for.
        call_cycles: of the same, counted as `cycles`; None for a GPU.
        unestimated: operations without an estimate or schedule, and bounds of their cycles from above.
        costliest: operations by the line that they come from: cycles on a TPU, bytes on a GPU.
    """

    device: str
    program: str
    lanes: int
    compile_s: float
    argument_bytes: int
    temporary_bytes: int
    device_bytes: int
    predicted_bytes: int | None
    flops: int
    bytes_moved: int
    kernels: int
    cycles: int | None = None
    estimated_cycles: int | None = None
    schedule_cycles: int | None = None
    kernels_a_time_step: float | None = None
    call_bytes: int = 0
    call_cycles: int | None = None
    unestimated: list[dict[str, Any]] = field(default_factory=list)
    costliest: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def compile_program(target: Target, program: Traced, dump: Path, keep: Path | None) -> CompiledCost:
    """Compile a program for a device and read off what it costs.

    Args:
        target: the device; the process has its environment.
        program: what to compile.
        dump: where the compiler writes schedules; those of other programs are gone afterwards.
        keep: folder that gets the program's text and its kernels' schedules; None for none.
    """
    for path in dump.rglob("*"):
        if path.is_file():
            path.unlink()
    began = time.perf_counter()
    traced = program.trace()
    compiled = traced.lower().compile()
    seconds = time.perf_counter() - began
    text, memory = hlo.unbroken(compiled.as_text()), compiled.memory_analysis()
    read = hlo.read(text)
    ops = list(hlo.walk(read, hlo.step_of(read)))
    found = CompiledCost(
        device=target.name,
        program=program.name,
        lanes=program.lanes,
        compile_s=seconds,
        argument_bytes=int(memory.argument_size_in_bytes),
        temporary_bytes=int(memory.temp_size_in_bytes),
        device_bytes=target.bytes,
        predicted_bytes=program.predicted,
        # Of the trace, where products still are products: compilers turn them into kernels of many names.
        flops=products(traced.jaxpr) // program.steps,
        bytes_moved=sum(one.times * one.bytes for one in ops),
        kernels=sum(one.times for one in ops),
        kernels_a_time_step=_most_in_a_loop(ops, program.time_steps),
    )
    written = schedules.find_schedules(dump)
    weights = [float(one.times * one.bytes) for one in ops]
    around = list(hlo.walk(hlo.around_steps(read), "ENTRY"))
    found.call_bytes = sum(one.times * one.bytes for one in around)
    if target.platform == "tpu":
        weights = _count_cycles(found, read, ops, written, target)
        of_call = replace(found, unestimated=[])
        _count_cycles(of_call, read, around, written, target)
        found.call_cycles = of_call.cycles
    found.costliest = _by_line(read, ops, weights)
    if keep is not None:
        _keep(
            keep, f"{program.name}-{target.name.replace(':', '-')}", text, {one.op.name for one in ops}, written, dump
        )
    return found


def _count_cycles(
    found: CompiledCost, program: hlo.Program, ops: list[hlo.Counted], written: dict[str, Path], target: Target
) -> list[float]:
    """Fill in a TPU's cycles; the cycles of each operation, times its runs."""
    weights, estimated, scheduled = [], 0, 0
    for one in ops:
        # A roofline: an operation takes at least the longer of its computing and its copying.
        by_memory = one.bytes / target.bytes_a_cycle
        estimate = one.op.estimate
        if estimate is not None:
            estimated += one.times * estimate
        # The compiler estimates neither our own kernels nor gathers and scatters, but writes their schedules.
        elif one.op.kind in {"custom-call", "fusion", *BY_ROWS} and (schedule := schedule_of(one.op, ops, written)):
            counted = schedules.bundles(schedule.read_text(encoding="utf-8", errors="replace"))
            trips = schedules.kernel_trips(one.op.text)
            if trips:
                estimate = schedules.kernel_cycles(counted, trips)
                scheduled += one.times * estimate
            else:
                # Nothing says how often its loops run, so each row is taken to pass through all of them: a bound from
                # above.
                estimate = schedules.row_bound(counted, rows_of(program, one))
                found.unestimated.append(_bound(one, max(estimate, by_memory)))
        elif one.op.kind in {"fusion", *BY_ROWS} or one.op.name.startswith(OURS):
            found.unestimated.append(_bound(one, by_memory))
        weights.append(one.times * max(estimate or 0, by_memory))
    found.cycles, found.estimated_cycles, found.schedule_cycles = round(sum(weights)), estimated, scheduled
    return weights


def schedule_of(op: hlo.Op, ops: list[hlo.Counted], written: dict[str, Path]) -> Path | None:
    """An operation's schedule or, since compilers do not write that of a kernel again, that of the same kernel."""
    by_rows = op.kind in BY_ROWS or op.name.startswith(BY_ROWS)
    if op.name in written or not (by_rows or op.name.startswith(OURS)):
        return written.get(op.name)
    same = _stem if by_rows else _kernel
    alike = [other.op.name for other in ops if same(other.op) == same(op) and other.op.name in written]
    return written[alike[0]] if alike else None


def _stem(op: hlo.Op) -> str:
    """Its name without a number."""
    return op.name.split(".")[0]


def _kernel(op: hlo.Op) -> tuple[str, str]:
    """Its name without a number, and the shape of its result without the layout."""
    return _stem(op), re.sub(r"\{[^}]*\}", "", op.shape)


def rows_of(program: hlo.Program, counted: hlo.Counted) -> int:
    """Rows that a gather, scatter or sort handles, alone or in a fusion; at least 1.

    What is taken or put as a whole is one row: of a table [words, D] D numbers, of a table of single numbers each.
    """
    beside = program.computations[counted.computation]
    inside = program.computations.get(counted.op.attribute("calls"), [])
    shapes = {op.name: hlo.dimensions(op.shape) for op in (*beside, *inside)}
    rows = 1
    for op in (counted.op, *inside):
        if op.kind == "gather":
            rows = max(rows, math.prod(shapes[op.name]) // max(1, math.prod(op.numbers("slice_sizes"))))
        elif op.kind == "scatter":
            updates = shapes[op.operands[-1]]
            window = math.prod(updates[axis] for axis in op.numbers("update_window_dims"))
            rows = max(rows, math.prod(updates) // max(1, window))
        elif op.kind == "sort":
            rows = max(rows, math.prod(shapes[op.name]))
    return rows


def _bound(one: hlo.Counted, cycles: float) -> dict[str, Any]:
    return {
        "name": one.op.name,
        "kind": one.op.kind,
        "from": one.op.source,
        "times": one.times,
        "at_most_cycles": round(one.times * cycles),
    }


def _most_in_a_loop(ops: list[hlo.Counted], time_steps: int) -> float | None:
    """Operations a time step of the fullest loop inside the step; None where it has no loop."""
    of_loops: Counter[str] = Counter()
    for one in ops:
        if one.times > 1:
            of_loops[one.computation] += one.times
    return max(of_loops.values()) / time_steps if of_loops else None


def _by_line(program: hlo.Program, ops: list[hlo.Counted], weights: list[float]) -> list[dict[str, Any]]:
    """The costliest operations, summed over those of one line of ours."""
    total: Counter[str] = Counter()
    number: Counter[str] = Counter()
    for one, weight in zip(ops, weights, strict=True):
        frame = re.search(r"stack_frame_id=(\d+)", one.op.text)
        # XLA names a line by a number, and has the table of numbers at its text's head (`hlo.read`).
        line = program.frames.get(frame[1], "") if frame else ""
        short = line[line.find("kd_jax/") :] if "kd_jax/" in line else ""
        what = one.op.source.split("closed_call/")[-1] or f"{one.op.kind} {one.op.shape.split('{')[0]}"
        total[f"{short or '(compiler)'} {what}"] += round(weight)
        number[f"{short or '(compiler)'} {what}"] += one.times
    return [{"from": line, "cost": cost, "operations": number[line]} for line, cost in total.most_common(SHOWN)]


def _keep(folder: Path, name: str, text: str, names: set[str], written: dict[str, Path], dump: Path) -> None:
    """The program as text, beside it the schedules or the assembly of its kernels, and what a GPU's host launches."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    for kernel, path in written.items():
        # The compiler writes a schedule of every fusion; these are of our Pallas kernels and of what is only bounded.
        if kernel in names and kernel.startswith(OF_INTEREST):
            (folder / f"{name}-{kernel}.bundles").write_bytes(path.read_bytes())
    for path in sorted(dump.glob("*thunk_sequence_after_thunk_passes*"))[-1:]:  # of the program compiled last
        (folder / f"{name}.thunks").write_bytes(path.read_bytes())
    for path in sorted(dump.glob("*.ptx")):
        if entry := re.search(r"\.entry (lstm_\w+)", path.read_text(encoding="utf-8", errors="replace")):
            (folder / f"{name}-{entry[1]}.ptx").write_bytes(path.read_bytes())
