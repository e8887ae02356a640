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
from kd_jax.training.loop import Job
from kd_jax.training.saved_model import read_manifest


class _Teacher(NamedTuple):
    """A teacher, and what gives its tokens and sizes where something has to be computed."""

    model: ModelSpec
    job: Callable[[], Job]


def knowledge(plan: Plan, sweep_data: SweepData, group: LaneGroup, context: RunContext) -> Outputs | None:
    """What the lane group's teachers say about its training sentences, for the terms that some lane gives weight to."""
    wanted = _wanted(group)
    if not any(wanted):
        return None
    asked = _questions(sweep_data, group)
    taught = [[_known(plan, t, query, context) for query in asked] for t in _teachers(plan, sweep_data, group)]
    by_devel = len(taught) > 1 and plan.settings.distill.ensemble == "devel"
    weights = [devel_f1(teacher) for teacher in group.teachers] if by_devel else None
    return store.join((mean_logits(parts, weights) for parts in zip(*taught, strict=True)), wanted)


def devel_f1(spec: ModelSpec) -> float:
    """F1 on devel of a model that was not trained on it, the mean over its corpora; -1 where it diverged.

    Raises:
        InputError: where the model has none.
    """
    found = read_manifest(spec.folder)
    if found and found["about"]["status"] != "ok":
        return -1.0
    value = found["about"]["devel_f1"] if found else None
    if value is None:
        raise InputError(f"{spec.folder}: has no F1 on devel; remove the folder to train it again")
    return float(value)


def _wanted(group: LaneGroup) -> Outputs:
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


def _teachers(plan: Plan, sweep_data: SweepData, group: LaneGroup) -> list[_Teacher]:
    found = []
    for teacher in group.teachers:
        described = read_manifest(teacher.folder)
        if described and described["about"]["status"] != "ok":
            raise InputError(
                f"{teacher.folder}: {described['about']['status']}, so it has nothing to teach;"
                " try a lower train.learning_rate or train.clip_norm"
            )
        of_head = next(of_head for of_head in plan.multi.values() if teacher in of_head.specs)
        job = cache(lambda of_head=of_head: make_job(sweep_data, of_head, of_head.specs[:1])[0])
        found.append(_Teacher(teacher, job))
    return found


def _known(plan: Plan, teacher: _Teacher, query: library.TeacherQuery, context: RunContext) -> Outputs:
    place, dtype = _place(teacher, query, context), plan.settings.distill.dtype
    return library.answer(teacher.model.folder, place, query, dtype, teacher.job, context.meter.log)


def _place(teacher: _Teacher, query: library.TeacherQuery, context: RunContext) -> Path:
    return context.workdir / "knowledge" / teacher.model.model_id / query.name
