"""What could not be taught is refused before anything is trained."""

from collections.abc import Sequence
from typing import Any

from kd_jax.errors import InputError, nearest
from kd_jax.experiment import Experiment
from kd_jax.settings import ModelConfig, assigned
from kd_jax.sweep.grid import SENTENCES
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.status import Status


def check_plan(plan: Plan) -> None:
    """Refuse what could not be taught.

    Raises:
        InputError: for teachers that don't know a student's corpus, sizes that a start or a match does not fit, and
            ensembles that can't be weighed as asked.
    """
    asked = plan.experiment
    for teacher in (t for s in asked.students for t in (asked.teachers if s.teachers is None else s.teachers)):
        if teacher.corpora and (unknown := [name for name in teacher.corpora if name not in plan.corpora]):
            known = nearest(unknown[0], plan.corpora)
            raise InputError(f"{asked.name}: Teacher(corpora=...): {unknown[0]!r} is not among --datasets; {known}")
        if teacher.corpora and (missing := [name for name in plan.targets if name not in teacher.corpora]):
            raise InputError(
                f"{asked.name}: Teacher(corpora={teacher.corpora!r:.60}) can't speak of {missing[0]}; add it there, or"
                " name the corpora that get students with --targets"
            )
    for group in (*plan.tuning, *plan.students(None)):
        ours, theirs, label = group.settings.model, plan.settings.model, group.specs[0].label
        if ours.words.vectors != theirs.words.vectors:
            raise InputError(
                f"{plan.experiment.name}: {label}: words.vectors={ours.words.vectors} of its own; a run reads one file"
                " of vectors: give it with --set=words.vectors=, and columns with others in another run"
            )
        if group.foreign:
            _check_shown(plan, group)
        if plan.vectors and ours.words.dim != theirs.words.dim:
            raise InputError(
                f"{plan.experiment.name}: {label}: words.dim={ours.words.dim}, and the vectors of words.vectors have"
                f" {theirs.words.dim} numbers; leave one of the two out"
            )
        if group.start == "words" and ours.words.dim != theirs.words.dim:
            raise InputError(
                f"{plan.experiment.name}: {label}: words.dim={ours.words.dim} can't start from the teacher's words of"
                f' {theirs.words.dim} numbers; write start="random"'
            )
        if group.start == "parameters" and _sizes(ours) != _sizes(theirs):
            raise InputError(
                f'{plan.experiment.name}: {label}: start="parameters" needs the teacher\'s sizes; leave its own out'
            )
        if len(group.teachers) > 1 and any(spec.weights.gamma or spec.weights.kappa for spec in group.specs):
            raise InputError(
                f"{plan.experiment.name}: {label}: hidden states of several teachers have no common axes; give gamma"
                " and kappa to students of one teacher only"
            )
    teachers = max((len(group.teachers) for group in plan.students(None)), default=0)
    if teachers > 1 and plan.settings.distill.ensemble == "devel" and "devel" in plan.protocol:
        raise InputError(
            "distill.ensemble=devel weighs teachers by their F1 on devel, which they would be trained on;"
            " use --protocol=train, or distill.ensemble=uniform"
        )
    if teachers > 1 and plan.settings.distill.ensemble == "devel" and plan.externals:
        raise InputError(
            "distill.ensemble=devel weighs teachers by their F1 on devel, which external ones do not have;"
            " use distill.ensemble=uniform"
        )


def _check_shown(plan: Plan, group: LaneGroup) -> None:
    """Refuse a lane group whose students would not see what they are to be shown."""
    shown, by_default = group.settings.distill, plan.settings.distill
    who = f"{plan.experiment.name}: {group.specs[0].label}"
    wants_text = shown.text != by_default.text or shown.foreign == 0 != by_default.foreign
    if shown.text and wants_text and not plan.text:
        raise InputError(f"{who} is to be shown text, and there is none; give a file or a folder of it with --text")
    if group.settings.train.rows == 1 and (plan.text or len(plan.corpora) > 1):
        raise InputError(f"{who}: train.rows=1 leaves no row of a batch to sentences without labels; give at least 2")


def check_assignments(experiments: Sequence[Experiment], assignments: Sequence[str]) -> None:
    """Refuse a setting of distillation that every student it concerns has of its own, and so another one.

    A student's own assignments go over a run's, and nobody but students reads those of distillation, so that the run
    would not be what its command says.

    Raises:
        InputError: naming a student and what it has.
    """
    wanted = {name: text for name, text in assigned(assignments).items() if name.startswith("distill.")}
    for name, text in wanted.items():
        sentences = name in SENTENCES.values()
        concerned = [(e, s) for e in experiments for s in e.students if s.foreign or not sentences]
        own = [(e, s, assigned(s.assignments).get(name, text)) for e, s in concerned]
        if own and all(value != text for *_, value in own):
            experiment, student, value = own[0]
            raise InputError(
                f"--set {name}={text}: nobody would read it: {experiment.name} has {name}={value} for"
                f" {student.label!r}; change it there, or leave it out here (experiments/ has files to copy)"
            )


def check_decoding(plans: Sequence[Plan], status: Status) -> None:
    """Refuse a run whose table would show scores that were decoded otherwise than it asks for.

    Decoding is no part of a model's id but where devel chooses its epoch, and a model is scored once, when it has been
    trained.

    Raises:
        InputError: naming a model, and how to judge it otherwise.
    """
    for group in (group for plan in plans for group in status.groups_of(plan) if group.purpose != "teach"):
        wanted = group.settings.model.constrained
        for spec in group.specs:
            manifest = status.manifest(spec)
            if manifest is not None and manifest.settings.get("model", {}).get("constrained", wanted) != wanted:
                flag = "--constrained" if wanted else "--noconstrained"
                raise InputError(
                    f"{spec.folder}: was scored with model.constrained={str(not wanted).lower()}; judge it otherwise"
                    f" with kd-jax evaluate {flag}, or train for a table of such scores in another --workdir"
                )


def _sizes(model: ModelConfig) -> tuple[Any, ...]:
    return model.words.dim, model.chars, model.shared_units, model.task_units, model.hidden_units
