"""An experiment to its end: stages of cells, finished models skipped, results written as they come.

A stage begins when the one before is finished: single-task models and teachers, then what is tuned, then students.
"""

import json
import os
import platform
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kd_jax import __version__
from kd_jax.corpora.registry import corpus_hash
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.export.student_card import CARD, known_speeds, summary, teachers_of, write_card
from kd_jax.runtime import device
from kd_jax.runtime.files import replace_file
from kd_jax.settings import to_dict
from kd_jax.structs import Corpus, LossWeights, Outputs
from kd_jax.sweep.group import Context, checkpoint_folder, train_cell
from kd_jax.sweep.job import Material, make_job
from kd_jax.sweep.lanes import at_once, split_lanes
from kd_jax.sweep.plan import Cell, Chosen, Member, Plan, describe
from kd_jax.sweep.teachers import devel_f1, knowledge
from kd_jax.training.checkpoints import begun_together
from kd_jax.training.loop import Job
from kd_jax.training.saved_model import describe_model, load_counts


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
    probe = workdir / f".probe.{platform.node()}.{os.getpid()}"
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
    write_settings(plan, material, context)
    untaught = [cell for cell in plan.fixed if not cell.teachers]
    finish(plan, material, untaught, context)
    finish(plan, material, plan.tuning, context)
    chosen = choose(plan)
    if chosen:
        write_choices(chosen, context.workdir, plan.experiment.name)
        for (corpus, label), weights in chosen.items():
            context.meter.say(f"{label} on {corpus}: devel chose {describe(weights).removeprefix('SM ')}")
    finish(plan, material, plan.students(chosen), context)


def finish(plan: Plan, material: Material, cells: Sequence[Cell], context: Context) -> None:
    """Train those models of a stage's cells that are missing, and publish the rows of all as they come."""
    for cell in cells:
        mine = train(plan, material, cell, context)
        if cell.purpose != "teach":
            publish(plan, cell, context.workdir)
        if cell.purpose == "table" and cell.kind != "MTM":
            write_cards(material.corpora[cell.corpora[0]], mine, context)


def train(plan: Plan, material: Material, cell: Cell, context: Context) -> list[Member]:
    """Train those models of a cell that are missing, and give all of them."""
    taught = cache(lambda: knowledge(plan, material, cell, context))
    for part in portions(cell):
        context.go_on()
        if not unfinished(part):
            continue
        lanes = at_once(part, context.workdir, partial(_job, material, part, taught), context.meter.say)
        for lanes_together in split_lanes(part, lanes):
            if begun := lanes_of(lanes_together, context.workdir):
                train_cell(material, lanes_together, begun, taught(), context)
    return list(cell.members)


def portions(cell: Cell) -> list[Cell]:
    """Groups of a cell's lanes where the settings say how many train at once, else all of it."""
    return split_lanes(cell, cell.settings.lanes.at_once or len(cell.members))


def _job(material: Material, part: Cell, taught: Callable[[], Outputs | None]) -> Job:
    models = tuple({member.folder: member for member in part.members}.values())
    return make_job(material, part, models, taught())[0]


def write_cards(corpus: Corpus, members: Sequence[Member], context: Context) -> None:
    """Write the cards that finished students lack, and say each column's in a line; a diverged one gets none."""
    lacking = {m.folder: m.label for m in members if not (m.folder / CARD).exists() and _is_ok(m)}
    if not lacking:
        return
    said, speeds = teachers_of(context.workdir, corpus), known_speeds(context.workdir)
    cards: dict[str, list[dict[str, Any]]] = {}
    for folder, label in lacking.items():
        context.go_on()
        cards.setdefault(label, []).append(write_card(folder, corpus, said, speeds))
    for of_label in cards.values():
        context.meter.say(f"cards of {summary(of_label)}")


def _is_ok(member: Member) -> bool:
    found = describe_model(member.folder)
    return found is not None and found["about"]["status"] == "ok"


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
        settings=member.config_hash,
        recipe=plan.recipe(cell),
    )


def changed_corpora(material: Material, workdir: Path) -> list[str]:
    """Names of the corpora whose content is another than in the work folder's last run; none where nobody can tell."""
    try:
        before = json.loads((workdir / "settings.json").read_text(encoding="utf-8"))["corpora"]
        return [name for name, now in material.hashes.items() if name in before and before[name]["hash"] != now]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def write_settings(plan: Plan, material: Material, context: Context) -> None:
    """Write what is run, on what and with what, into settings.json."""
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
        "device": device.devices(),
    }
    replace_file(context.workdir / "settings.json", json.dumps(content, indent=1).encode())
