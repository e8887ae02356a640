"""What a lane group's teachers know of the sentences that it trains on."""

from kd_jax.distill import cache as library
from kd_jax.distill import store
from kd_jax.distill.ensemble import mean_logits
from kd_jax.errors import InputError
from kd_jax.structs import Outputs, Sentence
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData, out_of_corpus_sentences
from kd_jax.sweep.plan import LaneGroup, ModelSpec, Plan
from kd_jax.training.saved_model import read_manifest


def knowledge(plan: Plan, sweep_data: SweepData, group: LaneGroup, context: RunContext) -> Outputs | None:
    """What the lane group's teachers say about its training sentences, for the terms that some lane gives weight to."""
    wanted = _wanted(group)
    if not any(wanted):
        return None
    asked = _questions(sweep_data, group)
    for teacher in group.teachers:
        _refuse_diverged(teacher)
    taught = [[_known(plan, sweep_data, t, query, context) for query in asked] for t in group.teachers]
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


def _refuse_diverged(teacher: ModelSpec) -> None:
    described = read_manifest(teacher.folder)
    if described and described["about"]["status"] != "ok":
        raise InputError(
            f"{teacher.folder}: {described['about']['status']}, so it has nothing to teach;"
            " try a lower train.learning_rate or train.clip_norm"
        )


def _known(
    plan: Plan, sweep_data: SweepData, teacher: ModelSpec, query: library.TeacherQuery, context: RunContext
) -> Outputs:
    def sentences() -> list[Sentence]:
        of_split = sweep_data.corpora[query.corpus].splits[query.split]
        return list(of_split if query.chosen is None else (of_split[i] for i in query.chosen))

    place = context.workdir / "knowledge" / teacher.model_id / query.name
    dtype = plan.settings.distill.dtype
    return library.load_or_compute(teacher.folder, place, query, dtype, sentences, context.meter.log)
