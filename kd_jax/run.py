"""An experiment to its end: stages of cells, finished models skipped, results written as they come.

Where a run has several hosts, each takes cells of a stage that no other has taken, the largest first, or groups of
lanes where the settings say how many train at once; host 0 alone writes the tables. A stage begins when the one before
is finished everywhere: single-task models and teachers, then what is tuned, then students.
"""

import json
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

from kd_jax import __version__, device
from kd_jax.cells import Context, checkpoint_folder, train_cell
from kd_jax.data.registry import corpus_hash
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.files import digest, replace_file
from kd_jax.lane_groups import at_once, groups
from kd_jax.material import Material, make_job
from kd_jax.plan import Cell, Chosen, Member, Plan, describe
from kd_jax.settings import to_dict
from kd_jax.tagging.student_card import CARD, known_speeds, summary, teachers_of, write_card
from kd_jax.teaching import devel_f1, knowledge, share_knowledge
from kd_jax.training.checkpoint import describe_model, load_counts
from kd_jax.training.loop import Job
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
        InterruptedRunError: where a signal or another host asked for the end.
    """
    if context.host.first:
        for name in changed_corpora(material, context.workdir):
            context.meter.say(
                f"{name}: not the text that this folder's last run read; models of that text stay, and are not used"
            )
        write_settings(plan, material, context)
    untaught = [cell for cell in plan.fixed if not cell.teachers]
    finish(plan, material, untaught, context)
    finish(plan, material, plan.tuning, context)
    chosen = choose(plan)
    if chosen and context.host.first:
        write_choices(chosen, context.workdir, plan.experiment.name)
        for (corpus, label), weights in chosen.items():
            context.meter.say(f"{label} on {corpus}: devel chose {describe(weights).removeprefix('SM ')}")
    finish(plan, material, plan.students(chosen), context)


def finish(plan: Plan, material: Material, cells: Sequence[Cell], context: Context) -> None:
    """Train those models of a stage's cells that are missing, here and on other hosts, and publish the rows of all."""
    host, unpublished = context.host, list(cells)

    def publish_what_is_there(cells: Iterable[Cell]) -> None:
        for cell in cells if host.first else ():
            if cell.purpose != "teach":
                publish(plan, cell, context.workdir)
            unpublished.remove(cell)

    if host.count > 1:
        share_knowledge(plan, material, [cell for cell in cells if unfinished(cell)], context)
        cells = sorted(cells, key=lambda cell: size(material, cell), reverse=True)
    for cell in cells:
        mine = train(plan, material, cell, context)
        publish_what_is_there([*takewhile(lambda c: not unfinished(c), unpublished)])
        if cell.purpose == "table" and cell.kind != "MTM":
            write_cards(material.corpora[cell.corpora[0]], mine, context)
    models = [member.folder / "model.json" for cell in cells for member in cell.members]
    host.wait([name_of(part) for cell in cells for part in portions(cell)], models, context.idle)
    publish_what_is_there([*unpublished])


def train(plan: Plan, material: Material, cell: Cell, context: Context) -> list[Member]:
    """Train those models of a cell that are missing, and give those that no other host has taken."""
    mine: list[Member] = []
    taught = cache(lambda: knowledge(plan, material, cell, context))
    for part in portions(cell):
        context.go_on()
        if not context.host.take(name_of(part)):
            continue
        if unfinished(part):
            own = context.host.folder(context.workdir)
            lanes = at_once(part, context.workdir, partial(_job, material, part, taught), context.meter.say, own)
            for group in groups(part, lanes):
                if begun := lanes_of(group, context.workdir):
                    train_cell(material, group, begun, taught(), context)
        context.host.finish(name_of(part))
        mine += part.members
    return mine


def portions(cell: Cell) -> list[Cell]:
    """What hosts take of a cell: groups of its lanes where the settings say how many train at once, else all of it."""
    return groups(cell, cell.settings.lanes.at_once or len(cell.members))


def name_of(part: Cell) -> str:
    """A name for some lanes of a cell, the same on every host."""
    return digest([member.identity for member in part.members])


def size(material: Material, cell: Cell) -> int:
    """About how much there is to do for a cell: tokens of its corpora, for each epoch and lane."""
    sentences = (s for name in cell.corpora for split in material.corpora[name].splits.values() for s in split)
    return cell.epochs * len(unfinished(cell)) * sum(len(s.tokens) for s in sentences)


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
        "device": device.devices() + (f" on each of {hosts} hosts" if (hosts := context.host.count) > 1 else ""),
    }
    replace_file(context.workdir / "settings.json", json.dumps(content, indent=1).encode())
