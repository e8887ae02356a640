"""One cell to its end: its lanes trained as one program, scored, and saved as models."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kd_jax.data.dataset import Tokens, gold_tags
from kd_jax.data.pipeline import stack_lanes
from kd_jax.errors import InputError
from kd_jax.evaluation.scores import EntityScores, score
from kd_jax.runtime.files import digest
from kd_jax.runtime.interrupt import Interrupt, InterruptedRunError
from kd_jax.runtime.progress import Meter, clock
from kd_jax.settings import to_dict
from kd_jax.structs import Outputs
from kd_jax.sweep.job import Material, make_job
from kd_jax.sweep.plan import Cell, Member, matches
from kd_jax.training import mesh as meshes
from kd_jax.training.checkpoints import Checkpoints, Saved
from kd_jax.training.loop import Job, Progress, failures, label_tokens, place, train
from kd_jax.training.saved_model import TrainedModel, describe_model, save_model


class Context(NamedTuple):
    """Where a run works and whom it tells.

    Attributes:
        workdir: the work folder.
        meter: is told of progress.
        stop: asks for the end when a signal came.
    """

    workdir: Path
    meter: Meter
    stop: Interrupt

    @property
    def end(self) -> InterruptedRunError | None:
        """Why the run is to end after this step; None as long as it goes on."""
        return self.stop.end

    def go_on(self) -> None:
        """See that the run is to go on.

        Raises:
            InterruptedRunError: where it is not.
        """
        if (end := self.end) is not None:
            raise end


def checkpoint_folder(workdir: Path, cell: Cell) -> Path:
    """Where a cell's lanes are kept while they are in training."""
    return workdir / "checkpoints" / digest([member.identity for member in cell.members])[:12]


def train_cell(
    material: Material, cell: Cell, members: Sequence[Member], knowledge: Outputs | None, context: Context
) -> None:
    """Train some lanes of a cell, going on from a checkpoint if there is one, score them, and save each as a model.

    Args:
        material: what the run works on.
        cell: the cell.
        members: the lanes to train; the models among them that are there already stay as they are.
        knowledge: the teacher's outputs for all training tokens, or None.
        context: where it works and whom it tells.

    Raises:
        InputError: where the disk refuses.
        InterruptedRunError: where a signal asked for the end; the lanes are saved.
    """
    meter = context.meter
    job, vocabulary = make_job(material, cell, members, knowledge)
    folder = checkpoint_folder(context.workdir, cell)
    checkpoints = Checkpoints(folder, [m.identity for m in members], cell.settings.saving.keep, meter.say)
    try:
        trained = _train(material, job, cell, members, checkpoints, context)
    finally:
        checkpoints.close()
    began = time.monotonic()
    split = "devel" if cell.purpose == "tune" else "test"
    scores = _scores(material, job, cell, trained.params, split)
    seconds = trained.seconds + time.monotonic() - began
    host = jax.device_get(trained.params)
    for i, member in enumerate(members):
        if describe_model(member.folder) is not None:
            continue
        failed = trained.failed[i]
        outcome = {
            "split": split,
            "status": "ok" if failed is None else f"diverged at step {failed}",
            "epochs": trained.epochs[i],
            "tokens": job.lane_tokens // len(members),
            "seconds": round(seconds / len(members), 3),
            "devel_f1": trained.devel_f1[i],
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
        save_model(member.folder, model, {name: s.counts for name, s in of_lane.items()})
        if failed is not None:
            meter.say(
                f"{cell.title}, {member.label} seed {member.seed}: loss or gradient was not finite at step {failed};"
                " this lane was frozen there and has no score, the others went on"
            )
    checkpoints.remove()
    rate = job.lane_tokens / seconds
    meter.say(f"{cell.title}: {len(members)} lanes in {clock(seconds)}, {rate:,.0f} lane-tokens/s, scoring included")


class _Trained(NamedTuple):
    """Lanes at the end: parameters [L, ...]; the step each failed at, its epochs and F1 on devel; seconds of all."""

    params: Any
    failed: list[int | None]
    epochs: list[int]
    devel_f1: Sequence[float | None]
    seconds: float


def _train(
    material: Material, job: Job, cell: Cell, members: Sequence[Member], checkpoints: Checkpoints, context: Context
) -> _Trained:
    best = _Best(len(members)) if "devel" not in cell.splits else None
    saved = checkpoints.newest()
    start = None
    if saved is not None:
        start = saved.position, place(job, saved.state)
        context.meter.say(
            f"{cell.title}: going on after {saved.position.epoch} epochs and {saved.position.chunk} chunks"
        )
        context.meter.skip(saved.position.epoch * job.lane_tokens // job.epochs + int(saved.position.tokens.sum()))
        if best is not None and saved.best is not None:
            best.restore(saved.best)
    seconds = 0.0 if saved is None else saved.seconds
    began = saved_at = time.monotonic()
    state = None if start is None else start[1]
    of_epoch = [0, 0.0]
    for progress in train(job, start):
        state = progress.state
        of_epoch = [of_epoch[0] + progress.lane_tokens, of_epoch[1] + progress.seconds]
        where = f"{cell.title} ({len(members)} lanes) epoch {progress.epoch}/{cell.epochs}"
        context.meter.advance(where, progress.lane_tokens, progress.seconds, float(np.mean(progress.loss)))
        if progress.ends_epoch:
            devel = None if best is None else _devel_f1(material, job, cell, progress.state.params)
            if best is not None and devel is not None:
                best.offer(progress.epoch, devel, progress.state.params)
            _record(cell, members, progress, of_epoch[0] / of_epoch[1], devel, context.meter)
            of_epoch = [0, 0.0]
        saving, end = cell.settings.saving, context.end
        due = time.monotonic() - saved_at >= 60 * saving.minutes
        due |= bool(saving.every_epochs) and progress.ends_epoch and progress.epoch % saving.every_epochs == 0
        if due or end is not None:
            own = jax.tree.map(lambda x: np.asarray(x)[: len(members)], progress.state)
            number = progress.position.epoch * 1_000_000 + progress.position.chunk
            so_far = seconds + time.monotonic() - began
            kept = None if best is None else best.saved(own.params)
            checkpoints.save(Saved(progress.position, own, kept, so_far), number)
            saved_at = time.monotonic()
        if end is not None:
            checkpoints.wait()
            raise end
    if state is None:
        raise InputError(f"{cell.title}: nothing to train on")
    seconds += time.monotonic() - began
    failed = failures(state, len(members))
    if best is None:
        return _Trained(state.params, failed, [cell.epochs] * len(members), [None] * len(members), seconds)
    return _Trained(best.stacked(state.params), failed, best.epoch, best.f1, seconds)


def _record(
    cell: Cell,
    members: Sequence[Member],
    progress: Progress,
    rate: float,
    devel: Sequence[float] | None,
    meter: Meter,
) -> None:
    """One line of metrics.jsonl for each lane; the rate is the epoch's, in lane-tokens a second."""
    steps = np.asarray(progress.state.step)
    for i, member in enumerate(members):
        meter.record(
            experiment=cell.experiment,
            stage=cell.kind,
            protocol=cell.protocol,
            corpus="+".join(cell.corpora),
            cell=cell.title,
            label=member.label,
            seed=member.seed,
            epoch=progress.epoch,
            step=int(steps[i]),
            loss=float(progress.loss[i]),
            lane_tokens_per_s=round(rate),
            devel_f1=None if devel is None else devel[i],
        )


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
        "protocol": cell.protocol,
        "identity": member.identity,
        "teachers": [t.folder.name for t in cell.teachers if matches(member.weights) or cell.foreign],
        "settings": to_dict(cell.settings),
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

    def saved(self, like: Any) -> tuple[list[float], list[int], Any]:
        """What `restore` takes; lanes without a best epoch yet have the given parameters, [L, ...]."""
        now = [meshes.take_lane(like, i) if p is None else p for i, p in enumerate(self._params)]
        return self.f1, self.epoch, stack_lanes(now)

    def restore(self, saved: tuple[list[float], list[int], Any]) -> None:
        """Go on from what `saved` gave."""
        self.f1, self.epoch = list(saved[0]), list(saved[1])
        self._params = [meshes.take_lane(saved[2], i) if epoch else None for i, epoch in enumerate(self.epoch)]

    def stacked(self, like: Any) -> Any:
        """All lanes' best parameters, [L, ...], laid out as the given ones, which may have more lanes."""
        lanes = len(jax.tree.leaves(like)[0])
        filled = [*self._params, *[self._params[-1]] * (lanes - len(self._params))]
        return jax.tree.map(lambda x, y: jax.device_put(x, y.sharding), stack_lanes(filled), like)
