"""What a lane group's teachers know of the sentences that it trains on."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from kd_jax.distill import cache as library
from kd_jax.distill import store
from kd_jax.distill.ensemble import mean_logits
from kd_jax.errors import InputError
from kd_jax.structs import Outputs
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData, make_job, out_of_corpus_sentences
from kd_jax.sweep.plan import LaneGroup, ModelSpec, Plan
from kd_jax.sweep.status import Status
from kd_jax.training.loop import Job


class _Teacher(NamedTuple):
    """A teacher, its parameters' checksum, and what gives its tokens and sizes where something has to be computed."""

    model: ModelSpec
    parameters: str
    job: Callable[[], Job]


def knowledge(plan: Plan, sweep_data: SweepData, group: LaneGroup, context: RunContext) -> Outputs | None:
    """What the lane group's teachers say about its training sentences, for the terms that some lane gives weight to."""
    wanted = wanted_outputs(group)
    if not any(wanted):
        return None
    asked, status = _questions(sweep_data, group), context.status
    teachers = [_teacher(plan, sweep_data, spec, status) for spec in group.teachers]
    taught = [[_known(plan, teacher, query, context) for query in asked] for teacher in teachers]
    by_devel = len(taught) > 1 and plan.settings.distill.ensemble == "devel"
    weights = [status.devel_f1(teacher) for teacher in group.teachers] if by_devel else None
    return store.join((mean_logits(parts, weights) for parts in zip(*taught, strict=True)), wanted)


def compute_outputs(plan: Plan, sweep_data: SweepData, group: LaneGroup, spec: ModelSpec, context: RunContext) -> None:
    """Compute what one teacher of a lane group says about its training sentences, where that is not stored yet.

    Raises:
        InputError: where the teacher diverged, or the disk refuses.
    """
    teacher = _teacher(plan, sweep_data, spec, context.status)
    for query in _questions(sweep_data, group):
        context.go_on()
        _known(plan, teacher, query, context)


def wanted_outputs(group: LaneGroup) -> Outputs:
    """For each of a teacher's outputs whether some lane gives weight to it."""
    taught = bool(group.teachers)
    return Outputs(*(taught and any(getattr(m.weights, w) for m in group.specs) for w in ("beta", "gamma", "kappa")))


def _questions(sweep_data: SweepData, group: LaneGroup) -> list[library.TeacherQuery]:
    """What a lane group's teachers are asked: about its training sentences, in the order of its tokens."""
    own = group.corpora[0]
    asked = [
        library.TeacherQuery(own, own, sweep_data.hashes[own], split)
        for split in group.splits
        if split in sweep_data.corpora[own].splits
    ]
    if group.foreign:
        asked += [
            library.TeacherQuery(own, name, sweep_data.hashes[name], split, chosen)
            for (name, split), chosen in out_of_corpus_sentences(sweep_data, group).items()
        ]
    return asked


def _teacher(plan: Plan, sweep_data: SweepData, spec: ModelSpec, status: Status) -> _Teacher:
    found = status.finished(spec)
    if not found.ok:
        raise InputError(
            f"{spec.folder}: {found.status}, so it has nothing to teach;"
            " try a lower train.learning_rate or train.clip_norm"
        )
    of_head = next(of_head for of_head in plan.multi.values() if spec in of_head.specs)
    return _Teacher(spec, found.params_sha256, cache(lambda: make_job(sweep_data, of_head, of_head.specs[:1])[0]))


def _known(plan: Plan, teacher: _Teacher, query: library.TeacherQuery, context: RunContext) -> Outputs:
    place, dtype = _place(teacher, query, context), plan.settings.distill.dtype
    log = context.meter.log
    return library.answer(teacher.model.folder, teacher.parameters, place, query, dtype, teacher.job, log)


def _place(teacher: _Teacher, query: library.TeacherQuery, context: RunContext) -> Path:
    return context.workdir / "knowledge" / teacher.model.model_id / query.name
