"""An experiment to its end: stages of lane groups, finished models skipped, results written as they come.

A stage begins when the one before is finished: single-task models and teachers, then what is tuned, then students.
"""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from kd_jax import __version__
from kd_jax.corpora.registry import corpus_hash
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.export.student_card import CARD, known_speeds, summary, teachers_of, write_card
from kd_jax.runtime import device
from kd_jax.runtime.files import replace_file
from kd_jax.settings import to_dict
from kd_jax.structs import Corpus, LossWeights
from kd_jax.sweep.group import RunContext, checkpoint_folder, train_group
from kd_jax.sweep.job import SweepData, make_job
from kd_jax.sweep.lanes import at_once, split_lanes
from kd_jax.sweep.plan import Chosen, LaneGroup, ModelSpec, Plan, describe
from kd_jax.sweep.teachers import devel_f1, knowledge
from kd_jax.training.checkpoints import started_together
from kd_jax.training.loop import Job
from kd_jax.training.objective import Knowledge
from kd_jax.training.saved_model import load_counts, read_manifest


def hashes_of(corpora: Sequence[Corpus]) -> dict[str, str]:
    """Content hash of each corpus, by name."""
    return {corpus.name: corpus_hash(corpus) for corpus in corpora}


def missing_models(group: LaneGroup) -> list[ModelSpec]:
    """Those of a lane group's models that are not there yet; two columns of one model count once."""
    models = {spec.folder: spec for spec in group.specs}
    return [spec for spec in models.values() if read_manifest(spec.folder) is None]


def lanes_to_train(group: LaneGroup, workdir: Path) -> list[ModelSpec]:
    """The lanes to train for a group's missing models: these, and those that started in one program with them."""
    missing = missing_models(group)
    if not missing:
        return []
    known = {spec.model_id: spec for spec in group.specs}
    begun = started_together(checkpoint_folder(workdir, group), list(known), [spec.model_id for spec in missing])
    return [known[model_id] for model_id in begun]


def open_workdir(workdir: Path) -> None:
    """Make a work folder and see that it can be written.

    Raises:
        InputError: where it can't.
    """
    probe = workdir / f".probe.{platform.node()}.{os.getpid()}"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as fault:
        raise InputError(f"--workdir={workdir}: can't be written ({fault.strerror}); name a folder that can") from None


def run(plan: Plan, sweep_data: SweepData, context: RunContext) -> None:
    """Train what is missing of a plan and write its rows.

    Args:
        plan: the lane groups.
        sweep_data: the corpora and settings they work on.
        context: its work folder gets results.csv, types.csv, counts/, metrics.jsonl, settings.json, lanes.json,
            chosen/ and the folders students/, teachers/, tuning/ and knowledge/.

    Raises:
        InputError: where the disk refuses; models finished before stay.
        InterruptedRunError: where a signal asked for the end.
    """
    for name in changed_corpora(sweep_data, context.workdir):
        context.meter.log(
            f"{name}: not the text that this folder's last run read; models of that text stay, and are not used"
        )
    write_settings(plan, sweep_data, context)
    untaught = [group for group in plan.fixed if not group.teachers]
    finish(plan, sweep_data, untaught, context)
    finish(plan, sweep_data, plan.tuning, context)
    chosen = choose(plan)
    if chosen:
        write_choices(chosen, context.workdir, plan.experiment.name)
        for (corpus, label), weights in chosen.items():
            context.meter.log(f"{label} on {corpus}: devel chose {describe(weights).removeprefix('SM ')}")
    finish(plan, sweep_data, plan.students(chosen), context)


def finish(plan: Plan, sweep_data: SweepData, groups: Sequence[LaneGroup], context: RunContext) -> None:
    """Train those models of a stage's lane groups that are missing, and publish the rows of all as they come."""
    for group in groups:
        mine = train(plan, sweep_data, group, context)
        if group.purpose != "teach":
            publish(plan, group, context.workdir)
        if group.purpose == "table" and group.kind != "MTM":
            write_cards(sweep_data.corpora[group.corpora[0]], mine, context)


def train(plan: Plan, sweep_data: SweepData, group: LaneGroup, context: RunContext) -> list[ModelSpec]:
    """Train those models of a lane group that are missing, and give all of them."""
    taught = cache(lambda: knowledge(plan, sweep_data, group, context))
    for part in work_units(group):
        context.go_on()
        if not missing_models(part):
            continue
        lanes = at_once(part, context.workdir, partial(_job, sweep_data, part, taught), context.meter.log)
        for lanes_together in split_lanes(part, lanes):
            if begun := lanes_to_train(lanes_together, context.workdir):
                train_group(sweep_data, lanes_together, begun, taught(), context)
    return list(group.specs)


def work_units(group: LaneGroup) -> list[LaneGroup]:
    """Groups of a lane group's lanes where the settings say how many train at once, else all of it."""
    return split_lanes(group, group.settings.lanes.at_once or len(group.specs))


def _job(sweep_data: SweepData, part: LaneGroup, taught: Callable[[], Knowledge | None]) -> Job:
    models = tuple({spec.folder: spec for spec in part.specs}.values())
    return make_job(sweep_data, part, models, taught())[0]


def write_cards(corpus: Corpus, specs: Sequence[ModelSpec], context: RunContext) -> None:
    """Write the cards that finished students lack, and say each column's in a line; a diverged one gets none."""
    lacking = {m.folder: m.label for m in specs if not (m.folder / CARD).exists() and _is_ok(m)}
    if not lacking:
        return
    said, speeds = teachers_of(context.workdir, corpus), known_speeds(context.workdir)
    cards: dict[str, list[dict[str, Any]]] = {}
    for folder, label in lacking.items():
        context.go_on()
        cards.setdefault(label, []).append(write_card(folder, corpus, said, speeds))
    for of_label in cards.values():
        context.meter.log(f"cards of {summary(of_label)}")


def _is_ok(spec: ModelSpec) -> bool:
    found = read_manifest(spec.folder)
    return found is not None and found["about"]["status"] == "ok"


def choose(plan: Plan) -> Chosen:
    """The weights of every student that has something to choose, by F1 on devel.

    Of the candidates within one standard error of the best mean over seeds, those with the largest alpha, then those
    with the fewest terms, then the better one: what is simpler is taken unless it is shown to be worse.
    """
    tried: dict[tuple[str, bool, LossWeights], list[float]] = {}
    for group in plan.tuning:
        for spec in group.specs:
            tried.setdefault((group.corpora[0], group.foreign, spec.weights), []).append(devel_f1(spec))
    chosen: dict[tuple[str, str], LossWeights] = {}
    for corpus in plan.targets:
        for student in plan.experiment.students:
            if len(student.choices) > 1:
                f1 = {weights: tried[corpus, student.foreign, weights] for weights in student.choices}
                chosen[corpus, student.label] = _simplest(f1)
    return chosen


def _simplest(f1: Mapping[LossWeights, Sequence[float]]) -> LossWeights:
    """The simplest weights within one standard error of the best."""
    best = max(f1.values(), key=np.mean)
    error = float(np.std(best, ddof=1)) / len(best) ** 0.5 if len(best) > 1 else 0.0
    near = [weights for weights, values in f1.items() if np.mean(values) >= np.mean(best) - error]
    return max(near, key=lambda w: (w.alpha, -sum(map(bool, w[:4])), float(np.mean(f1[w]))))


def groups_of(plan: Plan) -> tuple[LaneGroup, ...]:
    """All groups of a plan in order; students have the first weights of their grid until all of it has been tried."""
    chosen = None if any(missing_models(group) for group in plan.tuning) else choose(plan)
    return (*plan.fixed, *plan.students(chosen))


def write_choices(chosen: Chosen, workdir: Path, experiment: str) -> None:
    """Write the chosen weights into chosen/<experiment>.json."""
    content = [{"corpus": corpus, "label": label, **w._asdict()} for (corpus, label), w in chosen.items()]
    replace_file(workdir / "chosen" / f"{experiment}.json", json.dumps(content, indent=1).encode())


def publish(plan: Plan, group: LaneGroup, workdir: Path) -> None:
    """Write the rows of a finished lane group into results.csv, types.csv and counts/."""
    rows: list[Row] = []
    types: list[TypeRow] = []
    for spec in group.specs:
        found = read_manifest(spec.folder)
        if found is None:
            raise InputError(f"{spec.folder}: vanished while the experiment ran; run the same command again")
        counts = load_counts(spec.folder)
        for name in [name for name in group.corpora if name in plan.targets]:
            scores = found["about"]["scores"][name]
            row = _row(plan, group, spec, name, found["about"])
            rows.append(row)
            if row.status != "ok":
                continue
            results.write_counts(workdir, row, counts[name])
            types += [
                TypeRow(
                    row.experiment, name, row.label, row.head, row.seed, row.split, row.protocol, kind,
                    of_type["precision"], of_type["recall"], of_type["f1"], of_type["support"],
                )
                for kind, of_type in scores["types"].items()
            ]  # fmt: skip
    results.publish(workdir, rows, types)


def _row(plan: Plan, group: LaneGroup, spec: ModelSpec, corpus: str, about: dict[str, Any]) -> Row:
    scores = about["scores"][corpus] if about["status"] == "ok" else dict.fromkeys(("precision", "recall", "f1"))
    return Row(
        experiment=plan.experiment.name,
        corpus=corpus,
        model=spec.kind,
        head=group.head,
        **about["weights"],
        seed=spec.seed,
        split=about["split"],
        precision=scores["precision"],
        recall=scores["recall"],
        f1=scores["f1"],
        protocol=group.protocol,
        epochs=about["epochs"],
        tokens=about["tokens"],
        seconds=about["seconds"],
        label=spec.label,
        status=about["status"],
        settings=spec.config_hash,
        recipe=plan.comparison_key(group),
    )


def changed_corpora(sweep_data: SweepData, workdir: Path) -> list[str]:
    """Names of the corpora whose content is another than in the work folder's last run; none where nobody can tell."""
    try:
        before = json.loads((workdir / "settings.json").read_text(encoding="utf-8"))["corpora"]
        return [name for name, now in sweep_data.hashes.items() if name in before and before[name]["hash"] != now]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def write_settings(plan: Plan, sweep_data: SweepData, context: RunContext) -> None:
    """Write what is run, on what and with what, into settings.json."""
    content = {
        "experiment": to_dict(plan.experiment),
        "settings": to_dict(plan.settings),
        "protocol": plan.protocol,
        "seeds": list(plan.seeds),
        "corpora": {
            name: {
                "hash": sweep_data.hashes[name],
                "sentences": {split: len(sentences) for split, sentences in corpus.splits.items()},
                "tokens": {split: sum(len(s.tokens) for s in ss) for split, ss in corpus.splits.items()},
            }
            for name, corpus in sweep_data.corpora.items()
        },
        "versions": {"kd_jax": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "seqeval")},
        "device": device.devices(),
    }
    replace_file(context.workdir / "settings.json", json.dumps(content, indent=1).encode())
