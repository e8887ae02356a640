"""An experiment to its end: cells in order, finished models skipped, results written as they come."""

import json
import os
import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from kd_jax import __version__
from kd_jax.cells import Context, checkpoint_folder, train_cell
from kd_jax.data.registry import corpus_hash
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.files import replace_file
from kd_jax.interrupt import InterruptedRunError
from kd_jax.knowledge import store
from kd_jax.knowledge.ensemble import mean_logits
from kd_jax.knowledge.library import Question, answer
from kd_jax.lane_groups import at_once, groups
from kd_jax.material import Material, foreign_sentences, make_job
from kd_jax.plan import Cell, Chosen, Member, Plan, describe
from kd_jax.settings import to_dict
from kd_jax.tagging.student_card import CARD, known_speeds, summary, teachers_of, write_card
from kd_jax.training.checkpoint import describe_model, load_counts
from kd_jax.training.resume import begun_together
from kd_jax.types import Corpus, LossWeights, Outputs


def hashes_of(corpora: Sequence[Corpus]) -> dict[str, str]:
    """Content hash of each corpus, by name."""
    return {corpus.name: corpus_hash(corpus) for corpus in corpora}


def unfinished(cell: Cell) -> list[Member]:
    """Those of a cell's models that are not there yet; two columns of one model count once."""
    models = {member.folder: member for member in cell.members}
    return [member for member in models.values() if describe_model(member.folder) is None]


def lanes_of(cell: Cell, workdir: Path) -> list[Member]:
    """The lanes to train for a cell's missing models: these, and those that were begun in one program with them."""
    missing = unfinished(cell)
    if not missing:
        return []
    known = {member.identity: member for member in cell.members}
    begun = begun_together(checkpoint_folder(workdir, cell), list(known), [member.identity for member in missing])
    return [known[identity] for identity in begun]


def open_workdir(workdir: Path) -> None:
    """Make a work folder and see that it can be written.

    Raises:
        InputError: where it can't.
    """
    probe = workdir / f".probe.{os.getpid()}"
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        probe.write_text("", encoding="utf-8")
        probe.unlink()
    except OSError as fault:
        raise InputError(f"--workdir={workdir}: can't be written ({fault.strerror}); name a folder that can") from None


def run(plan: Plan, material: Material, context: Context) -> None:
    """Train what is missing of a plan and write its rows.

    Args:
        plan: the cells.
        material: the corpora and settings they work on.
        context: its work folder gets results.csv, types.csv, counts/, metrics.jsonl, settings.json, lanes.json,
            chosen/ and the folders students/, teachers/, tuning/ and knowledge/.

    Raises:
        InputError: where the disk refuses; models finished before stay.
        InterruptedRunError: where a signal asked for the end.
    """
    for name in changed_corpora(material, context.workdir):
        context.meter.say(
            f"{name}: not the text that this folder's last run read; models of that text stay, and are not used"
        )
    write_settings(plan, material, context.workdir)
    for cell in plan.fixed:
        finish(plan, material, cell, context)
    chosen = choose(plan)
    if chosen:
        write_choices(chosen, context.workdir, plan.experiment.name)
        for (corpus, label), weights in chosen.items():
            context.meter.say(f"{label} on {corpus}: devel chose {describe(weights).removeprefix('SM ')}")
    for cell in plan.students(chosen):
        finish(plan, material, cell, context)


def finish(plan: Plan, material: Material, cell: Cell, context: Context) -> None:
    """Train those models of a cell that are missing, and publish the rows of all."""
    if context.stop.asked_by is not None:
        raise InterruptedRunError(context.stop.asked_by)
    if unfinished(cell):
        taught = knowledge(plan, material, cell, cell.members, context)
        models = tuple({member.folder: member for member in cell.members}.values())
        lanes = at_once(cell, context.workdir, lambda: make_job(material, cell, models, taught)[0], context.meter.say)
        for group in groups(cell, lanes):
            if own := lanes_of(group, context.workdir):
                train_cell(material, group, own, taught, context)
    if cell.purpose != "teach":
        publish(plan, cell, context.workdir)
    if cell.purpose == "table" and cell.kind != "MTM":
        write_cards(material.corpora[cell.corpora[0]], cell.members, context)


def knowledge(
    plan: Plan, material: Material, cell: Cell, members: Sequence[Member], context: Context
) -> Outputs | None:
    """What the cell's teachers say about its training sentences, for the terms that some lane gives weight to."""
    if not cell.teachers:
        return None
    own = cell.corpora[0]
    asked = [
        Question(own, own, material.hashes[own], split)
        for split in cell.splits
        if split in material.corpora[own].splits
    ]
    if cell.foreign:
        asked += [
            Question(own, name, material.hashes[name], split, chosen)
            for (name, split), chosen in foreign_sentences(material, cell).items()
        ]
    wanted = Outputs(*(any(getattr(m.weights, w) for m in members) for w in ("beta", "gamma", "kappa")))
    if not any(wanted):
        return None
    dtype = plan.settings.distill.dtype
    taught = []
    for teacher in cell.teachers:
        head = next(head for head, of_head in plan.multi.items() if teacher in of_head.members)
        job = cache(lambda head=head: make_job(material, plan.multi[head], plan.multi[head].members[:1])[0])
        folder = context.workdir / "knowledge" / teacher.identity
        taught.append([answer(teacher.folder, folder, question, dtype, job, context.meter.say) for question in asked])
    by_devel = len(taught) > 1 and plan.settings.distill.ensemble == "devel"
    weights = [devel_f1(teacher) for teacher in cell.teachers] if by_devel else None
    return store.join((mean_logits(parts, weights) for parts in zip(*taught, strict=True)), wanted)


def write_cards(corpus: Corpus, members: Sequence[Member], context: Context) -> None:
    """Write the cards that finished students lack, and say each column's in a line; a diverged one gets none."""
    lacking = {m.folder: m.label for m in members if not (m.folder / CARD).exists() and _is_ok(m)}
    if not lacking:
        return
    said, speeds = teachers_of(context.workdir, corpus), known_speeds(context.workdir)
    cards: dict[str, list[dict[str, Any]]] = {}
    for folder, label in lacking.items():
        if context.stop.asked_by is not None:
            raise InterruptedRunError(context.stop.asked_by)
        cards.setdefault(label, []).append(write_card(folder, corpus, said, speeds))
    for of_label in cards.values():
        context.meter.say(f"cards of {summary(of_label)}")


def _is_ok(member: Member) -> bool:
    found = describe_model(member.folder)
    return found is not None and found["about"]["status"] == "ok"


def devel_f1(member: Member) -> float:
    """F1 on devel of a model that was not trained on it, the mean over its corpora.

    Raises:
        InputError: where the model has none.
    """
    found = describe_model(member.folder)
    value = found["about"]["devel_f1"] if found else None
    if value is None:
        raise InputError(f"{member.folder}: has no F1 on devel; remove the folder to train it again")
    return float(value)


def choose(plan: Plan) -> Chosen:
    """The weights of every student that has something to choose, by F1 on devel; of equals the first in the grid."""
    chosen: dict[tuple[str, str], LossWeights] = {}
    for cell in plan.tuning:
        f1 = {member.weights: devel_f1(member) for member in cell.members}
        for student in plan.experiment.students:
            if len(student.choices) > 1 and student.foreign == cell.foreign:
                chosen[cell.corpora[0], student.label] = max(student.choices, key=f1.__getitem__)
    return chosen


def cells_of(plan: Plan) -> tuple[Cell, ...]:
    """All cells of a plan in order; students have the first weights of their grid until all of it has been tried."""
    chosen = None if any(unfinished(cell) for cell in plan.tuning) else choose(plan)
    return (*plan.fixed, *plan.students(chosen))


def write_choices(chosen: Chosen, workdir: Path, experiment: str) -> None:
    """Write the chosen weights into chosen/<experiment>.json."""
    content = [{"corpus": corpus, "label": label, **w._asdict()} for (corpus, label), w in chosen.items()]
    replace_file(workdir / "chosen" / f"{experiment}.json", json.dumps(content, indent=1).encode())


def publish(plan: Plan, cell: Cell, workdir: Path) -> None:
    """Write the rows of a finished cell into results.csv, types.csv and counts/."""
    rows: list[Row] = []
    types: list[TypeRow] = []
    for member in cell.members:
        found = describe_model(member.folder)
        if found is None:
            raise InputError(f"{member.folder}: vanished while the experiment ran; run the same command again")
        counts = load_counts(member.folder)
        for name in [name for name in cell.corpora if name in plan.targets]:
            scores = found["about"]["scores"][name]
            row = _row(plan, cell, member, name, found["about"])
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


def _row(plan: Plan, cell: Cell, member: Member, corpus: str, about: dict[str, Any]) -> Row:
    scores = about["scores"][corpus] if about["status"] == "ok" else dict.fromkeys(("precision", "recall", "f1"))
    return Row(
        experiment=plan.experiment.name,
        corpus=corpus,
        model=member.kind,
        head=cell.head,
        **about["weights"],
        seed=member.seed,
        split=about["split"],
        precision=scores["precision"],
        recall=scores["recall"],
        f1=scores["f1"],
        protocol=cell.protocol,
        epochs=about["epochs"],
        tokens=about["tokens"],
        seconds=about["seconds"],
        label=member.label,
        status=about["status"],
        settings=member.settings,
        recipe=plan.recipe(cell),
    )


def changed_corpora(material: Material, workdir: Path) -> list[str]:
    """Names of the corpora whose content is another than in the work folder's last run; none where nobody can tell."""
    try:
        before = json.loads((workdir / "settings.json").read_text(encoding="utf-8"))["corpora"]
        return [name for name, now in material.hashes.items() if name in before and before[name]["hash"] != now]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def write_settings(plan: Plan, material: Material, workdir: Path) -> None:
    """Write what is run, on what and with what, into settings.json."""
    devices = jax.devices()
    content = {
        "experiment": to_dict(plan.experiment),
        "settings": to_dict(plan.settings),
        "protocol": plan.protocol,
        "seeds": list(plan.seeds),
        "corpora": {
            name: {
                "hash": material.hashes[name],
                "sentences": {split: len(sentences) for split, sentences in corpus.splits.items()},
                "tokens": {split: sum(len(s.tokens) for s in ss) for split, ss in corpus.splits.items()},
            }
            for name, corpus in material.corpora.items()
        },
        "versions": {"kd_jax": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "seqeval")},
        "device": f"{len(devices)} x {devices[0].device_kind}",
    }
    replace_file(workdir / "settings.json", json.dumps(content, indent=1).encode())
