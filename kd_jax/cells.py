"""One cell to its end: its lanes trained as one program, scored, and saved as models."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from kd_jax.data.tokens import Tokens, gold_tags, read_tokens
from kd_jax.data.vocab import Vocabulary, build_vocabulary
from kd_jax.evaluation.scores import EntityScores, score
from kd_jax.plan import Cell, Member
from kd_jax.settings import Settings, to_dict
from kd_jax.training import mesh as meshes
from kd_jax.training.checkpoint import TrainedModel, save_model
from kd_jax.training.loop import Job, Lane, Report, failures, label_tokens, train
from kd_jax.training.progress import Meter, clock
from kd_jax.training.step import TrainState
from kd_jax.types import Corpus, Outputs


@dataclass(frozen=True)
class Material:
    """What every cell of a run shares.

    Attributes:
        experiment: its name.
        settings: of the run.
        protocol: "train+devel", or "train": then the epoch that is best on devel is kept.
        corpora: by name.
        hashes: of the corpora's content, by name.
    """

    experiment: str
    settings: Settings
    protocol: str
    corpora: Mapping[str, Corpus]
    hashes: Mapping[str, str]

    @property
    def splits(self) -> tuple[str, ...]:
        """What is trained on."""
        return tuple(self.protocol.split("+"))


def make_job(
    material: Material, cell: Cell, members: Sequence[Member], knowledge: Outputs | None = None
) -> tuple[Job, Vocabulary]:
    """The program of some lanes of a cell, and the words its models know."""
    corpora = [material.corpora[name] for name in cell.corpora]
    seen = [s for corpus in corpora for split in material.splits for s in corpus.splits.get(split, ())]
    vocabulary = build_vocabulary(seen, material.settings.model.words)
    tokens = read_tokens(corpora, vocabulary, material.settings)
    job = Job(
        settings=material.settings,
        tokens=tokens,
        sentences=tuple(tokens.sentences(name, material.splits) for name in cell.corpora),
        lanes=tuple(Lane(member.seed, member.weights) for member in members),
        epochs=cell.epochs,
        alphabet=len(vocabulary.chars) + 2,
        knowledge=knowledge,
    )
    return job, vocabulary


def train_cell(
    material: Material, cell: Cell, members: Sequence[Member], knowledge: Outputs | None, meter: Meter
) -> None:
    """Train some lanes of a cell, score them on test, and save each as a model.

    Args:
        material: what the run works on.
        cell: the cell.
        members: those of its lanes that are not there yet.
        knowledge: the teacher's outputs for all training tokens, or None.
        meter: is told of progress.

    Raises:
        InputError: where the disk refuses.
    """
    began = time.monotonic()
    job, vocabulary = make_job(material, cell, members, knowledge)
    best = _Best(len(members)) if "devel" not in material.splits else None
    newest: list[Report] = []

    def on_chunk(report: Report) -> None:
        newest[:] = [report]
        where = f"{cell.title} ({len(members)} lanes) epoch {report.epoch}/{cell.epochs}"
        meter.advance(where, report.lane_tokens, report.seconds, float(np.mean(report.loss)))

    def on_epoch(epoch: int, state: TrainState) -> None:
        devel = [None] * len(members) if best is None else _devel_f1(material, job, cell, state.params)
        if best is not None:
            best.offer(epoch, devel, state.params)
        steps = np.asarray(state.step)
        for i, member in enumerate(members):
            meter.record(
                experiment=material.experiment,
                stage=cell.kind,
                corpus="+".join(cell.corpora),
                cell=cell.title,
                label=member.label,
                seed=member.seed,
                epoch=epoch,
                step=int(steps[i]),
                loss=float(newest[0].loss[i]),
                lane_tokens_per_s=round(newest[0].lane_tokens / newest[0].seconds),
                devel_f1=devel[i],
            )

    state = train(job, on_chunk, on_epoch)
    params = state.params if best is None else best.stacked(state.params)
    failed = failures(state, len(members))
    scores = _scores(material, job, cell, params, "test")
    seconds = time.monotonic() - began
    host = jax.device_get(params)
    for i, member in enumerate(members):
        outcome = {
            "status": "ok" if failed[i] is None else f"diverged at step {failed[i]}",
            "epochs": cell.epochs if best is None else best.epoch[i],
            "tokens": job.lane_tokens // len(members),
            "seconds": round(seconds / len(members), 3),
        }
        of_lane = {name: lanes[i] for name, lanes in scores.items()}
        model = TrainedModel(
            about=_about(material, cell, member, outcome, of_lane),
            settings=job.settings.model,
            tasks=job.tokens.names,
            labels=job.tokens.labels,
            vocabulary=vocabulary,
            params=jax.tree.map(lambda x, lane=i: np.asarray(x[lane]), host),
        )
        save_model(member.folder, model, {f"{name}.test": s.counts for name, s in of_lane.items()})
        if failed[i] is not None:
            meter.say(
                f"{cell.title}, {member.label} seed {member.seed}: loss or gradient was not finite at step {failed[i]};"
                " this lane was frozen there and has no score, the others went on"
            )
    rate = job.lane_tokens / seconds
    meter.say(f"{cell.title}: {len(members)} lanes in {clock(seconds)}, {rate:,.0f} lane-tokens/s, scoring included")


def _about(
    material: Material, cell: Cell, member: Member, outcome: dict[str, Any], scores: dict[str, EntityScores]
) -> dict[str, Any]:
    """What a model's folder says of it, in plain JSON types."""
    return {
        "model": member.kind,
        "label": member.label,
        "head": cell.head,
        "seed": member.seed,
        "weights": dict(zip(member.weights._fields, map(float, member.weights), strict=True)),
        "protocol": material.protocol,
        "identity": member.identity,
        "teacher": cell.teacher,
        "settings": to_dict(material.settings),
        "corpora": {name: material.hashes[name] for name in cell.corpora},
        **outcome,
        "scores": {
            name: {
                "precision": s.precision,
                "recall": s.recall,
                "f1": s.f1,
                "types": {kind: s.types[kind]._asdict() for kind in s.types},
            }
            for name, s in scores.items()
        },
    }


def _scores(material: Material, job: Job, cell: Cell, params: Any, split: str) -> dict[str, list[EntityScores]]:
    """Scores of every lane on a split, of every corpus of the cell that has it."""
    found = {}
    for task, name in enumerate(cell.corpora):
        gold = material.corpora[name].splits.get(split)
        if gold is not None:
            sentences = job.tokens.sentences(name, (split,))
            labels = label_tokens(job, params, task, sentences)
            found[name] = [score(gold_tags(gold), _tags(job.tokens, task, lane, sentences)) for lane in labels]
    return found


def _tags(tokens: Tokens, task: int, labels: np.ndarray, sentences: np.ndarray) -> list[list[str]]:
    names = tokens.labels[task]
    return [[names[k] for k in of_sentence] for of_sentence in tokens.per_sentence(labels, sentences)]


def _devel_f1(material: Material, job: Job, cell: Cell, params: Any) -> list[float]:
    """Each lane's F1 on devel, the mean over the cell's corpora."""
    scores = _scores(material, job, cell, params, "devel")
    return [float(np.mean([lanes[i].f1 for lanes in scores.values()])) for i in range(len(job.lanes))]


class _Best:
    """The parameters of each lane's best epoch on devel."""

    def __init__(self, lanes: int) -> None:
        self.f1 = [-1.0] * lanes
        self.epoch = [0] * lanes
        self._params: list[Any] = [None] * lanes

    def offer(self, epoch: int, f1: Sequence[float], params: Any) -> None:
        """Keep what is better than before; of equals the earlier."""
        for i, value in enumerate(f1):
            if value > self.f1[i]:
                self.f1[i], self.epoch[i], self._params[i] = value, epoch, meshes.take_lane(params, i)

    def stacked(self, like: Any) -> Any:
        """All lanes' best parameters, [L, ...], laid out as the given ones, which may have more lanes."""
        lanes = len(jax.tree.leaves(like)[0])
        filled = [*self._params, *[self._params[-1]] * (lanes - len(self._params))]
        return jax.tree.map(lambda x, y: jax.device_put(x, y.sharding), meshes.stack_lanes(filled), like)
