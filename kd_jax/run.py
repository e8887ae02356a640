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

from kd_jax.cells import Material, make_job, train_cell
from kd_jax.data.registry import corpus_hash
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.files import replace_file
from kd_jax.knowledge import store
from kd_jax.knowledge.library import knowledge_of
from kd_jax.plan import Cell, Member, Plan
from kd_jax.settings import to_dict
from kd_jax.training.checkpoint import describe_model, load_counts
from kd_jax.training.progress import Meter
from kd_jax.types import Corpus, Outputs


def hashes_of(corpora: Sequence[Corpus]) -> dict[str, str]:
    """Content hash of each corpus, by name."""
    return {corpus.name: corpus_hash(corpus) for corpus in corpora}


def unfinished(cell: Cell) -> list[Member]:
    """Those of a cell's models that are not there yet."""
    return [member for member in cell.members if describe_model(member.folder) is None]


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


def run(plan: Plan, material: Material, workdir: Path, meter: Meter) -> None:
    """Train what is missing of a plan and write its rows.

    Args:
        plan: the cells.
        material: the corpora and settings they work on.
        workdir: gets results.csv, types.csv, counts/, metrics.jsonl, settings.json, students/, teachers/, knowledge/.
        meter: is told of progress.

    Raises:
        InputError: where the disk refuses; models finished before stay.
    """
    write_settings(plan, material, workdir)

    @cache
    def teacher_job() -> Any:
        return make_job(material, plan.teacher, plan.teacher.members[:1])[0]

    def knowledge(cell: Cell, members: Sequence[Member]) -> Outputs | None:
        if not cell.teacher:
            return None
        teacher = next(m for m in plan.teacher.members if m.identity == cell.teacher)
        name = cell.corpora[0]
        splits = [split for split in material.splits if split in material.corpora[name].splits]
        parts = knowledge_of(
            teacher.folder,
            workdir / "knowledge" / teacher.identity,
            (name, material.hashes[name]),
            splits,
            plan.settings.distill.dtype,
            teacher_job,
            meter.say,
        )
        read = Outputs(*(any(getattr(m.weights, w) for m in members) for w in ("beta", "gamma", "kappa")))
        return store.join(parts, read)

    for cell in plan.cells:
        missing = unfinished(cell)
        if missing:
            train_cell(material, cell, missing, knowledge(cell, missing), meter)
        publish(plan, cell, workdir)


def publish(plan: Plan, cell: Cell, workdir: Path) -> None:
    """Write the rows of a finished cell into results.csv, types.csv and counts/."""
    rows: list[Row] = []
    types: list[TypeRow] = []
    for member in cell.members:
        found = describe_model(member.folder)
        if found is None:
            raise InputError(f"{member.folder}: vanished while the experiment ran; run the same command again")
        counts = load_counts(member.folder)
        for name, scores in found["about"]["scores"].items():
            row = _row(plan, cell, member, name, found["about"])
            rows.append(row)
            if row.status != "ok":
                continue
            results.write_counts(workdir, row, counts[f"{name}.test"])
            types += [
                TypeRow(
                    row.experiment, name, row.label, row.head, row.seed, row.split, row.protocol, kind,
                    of_type["precision"], of_type["recall"], of_type["f1"], of_type["support"],
                )
                for kind, of_type in scores["types"].items()
            ]  # fmt: skip
    results.append(workdir / "results.csv", rows)
    results.append_types(workdir / "types.csv", types)


def _row(plan: Plan, cell: Cell, member: Member, corpus: str, about: dict[str, Any]) -> Row:
    scores = about["scores"][corpus]
    good = about["status"] == "ok"
    return Row(
        experiment=plan.experiment.name,
        corpus=corpus,
        model=member.kind,
        head=cell.head,
        **about["weights"],
        seed=member.seed,
        split="test",
        precision=scores["precision"] if good else None,
        recall=scores["recall"] if good else None,
        f1=scores["f1"] if good else None,
        protocol=plan.protocol,
        epochs=about["epochs"],
        tokens=about["tokens"],
        seconds=about["seconds"],
        label=member.label,
        status=about["status"],
    )


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
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("kd_jax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "seqeval")},
        "device": f"{len(devices)} x {devices[0].device_kind}",
    }
    replace_file(workdir / "settings.json", json.dumps(content, indent=1).encode())


def describe_plan(plan: Plan, material: Material) -> list[tuple[str, ...]]:
    """The plan as rows of a table: cell, lanes to train, lanes there, epochs, steps, lane-tokens, memory in MB."""
    lines = []
    for cell in plan.cells:
        missing = len(unfinished(cell))
        tokens = training_tokens(material, cell)
        batch = plan.settings.train.rows * plan.settings.train.row_length
        lines.append(
            (
                cell.title,
                str(missing),
                str(len(cell.members) - missing),
                str(cell.epochs),
                f"{-(-tokens * cell.epochs // batch):,}",
                f"{missing * tokens * cell.epochs:,}",
                f"{memory(plan, material, cell, max(missing, 1)) / 1e6:,.0f}",
            )
        )
    return lines


def training_tokens(material: Material, cell: Cell) -> int:
    """Tokens of one epoch."""
    return sum(
        len(sentence.tokens)
        for name in cell.corpora
        for split in material.splits
        for sentence in material.corpora[name].splits.get(split, ())
    )


def memory(plan: Plan, material: Material, cell: Cell, lanes: int) -> int:
    """Bytes that a cell's arrays take while it trains, by their shapes: parameters with Adam's moments, activations
    of a batch on each device, knowledge, and a chunk of batches.
    """
    model, train = plan.settings.model, plan.settings.train
    words = len({t.lower() for n in cell.corpora for s in material.splits
                 for x in material.corpora[n].splits.get(s, ()) for t in x.tokens})  # fmt: skip
    inner = model.words.dim + model.chars.units
    shared, task = 2 * model.shared_units, 2 * model.task_units
    branch = 4 * task * (shared + model.task_units) + task * model.hidden_units
    params = words * model.words.dim + 4 * shared * (inner + model.shared_units) + branch * len(cell.corpora)
    batch = train.rows * train.row_length
    activations = batch * (10 * (shared + task) + 4 * inner + 4 * model.hidden_units) * 2
    tokens = training_tokens(material, cell)
    knowledge = tokens * 8 if cell.kind == "SM" else 0
    return 4 * (lanes * 3 * params + min(lanes, jax.local_device_count()) * activations + knowledge + 64 * batch * 3)
