"""Whether a plan fits on a device that need not be here, by the shapes of its programs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

from kd_jax.cost.ahead import CompileRequest, compile_for
from kd_jax.cost.memory import program_bytes
from kd_jax.cost.targets import Target
from kd_jax.settings import Head, Settings, to_dict
from kd_jax.sweep.forecast import CostModel
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.sweep.lanes import SAFE, fitting
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.status import Status


class Fit(NamedTuple):
    """The lane groups of one title on a device.

    Attributes:
        title: of the lane groups.
        teaches: whether they are teachers.
        head: their output layer.
        lanes: of the largest of them.
        at_once: of its lanes, those that are predicted to fit together.
        bytes: that these take on one chip; of a single lane, where not even one fits.
        whole: whether at least one lane fits.
        corpora: that they are trained on.
        settings: that they are trained with.
    """

    title: str
    teaches: bool
    head: Head
    lanes: int
    at_once: int
    bytes: int
    whole: bool
    corpora: tuple[str, ...]
    settings: Settings


def fits(plans: Sequence[Plan], cost_model: CostModel, status: Status, target: Target) -> list[Fit]:
    """How the lane groups of some plans fit on a device, of each title the largest.

    Args:
        plans: of a run.
        cost_model: knows sizes.
        status: knows what is still to train; what is done already counts too.
        target: the device.
    """
    rows: dict[tuple[str, Head], Fit] = {}
    for plan in plans:
        for group in status.groups_of(plan):
            one = _fit(group, cost_model, target)
            key = group.title, group.head
            if key not in rows or one.bytes > rows[key].bytes:
                rows[key] = one
    return list(rows.values())


def _fit(group: LaneGroup, cost_model: CostModel, target: Target) -> Fit:
    size, lanes = cost_model.extent(group), len(group.specs)

    def takes(some: int) -> int:
        of_chip = -(-some // target.chips)
        return program_bytes(group.settings, size, group.head, of_chip, in_turn=False, tpu=target.platform == "tpu")

    wanted = min(lanes, group.settings.lanes.at_once or lanes)
    at_once = fitting(wanted, takes, target.bytes)
    taken = takes(at_once)
    whole = taken <= SAFE * target.bytes
    return Fit(
        group.title, group.kind == "MTM", group.head, lanes, at_once, taken, whole, group.corpora, group.settings
    )


def fit_table(rows: Sequence[Fit], target: Target, compiled: Sequence[dict[str, Any]] = ()) -> Table:
    """Rows of a device for people, and whether the whole plan fits.

    Args:
        rows: what is predicted.
        target: the device.
        compiled: what its compiler says, as `compile_largest` finds it; it has the last word.
    """
    table = Table(title=f"the plan on {target.name}", caption=_verdict(rows, target, compiled), box=box.SIMPLE_HEAD)
    for column in ("what", "lanes", "at once", "GB of a device"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for one in rows:
        at_once = str(one.at_once) if one.whole else "none"
        table.add_row(one.title, str(one.lanes), at_once, f"{one.bytes / 1e9:.2f} of {target.bytes / 1e9:.0f}")
    return table


def _verdict(rows: Sequence[Fit], target: Target, compiled: Sequence[dict[str, Any]]) -> str:
    """In a sentence, so that nobody has to read the table for it."""
    left_out = [one.title for one in rows if not one.whole]
    if left_out:
        return f"the plan does not fit on {target.name}: not even one lane of {left_out[0]} does"
    for one in compiled:
        if fault := _fault(one):
            of = "several corpora" if one["program"] == "teacher" else "one corpus"
            remedy = "; ask for fewer with --set=lanes.at_once=N" if one["lanes"] > 1 else ""
            return (
                f"the plan does not fit on {target.name}, its compiler says: the largest training of {of},"
                f" {one['lanes']} lanes at once, {fault}{remedy}"
            )
    parted = sum(one.at_once < one.lanes for one in rows)
    how = "every lane group at once" if not parted else f"{parted} of {len(rows)} lane groups in parts"
    return f"the whole plan fits on {target.name}, {how}"


def _fault(one: dict[str, Any]) -> str:
    """That a compiled program does not fit; "" where it does. Not every compiler refuses what is too large."""
    if "fault" in one:
        return str(one["fault"])
    taken = one["argument_bytes"] + one["temporary_bytes"]
    needed = f"does not fit: needs {taken / 1e9:.2f} GB of {one['device_bytes'] / 1e9:.2f} GB"
    return needed if taken > one["device_bytes"] else ""


def compile_largest(rows: Sequence[Fit], data_dir: Path, scheme: str | None, target: Target) -> list[dict[str, Any]]:
    """What a device's compiler says of the largest training of one corpus in a plan, and of several together.

    Args:
        rows: how the plan fits there.
        data_dir: folder of the corpora.
        scheme: of their tags; None for what the files say.
        target: the device.

    Returns:
        As `kd_jax.cost.ahead.compile_for`.

    Raises:
        InputError: for whatever its process says.
    """
    compiled: list[dict[str, Any]] = []
    for program, some in (
        ("train", [one for one in rows if not one.teaches]),
        ("teacher", [one for one in rows if one.teaches]),
    ):
        for one in sorted(some, key=lambda one: one.bytes)[-1:]:
            request = CompileRequest(
                target.name, (one.at_once,), one.settings.model.compute, one.head, str(data_dir), one.corpora,
                scheme or "", (), "", (program,), to_dict(one.settings),
            )  # fmt: skip
            compiled += compile_for([request], lambda line: print(line, file=sys.stderr))
    return compiled
