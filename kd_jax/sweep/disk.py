"""What a run takes on disk, foretold from shapes, and what there is."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.filesize import decimal
from rich.table import Table

from kd_jax.cost.memory import parameters
from kd_jax.distill.upkeep import GB, stored
from kd_jax.sweep.forecast import CostModel
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.totals import PendingGroup, knowledge_bytes

STATES = 4  # numbers a parameter that a checkpoint has at most: it, Adam's two moments, and the best epoch's


class Disk(NamedTuple):
    """Bytes on disk.

    Attributes:
        models: of those that are still to train.
        knowledge: of what teachers are asked, below the bound where there is one, without what is stored already.
        checkpoints: of the lane group that takes most, while it trains.
        free: that can be written where the work folder is.
    """

    models: int
    knowledge: int
    checkpoints: int
    free: int

    @property
    def needed(self) -> int:
        """All that is to be written."""
        return self.models + self.knowledge + self.checkpoints


def disk(plans: Sequence[Plan], open_groups: Sequence[PendingGroup], cost_model: CostModel) -> Disk:
    """What some plans take on disk.

    Args:
        plans: of a run.
        open_groups: what is still to train of them.
        cost_model: knows sizes.
    """
    models = checkpoints = 0
    for share in open_groups:
        group, saving = share.group, share.group.settings.saving
        size = parameters(group.settings, cost_model.extent(group), group.head)
        of_lane = 4 * sum(size)
        lanes = cost_model.at_once(group, len(share.specs))
        unseen = group.settings.model.words.unseen == "ngrams"  # a model keeps one more row of each word then
        models += len(share.specs) * (of_lane + unseen * 4 * size.words)
        checkpoints = max(checkpoints, (1 + saving.keep) * lanes * STATES * of_lane)
    bytes_of = (
        dict(piece for plan in plans for piece in knowledge_bytes(plan, cost_model.sweep_data)) if open_groups else {}
    )
    workdir = plans[0].workdir
    in_store = sum(one.bytes for one in stored(workdir))
    bound = max(plan.settings.saving.knowledge_gb for plan in plans) * GB
    wanted = sum(bytes_of.values())
    knowledge = max(0, (min(wanted, round(bound)) if bound else wanted) - in_store)
    return Disk(models, knowledge, checkpoints, shutil.disk_usage(_existing(workdir)).free)


def short_of(disk: Disk, workdir: Path) -> str | None:
    """A line where a run takes more than there is; None where it fits."""
    if disk.needed <= disk.free:
        return None
    return (
        f"{workdir}: this run writes about {decimal(disk.needed)}, {decimal(disk.knowledge)} of it teachers' outputs,"
        f" and {decimal(disk.free)} are free there; name another --workdir, make room (kd-jax clean), or"
        " bound them with --set=saving.knowledge_gb=..."
    )


def add_rows(table: Table, disk: Disk) -> None:
    """Say it in a table of totals."""
    table.add_row("models on disk", f"{disk.models / 1e6:,.0f} MB")
    table.add_row("checkpoints on disk, at most", f"{disk.checkpoints / 1e6:,.0f} MB")
    table.add_row("still to be written, and free", f"{disk.needed / 1e6:,.0f} of {disk.free / 1e6:,.0f} MB")


def _existing(path: Path) -> Path:
    """The nearest folder that is there."""
    return next(above for above in (path.absolute(), *path.absolute().parents) if above.is_dir())
