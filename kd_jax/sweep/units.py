"""Units of work: what is computed at a stretch, in this process or as a task on another machine.

A unit says what it needs of its plan and nothing of where it runs, so that its results are the same everywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from kd_jax.distill.cache import TeacherQuery
from kd_jax.models.execution import Recurrence
from kd_jax.sweep.averages import Averaged, score_average
from kd_jax.sweep.group import RunContext, train_group
from kd_jax.sweep.job import SweepData, make_job
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.lanes import choose_lanes
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.publish import write_cards
from kd_jax.sweep.recurrence import recurrence_of
from kd_jax.sweep.status import models_of
from kd_jax.sweep.teachers import knowledge, outputs_of
from kd_jax.training.loop import Job
from kd_jax.training.objective import Knowledge


class Workshop:
    """What units of a process share: the corpora, and what the teachers of the latest lane group know.

    Args:
        sweep_data: the corpora.
        context: where the units work and whom they tell.
    """

    def __init__(self, sweep_data: SweepData, context: RunContext) -> None:
        self.sweep_data, self.context = sweep_data, context
        self._latest: tuple[tuple[str, ...], Knowledge | None] | None = None

    def knowledge(self, plan: Plan, group: LaneGroup) -> Knowledge | None:
        """What a lane group's teachers say about its training sentences; read once for all of its units."""
        key = tuple(spec.model_id for spec in group.specs)
        if self._latest is None or self._latest[0] != key:
            self._latest = None  # the arrays of two groups need not fit in memory
            self._latest = key, knowledge(plan, self.sweep_data, group, self.context)
        return self._latest[1]


@dataclass(frozen=True)
class TeacherOutputs:
    """One teacher's outputs for one of a lane group's queries, computed where they are missing or stale."""

    plan: Plan
    group: LaneGroup
    teacher: ModelSpec
    query: TeacherQuery

    @property
    def key(self) -> tuple[str, ...]:
        """The same for units that do the same, whichever lane group asks: no two write one folder."""
        return ("outputs", self.teacher.model_id, str(self.query.stored), self.query.content)

    @property
    def title(self) -> str:
        """For people."""
        return f"outputs of {self.teacher.folder.name} for {self.query.name}"

    def run(self, shop: Workshop) -> None:
        """Compute and store them."""
        outputs_of(self.plan, shop.sweep_data, self.group, self.teacher, self.query, shop.context)


@dataclass(frozen=True)
class ChooseLanes:
    """How many lanes of a lane group train at the same time."""

    plan: Plan
    group: LaneGroup
    timed: dict[str, float]

    @property
    def key(self) -> tuple[str, ...]:
        """The same for units that do the same."""
        return ("choose", *(spec.model_id for spec in self.group.specs))

    @property
    def title(self) -> str:
        """For people."""
        return f"lanes at once of {self.group.title}"

    def run(self, shop: Workshop) -> dict[str, Any]:
        """The choice, as lanes.json keeps it."""
        job: Callable[[], Job] = partial(_whole_job, shop, self.plan, self.group)
        context = shop.context

        def form(fits: Job) -> Recurrence:
            return recurrence_of(fits, None, context.workdir, context.meter.log)

        return choose_lanes(self.group, job, self.timed, context.share, form)


@dataclass(frozen=True)
class TrainLanes:
    """Some lanes of a lane group, trained as one program, scored and saved."""

    plan: Plan
    group: LaneGroup
    lanes: LaneGroup

    @property
    def key(self) -> tuple[str, ...]:
        """The same for units that do the same."""
        return ("train", *(spec.model_id for spec in self.lanes.specs))

    @property
    def title(self) -> str:
        """For people."""
        return self.group.title

    def run(self, shop: Workshop) -> None:
        """Train those that are missing, from their latest checkpoint."""
        context = shop.context
        if begun := context.status.lanes_to_train(self.lanes, context.workdir):
            train_group(shop.sweep_data, self.lanes, begun, shop.knowledge(self.plan, self.group), context)


@dataclass(frozen=True)
class WriteCards:
    """The cards of a lane group's students."""

    plan: Plan
    group: LaneGroup

    @property
    def key(self) -> tuple[str, ...]:
        """The same for units that do the same."""
        return ("cards", *(spec.model_id for spec in self.group.specs))

    @property
    def title(self) -> str:
        """For people."""
        return f"model cards: {self.group.title}"

    def run(self, shop: Workshop) -> None:
        """Write those that are missing."""
        write_cards(shop.sweep_data.corpora[self.group.corpora[0]], self.group.specs, shop.context)


@dataclass(frozen=True)
class ScoreAverage:
    """The mean of several models, decoded and scored on one corpus."""

    averaged: Averaged

    @property
    def key(self) -> tuple[str, ...]:
        """The same for units that do the same."""
        return ("average", self.averaged.average_id)

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.averaged.column.label} on {self.averaged.corpus}"

    def run(self, shop: Workshop) -> None:
        """Score it, where that was not done before."""
        sentences = shop.sweep_data.corpora[self.averaged.corpus].splits["test"]
        score_average(self.averaged, sentences, shop.context.workdir, shop.context.meter.log)


Unit = TeacherOutputs | ChooseLanes | TrainLanes | WriteCards | ScoreAverage


def _whole_job(shop: Workshop, plan: Plan, group: LaneGroup) -> Job:
    return make_job(shop.sweep_data, group, models_of(group), shop.knowledge(plan, group))[0]
