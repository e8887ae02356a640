"""An experiment to its end: stages of lane groups, finished models skipped, results written as they come.

A stage begins when the one before is finished: single-task models and teachers, then what is tuned, then students.
"""

import itertools
import os
import platform
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kd_jax.errors import InputError
from kd_jax.evaluation.score_tables import ScoreTables
from kd_jax.sweep.averages import Averaged, average_rows, averages_of
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.sweep.lanes import known_lanes, record_lanes, split_lanes, timed_before
from kd_jax.sweep.plan import Plan, describe
from kd_jax.sweep.publish import Publisher, lacking_cards, write_choices, write_settings
from kd_jax.sweep.status import changed_corpora, trained_otherwise
from kd_jax.sweep.teachers import queries_of, wanted_outputs
from kd_jax.sweep.units import ChooseLanes, ScoreAverage, TeacherOutputs, TrainLanes, Unit, Workshop, WriteCards

Work = Generator[list[Unit], list[Any], None]
"""A lane group's way to its end: yields units that may run side by side, and goes on with their results."""


class Engine(Protocol):
    """Where units run.

    Attributes:
        side_by_side: whether several run at the same time, so that what they share is computed before.
    """

    side_by_side: bool

    def run(self, works: Sequence[Work]) -> None:
        """Bring lane groups to their ends."""


class InProcess:
    """Runs units here, one after the other.

    Args:
        sweep_data: what they work on.
        context: where they work and whom they tell.
    """

    side_by_side = False

    def __init__(self, sweep_data: SweepData, context: RunContext) -> None:
        self._shop = Workshop(sweep_data, context)

    def run(self, works: Sequence[Work]) -> None:
        """Bring lane groups to their ends in order; errors as of `run`."""
        for work in works:
            results: list[Any] | None = None
            while (units := advance(work, results)) is not None:
                results = [self._run(unit) for unit in units]

    def _run(self, unit: Unit) -> Any:
        self._shop.context.go_on()
        return unit.run(self._shop)


def advance(work: Work, results: list[Any] | None) -> list[Unit] | None:
    """The next units of a lane group, given the results of those before; None where it is finished."""
    try:
        return next(work) if results is None else work.send(results)
    except StopIteration:
        return None


def open_workdir(workdir: Path) -> None:
    """Make a work folder and see that it can be written.

    Raises:
        InputError: where it can't.
    """
    probe = workdir / f".probe.{platform.node()}.{os.getpid()}"  # of this process, where several share the folder
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as fault:
        raise InputError(f"--workdir={workdir}: can't be written ({fault.strerror}); name a folder that can") from None


def _scored(averaged: Averaged) -> Work:
    yield [ScoreAverage(averaged)]


@dataclass(frozen=True)
class Sweep:
    """A plan with all that carries it out.

    Attributes:
        plan: the lane groups.
        sweep_data: the corpora and settings they work on.
        context: its work folder gets results.csv, types.csv, counts/, metrics.jsonl, settings.json, lanes.json,
            chosen/ and the folders students/, teachers/, tuning/ and knowledge/.
        tables: results.csv and types.csv.
        engine: where units run.
    """

    plan: Plan
    sweep_data: SweepData
    context: RunContext
    tables: ScoreTables
    engine: Engine

    def run(self) -> None:
        """Train what is missing of the plan and write its rows.

        Raises:
            InputError: where the disk refuses; models finished before stay.
            InterruptedRunError: where a signal asked for the end.
        """
        plan, workdir, log = self.plan, self.context.workdir, self.context.meter.log
        for name in changed_corpora(self.sweep_data.hashes, workdir):
            log(f"{name}: not the text that this folder's last run read; models of that text stay, and are not used")
        if version := trained_otherwise(workdir):
            log(f"this folder's models are of kd_jax {version}, which trained otherwise: they stay, and are not used")
        write_settings(plan, self.sweep_data, self.context)
        # In stages, each of which needs the one before whole: teachers before students, candidates before the choice.
        self.finish([group for group in plan.fixed if not group.teachers])
        self.finish(plan.tuning)
        chosen = self.context.status.choose(plan)
        if chosen:
            write_choices(chosen, workdir, plan.experiment.name)
            for (corpus, label), weights in chosen.items():
                log(f"{label} on {corpus}: devel chose {describe(weights).removeprefix('SM ')}")
        self.finish(plan.students(chosen))
        averages = averages_of(plan, self.context.status)
        self.engine.run([_scored(averaged) for averaged in averages])
        for averaged in averages:
            self.tables.add(*average_rows(plan, averaged))

    def finish(self, groups: Sequence[LaneGroup]) -> None:
        """Train those models of a stage's lane groups that are missing, and publish the rows of all as they come."""
        publisher = Publisher(self.plan, groups, self.tables, self.context.status)
        self.engine.run([self._work(group, publisher.finished) for group in groups])

    def _work(self, group: LaneGroup, finished: Callable[[LaneGroup], None]) -> Work:
        plan, status, workdir, device = self.plan, self.context.status, self.context.workdir, self.context.device
        if status.missing(group):
            # One after the other, the first unit that reads a teacher's outputs computes them; side by side each would.
            if self.engine.side_by_side and any(wanted_outputs(group)):
                queries = queries_of(self.sweep_data, group)
                yield [TeacherOutputs(plan, group, *asked) for asked in itertools.product(group.teachers, queries)]
            # How many lanes share a program decides its shapes, so its last bits: chosen once, kept in lanes.json.
            lanes = group.settings.lanes.at_once or known_lanes(group, workdir, device)
            if not lanes:
                (entry,) = yield [ChooseLanes(plan, group, timed_before(group, workdir, device))]
                lanes = record_lanes(group, workdir, entry, self.context.meter.log)
            parts = [part for part in split_lanes(group, lanes) if status.missing(part)]
            yield [TrainLanes(plan, group, part) for part in parts]
        finished(group)
        if group.purpose == "table" and group.kind != "MTM" and lacking_cards(group.specs, status):
            yield [WriteCards(plan, group)]
