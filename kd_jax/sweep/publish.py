"""What a run writes for people: rows of its tables, cards of its students, the weights it chose, its settings."""

import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kd_jax import __version__
from kd_jax.data.vocab import unseen_share
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.evaluation.score_tables import ScoreTables
from kd_jax.export.student_card import CARD, known_speeds, summary, teachers_of, write_card
from kd_jax.runtime.files import replace_file
from kd_jax.settings import to_dict
from kd_jax.structs import Corpus
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.identity import TRAINING, needs_teacher
from kd_jax.sweep.job import SweepData
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.plan import Chosen, Plan
from kd_jax.sweep.rows import rows_of
from kd_jax.sweep.status import Status
from kd_jax.training.saved_model import load_counts


class Publisher:
    """Writes the rows of a stage's lane groups in the plan's order, whatever order they are finished in.

    Args:
        plan: whose groups they are.
        groups: of the stage, in order.
        tables: of the work folder.
        status: knows the models.
    """

    def __init__(self, plan: Plan, groups: Sequence[LaneGroup], tables: ScoreTables, status: Status) -> None:
        self._plan, self._tables, self._status = plan, tables, status
        self._waiting, self._finished = list(groups), set[int]()

    def finished(self, group: LaneGroup) -> None:
        """Publish a group as soon as all groups before it are finished too."""
        self._finished.add(id(group))
        while self._waiting and id(self._waiting[0]) in self._finished:
            if (first := self._waiting.pop(0)).purpose != "teach":
                publish(self._plan, first, self._tables, self._status)


def publish(plan: Plan, group: LaneGroup, tables: ScoreTables, status: Status) -> None:
    """Write the rows of a finished lane group into results.csv, types.csv and counts/.

    Raises:
        InputError: where a model is gone or damaged, or the disk refuses.
    """
    rows: list[Row] = []
    types: list[TypeRow] = []
    for spec in group.specs:
        manifest = status.finished(spec)
        counts = load_counts(spec.folder)
        # Lanes of a group differ in their weights: one whose loss has no matching term hears none of its teachers.
        taught = bool(group.teachers) and needs_teacher(manifest.weights, group.foreign, group.start)
        for name in [name for name in group.corpora if name in plan.targets]:
            row, of_types = rows_of(
                plan,
                group,
                name,
                replace(manifest.scores[name], counts=counts[name]) if manifest.ok else None,
                label=spec.label,
                seed=spec.seed,
                settings=spec.config_hash,
                folder=spec.folder,
                weights=manifest.weights,
                split=manifest.split,
                status=manifest.status,
                epochs=manifest.epochs,
                tokens=manifest.tokens,
                seconds=manifest.seconds,
                teachers=("own" if any(group.own_teachers) else "shared") if taught else "-",
            )
            rows.append(row)
            types += of_types
    tables.add(rows, types)


def lacking_cards(specs: Sequence[ModelSpec], status: Status) -> dict[Path, str]:
    """Folders of finished students that have no card yet, with their labels; a diverged one gets none."""
    return {m.folder: m.label for m in specs if not (m.folder / CARD).exists() and status.finished(m).ok}


def write_cards(corpus: Corpus, specs: Sequence[ModelSpec], context: RunContext) -> None:
    """Write the cards that finished students lack, and log each column's in a line."""
    teacher_tags, speeds = teachers_of(context.workdir, corpus), known_speeds(context.workdir)
    cards: dict[str, list[dict[str, Any]]] = {}
    for folder, label in lacking_cards(specs, context.status).items():
        context.go_on()
        context.meter.begin(f"card of {label} on {corpus.name}")
        cards.setdefault(label, []).append(write_card(folder, corpus, teacher_tags, speeds))
    for of_label in cards.values():
        context.meter.log(f"model cards: {summary(of_label)}")


def write_choices(chosen: Chosen, workdir: Path, experiment: str) -> None:
    """Write the chosen weights into chosen/<experiment>.json."""
    content = [{"corpus": corpus, "label": label, **w._asdict()} for (corpus, label), w in chosen.items()]
    replace_file(workdir / "chosen" / f"{experiment}.json", json.dumps(content, indent=1).encode())


def _unseen(corpus: Corpus, plan: Plan) -> float:
    """Share of a corpus's test tokens whose words its own training sentences do not have."""
    trained = [s for split in plan.protocol.split("+") for s in corpus.splits.get(split, ())]
    return unseen_share(trained, corpus.splits["test"], plan.settings.model.words)


def write_settings(plan: Plan, sweep_data: SweepData, context: RunContext) -> None:
    """Write what is run, on what and with what, into settings.json.

    Args:
        plan: what is run.
        sweep_data: the corpora.
        context: of the run: its device and the command that asked for it.
    """
    content = {
        "command": context.command,
        "experiment": to_dict(plan.experiment),
        "settings": to_dict(plan.settings),
        "training": TRAINING,
        "protocol": plan.protocol,
        "seeds": list(plan.seeds),
        "corpora": {
            name: {
                "hash": sweep_data.hashes[name],
                "sentences": {split: len(sentences) for split, sentences in corpus.splits.items()},
                "tokens": {split: sum(len(s.tokens) for s in ss) for split, ss in corpus.splits.items()},
                "unseen": _unseen(corpus, plan),
            }
            for name, corpus in sweep_data.corpora.items()
        },
        "versions": {"kd_jax": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "seqeval")},
        "device": context.device,
    }
    replace_file(plan.workdir / "settings.json", json.dumps(content, indent=1).encode())
