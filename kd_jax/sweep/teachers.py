"""What a lane group's teachers know of the sentences that it trains on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from kd_jax.distill import cache as library
from kd_jax.distill import store
from kd_jax.distill.ensemble import mean_logits
from kd_jax.distill.external import read_external
from kd_jax.distill.scale import moments_of, scales, variance
from kd_jax.distill.upkeep import KNOWLEDGE, make_room
from kd_jax.errors import InputError
from kd_jax.models.crf import Transitions
from kd_jax.structs import Outputs, Sentence
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData, out_of_corpus_sentences
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.recurrence import in_form_of_run
from kd_jax.sweep.status import Status
from kd_jax.training.objective import Knowledge
from kd_jax.training.saved_model import load_model


def knowledge(plan: Plan, sweep_data: SweepData, group: LaneGroup, context: RunContext) -> Knowledge | None:
    """What the lane group's teachers say about its training sentences, for the terms that some lane gives weight to."""
    wanted = wanted_outputs(group)
    if not any(wanted):
        return None
    context.meter.begin(f"outputs of the teachers of {group.title}")
    queries, how = queries_of(sweep_data, group), group.settings.distill
    of_each = [
        store.join((outputs_of(plan, sweep_data, group, teacher, query, context) for query in queries), wanted)
        for teacher in group.teachers
    ]
    several = len(of_each) > 1
    weights = (
        [context.status.devel_f1(teacher) for teacher in group.teachers]
        if several and how.ensemble == "devel"
        else None
    )
    # Chains are averaged as they are: scaled emissions would no longer be of one unit with their transitions.
    scaled = several and how.equations == "standardised" and how.match not in {"posteriors", "structure"}
    units = [variance(teacher.moments.logits) for teacher in of_each] if scaled else None
    outputs = mean_logits([teacher.outputs for teacher in of_each], weights, units)
    transitions = mean_transitions(group.teachers, group.corpora[0], weights)
    known = _known_tokens(sweep_data, group, queries, [teacher.known for teacher in of_each])
    moments = moments_of(outputs, known) if several else of_each[0].moments
    return Knowledge(outputs, scales(moments), transitions, known)


def _known_tokens(
    sweep_data: SweepData,
    group: LaneGroup,
    queries: Sequence[library.TeacherQuery],
    of_each: Sequence[Bool[np.ndarray, "N"] | None],
) -> Bool[np.ndarray, "N"] | None:
    """Tokens of which every teacher says something; None for all."""
    masks = [known for known in of_each if known is not None]
    if not masks:
        return None
    known = np.logical_and.reduce(masks)
    if group.settings.distill.match in {"posteriors", "structure"}:
        # A chain is matched as a whole or not at all: a hole in it would join what does not stand together.
        lengths = [len(sentence.tokens) for query in queries for sentence in _sentences(sweep_data, query)]
        starts = np.cumsum([0, *lengths[:-1]])
        known = np.repeat(np.logical_and.reduceat(known, starts), lengths)
    return known


def mean_transitions(
    teachers: Sequence[ModelSpec], corpus: str, weights: Sequence[float] | None = None
) -> Transitions | None:
    """Several models' mean transitions between labels of a corpus, a softmax's being 0; None if all are.

    The mean of emissions and of transitions, under the same weights, is the geometric mean of the models' chains.
    """
    shares = np.ones(len(teachers)) if weights is None else np.asarray(weights, np.float64)
    shared = []
    for teacher, share in zip(teachers, shares / shares.sum(), strict=True):
        if teacher.head != "crf":
            continue
        model = load_model(teacher.folder)
        task = model.tasks.index(corpus)
        k = len(model.labels[task])
        start, stop, pairs = (np.asarray(model.params["crf"][name][task]) for name in Transitions._fields)
        shared.append(Transitions(*((share * x).astype(np.float32) for x in (start[:k], stop[:k], pairs[:k, :k]))))
    return Transitions(*(np.sum(scores, 0) for scores in zip(*shared, strict=True))) if shared else None


def wanted_outputs(group: LaneGroup) -> Outputs:
    """For each of a teacher's outputs whether some lane gives weight to it."""
    taught = bool(group.teachers)
    return Outputs(*(taught and any(getattr(m.weights, w) for m in group.specs) for w in ("beta", "gamma", "kappa")))


def queries_of(sweep_data: SweepData, group: LaneGroup) -> list[library.TeacherQuery]:
    """What a lane group's teachers are asked: about its training sentences, in the order of its tokens."""
    corpus_of_student = group.corpora[0]
    queries = [
        library.TeacherQuery(corpus_of_student, corpus_of_student, sweep_data.hashes[corpus_of_student], split)
        for split in group.splits
        if split in sweep_data.corpora[corpus_of_student].splits
    ]
    if group.foreign:
        queries += [
            library.TeacherQuery(corpus_of_student, name, sweep_data.content(name, split), split, chosen)
            for (name, split), chosen in out_of_corpus_sentences(sweep_data, group).items()
        ]
    return queries


def checksum(teacher: ModelSpec, status: Status) -> str:
    """Of a teacher's parameters.

    Raises:
        InputError: where it diverged.
    """
    manifest = status.finished(teacher)
    if not manifest.ok:
        raise InputError(
            f"{teacher.folder}: {manifest.status}, so it has nothing to teach;"
            " try a lower train.learning_rate or train.clip_norm"
        )
    return manifest.params_sha256


def outputs_of(
    plan: Plan,
    sweep_data: SweepData,
    group: LaneGroup,
    teacher: ModelSpec,
    query: library.TeacherQuery,
    context: RunContext,
) -> store.Stored:
    """What one teacher of a lane group answers to one of its queries, computed where it is not stored yet.

    Raises:
        InputError: where the teacher diverged, or the disk refuses.
    """
    if teacher.kind == "external":
        return _external(sweep_data, teacher, query, context)

    def sentences() -> list[Sentence]:
        return _sentences(sweep_data, query)

    def place_of(spec: ModelSpec, of_query: library.TeacherQuery) -> Path:
        return context.workdir / KNOWLEDGE / spec.model_id / of_query.stored

    def room(needed: int) -> None:
        together = {place_of(spec, of_query) for spec in ours for of_query in queries_of(sweep_data, group)}
        make_room(context.workdir, needed, plan.settings.saving.knowledge_gb, together, context.meter.log)

    ours = [spec for spec in group.teachers if spec.kind != "external"]
    dtype = plan.settings.distill.dtype
    parameters = checksum(teacher, context.status)
    place, log = place_of(teacher, query), context.meter.log
    as_run = partial(in_form_of_run, runtime=plan.settings.runtime, workdir=context.workdir, log=log)
    return library.load_or_compute(teacher.folder, parameters, place, query, dtype, sentences, log, room, as_run)


def _external(
    sweep_data: SweepData, teacher: ModelSpec, query: library.TeacherQuery, context: RunContext
) -> store.Stored:
    """What a teacher that is none of ours said of some sentences of a split, of which all of it is stored."""
    stored = read_external(context.workdir, teacher.label, query)
    if query.chosen is None:
        return stored
    lengths = [len(sentence.tokens) for sentence in sweep_data.sentences(query.corpus, query.split)]
    ends = np.cumsum(lengths)
    rows = np.concatenate([np.arange(0), *(np.arange(ends[i] - lengths[i], ends[i]) for i in query.chosen)])
    outputs = Outputs(*(x[rows] for x in stored.outputs))
    known = None if stored.known is None else stored.known[rows]
    return store.Stored(outputs, moments_of(outputs, known), known)


def _sentences(sweep_data: SweepData, query: library.TeacherQuery) -> list[Sentence]:
    of_split = sweep_data.sentences(query.corpus, query.split)
    return list(of_split if query.chosen is None else (of_split[i] for i in query.chosen))
