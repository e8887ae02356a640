"""What a cell's teachers know of the sentences that it trains on."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from kd_jax.distill import cache as library
from kd_jax.distill import store
from kd_jax.distill.ensemble import mean_logits
from kd_jax.errors import InputError
from kd_jax.structs import Outputs
from kd_jax.sweep.group import Context
from kd_jax.sweep.job import Material, foreign_sentences, make_job
from kd_jax.sweep.plan import Cell, Member, Plan
from kd_jax.training.loop import Job
from kd_jax.training.saved_model import describe_model


class _Teacher(NamedTuple):
    """A teacher, and what gives its tokens and sizes where something has to be computed."""

    model: Member
    job: Callable[[], Job]


def knowledge(plan: Plan, material: Material, cell: Cell, context: Context) -> Outputs | None:
    """What the cell's teachers say about its training sentences, for the terms that some lane gives weight to."""
    wanted = _wanted(cell)
    if not any(wanted):
        return None
    asked = _questions(material, cell)
    taught = [[_known(plan, t, question, context) for question in asked] for t in _teachers(plan, material, cell)]
    by_devel = len(taught) > 1 and plan.settings.distill.ensemble == "devel"
    weights = [devel_f1(teacher) for teacher in cell.teachers] if by_devel else None
    return store.join((mean_logits(parts, weights) for parts in zip(*taught, strict=True)), wanted)


def devel_f1(member: Member) -> float:
    """F1 on devel of a model that was not trained on it, the mean over its corpora; -1 where it diverged.

    Raises:
        InputError: where the model has none.
    """
    found = describe_model(member.folder)
    if found and found["about"]["status"] != "ok":
        return -1.0
    value = found["about"]["devel_f1"] if found else None
    if value is None:
        raise InputError(f"{member.folder}: has no F1 on devel; remove the folder to train it again")
    return float(value)


def _wanted(cell: Cell) -> Outputs:
    """For each of a teacher's outputs whether some lane gives weight to it."""
    taught = bool(cell.teachers)
    return Outputs(*(taught and any(getattr(m.weights, w) for m in cell.members) for w in ("beta", "gamma", "kappa")))


def _questions(material: Material, cell: Cell) -> list[library.Question]:
    """What a cell's teachers are asked: about its training sentences, in the order of its tokens."""
    own = cell.corpora[0]
    asked = [
        library.Question(own, own, material.hashes[own], split)
        for split in cell.splits
        if split in material.corpora[own].splits
    ]
    if cell.foreign:
        asked += [
            library.Question(own, name, material.hashes[name], split, chosen)
            for (name, split), chosen in foreign_sentences(material, cell).items()
        ]
    return asked


def _teachers(plan: Plan, material: Material, cell: Cell) -> list[_Teacher]:
    found = []
    for teacher in cell.teachers:
        described = describe_model(teacher.folder)
        if described and described["about"]["status"] != "ok":
            raise InputError(
                f"{teacher.folder}: {described['about']['status']}, so it has nothing to teach;"
                " try a lower train.learning_rate or train.clip_norm"
            )
        of_head = next(of_head for of_head in plan.multi.values() if teacher in of_head.members)
        job = cache(lambda of_head=of_head: make_job(material, of_head, of_head.members[:1])[0])
        found.append(_Teacher(teacher, job))
    return found


def _known(plan: Plan, teacher: _Teacher, question: library.Question, context: Context) -> Outputs:
    place, dtype = _place(teacher, question, context), plan.settings.distill.dtype
    return library.answer(teacher.model.folder, place, question, dtype, teacher.job, context.meter.say)


def _place(teacher: _Teacher, question: library.Question, context: Context) -> Path:
    return context.workdir / "knowledge" / teacher.model.identity / question.name
