"""One lane group to its end: its lanes trained as one program, scored, and saved as models."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from kd_jax.data.dataset import Tokens, gold_tags
from kd_jax.errors import InputError
from kd_jax.evaluation.scores import EntityScores, score
from kd_jax.models.execution import Recurrence
from kd_jax.runtime.device import forget_programs
from kd_jax.runtime.interrupt import InterruptedRunError, Stop
from kd_jax.runtime.progress import Meter, clock, counted
from kd_jax.settings import to_dict
from kd_jax.structs import LossWeights
from kd_jax.sweep.best_epochs import BestEpochs
from kd_jax.sweep.identity import needs_teacher
from kd_jax.sweep.job import SweepData, make_job, style_of_corpus
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.recurrence import recurrence_of
from kd_jax.sweep.status import Status, checkpoint_folder
from kd_jax.sweep.unseen import with_unseen
from kd_jax.training import mesh as meshes
from kd_jax.training.checkpoints import Checkpoints, Saved
from kd_jax.training.held import held, settled
from kd_jax.training.loop import Job, Position, Progress, divergences, effective_weights, label_tokens, place, train
from kd_jax.training.manifest import Manifest
from kd_jax.training.objective import Knowledge
from kd_jax.training.saved_model import TrainedModel, save_model


class RunContext(NamedTuple):
    """What every unit of a run needs, whatever it trains; made once, before the first.

    Attributes:
        workdir: the work folder.
        meter: shows progress and prints lines.
        stop: asks for the end when a signal came.
        status: knows which models are finished.
        device: that models are trained on, in words.
        share: of the machine's memory that is for this process, where others like it run beside it on a CPU.
        command: that asked for the run, as one types it; "" where none did.
    """

    workdir: Path
    meter: Meter
    stop: Stop
    status: Status
    device: str
    share: float = 1.0
    command: str = ""

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


def train_group(
    sweep_data: SweepData,
    group: LaneGroup,
    specs: Sequence[ModelSpec],
    knowledge: Knowledge | None,
    context: RunContext,
) -> None:
    """Train some lanes of a group, resuming from a checkpoint if there is one, score them, and save each as a model.

    Args:
        sweep_data: what the run works on.
        group: the lane group.
        specs: the lanes to train; the models among them that already exist stay as they are.
        knowledge: the teacher's outputs for all training tokens, or None.
        context: of the run.

    Raises:
        InputError: where the disk refuses.
        InterruptedRunError: where a signal asked for the end; the lanes are saved.
    """
    meter = context.meter
    job, vocabulary = make_job(sweep_data, group, specs, knowledge)
    if knowledge is not None and group.purpose != "tune":  # the names of candidates are their weights
        meter.log(f"{group.title}: weights in effect: {_weights_in_effect(job, specs)}")
    folder = checkpoint_folder(context.workdir, group)
    checkpoints = Checkpoints(folder, [m.model_id for m in specs], group.settings.saving.keep, meter.log)
    try:
        trained = _train(sweep_data, job, group, specs, checkpoints, context)
    finally:
        checkpoints.close()
    job = replace(job, recurrence=trained.recurrence)
    began = time.monotonic()
    split = "devel" if group.purpose == "tune" else "test"  # what chooses weights must not have seen test
    # A projection to the teacher's width serves training alone: no saved model has it.
    host = jax.device_get({name: part for name, part in trained.params.items() if name != "projection"})
    params = trained.params
    if group.settings.model.words.unseen == "ngrams":
        job, params, host["ngrams"] = with_unseen(sweep_data, group, job, vocabulary, params)
    mesh = meshes.lane_mesh(len(specs))
    scores = _scores(sweep_data, job, group, held(job.tagger_on(mesh), params, mesh), split)
    seconds = trained.seconds + time.monotonic() - began
    for i, spec in enumerate(specs):
        if context.status.manifest(spec) is not None:  # trained along for its neighbours' bits, see started_together
            continue
        diverged_at = trained.diverged_at[i]
        of_lane = {name: lanes[i] for name, lanes in scores.items()}
        manifest = Manifest(
            model=spec.kind,
            label=spec.label,
            head=group.head,
            seed=spec.seed,
            weights=LossWeights(*map(float, spec.weights)),
            protocol=group.protocol,
            identity=spec.model_id,
            teachers=tuple(
                t.folder.name for t in group.teachers if needs_teacher(spec.weights, group.foreign, group.start)
            ),
            settings=_settings_of(group, spec),
            corpora={name: sweep_data.hashes[name] for name in group.corpora},
            split=split,
            status="ok" if diverged_at is None else f"diverged at step {diverged_at}",
            epochs=trained.epochs[i],
            tokens=int(trained.tokens[i]),
            seconds=round(seconds / len(specs), 3),
            devel_f1=_mean_f1(of_lane) if split == "devel" else trained.devel_f1[i],
            scores=of_lane,
            styles={name: style_of_corpus(sweep_data.corpora[name]) for name in group.corpora},
        )
        model = TrainedModel(
            about=manifest.to_json(),
            settings=job.settings.model,
            tasks=job.tokens.names,
            labels=job.tokens.labels,
            vocabulary=vocabulary,
            params=jax.tree.map(lambda x, lane=i: np.asarray(x[lane]), host),
        )
        params_sha256 = save_model(spec.folder, model, {name: s.counts for name, s in of_lane.items()})
        context.status.add(spec, replace(manifest, params_sha256=params_sha256))
        if diverged_at is not None:
            meter.log(
                f"{group.title}, {spec.label} seed {spec.seed}: loss or gradient was not finite at step {diverged_at};"
                " this lane was frozen there and has no score, the others went on"
            )
    checkpoints.remove()  # only now that every lane's model is on disk
    rate = sum(trained.tokens) / seconds
    meter.log(
        f"{group.title}: {counted(len(specs), 'lane')} in {clock(seconds)}, {rate:,.0f} lane-tokens/s, scoring included"
    )
    forget_programs()


def _settings_of(group: LaneGroup, spec: ModelSpec) -> dict[str, Any]:
    """The group's settings, with the lane's own learning rate."""
    settings = to_dict(group.settings)
    if spec.learning_rate is not None:
        settings["train"] = settings["train"] | {"learning_rate": spec.learning_rate}
    return settings


def _weights_in_effect(job: Job, specs: Sequence[ModelSpec]) -> str:
    """The lanes' effective weights by column, those of its seeds averaged."""
    match: str = job.settings.distill.match
    matched = {"mse": "logits", "soft": "soft labels", "hard": "hard labels"}.get(match, match)
    terms = ("gold", matched, "task BiLSTM", "shared BiLSTM")
    of_label: dict[str, list[LossWeights]] = {}
    for spec, weights in zip(specs, effective_weights(job), strict=True):
        of_label.setdefault(spec.label, []).append(weights)
    texts = []
    for label, of_lanes in of_label.items():
        means = zip(terms, np.mean(of_lanes, 0)[:4], strict=True)
        texts.append(f"{label} " + ", ".join(f"{term} {mean:.2f}" for term, mean in means if mean))
    return "; ".join(texts)


class _Trained(NamedTuple):
    """Lanes at the end.

    Attributes:
        params: [L, ...], perhaps with more lanes at the end that only fill up the devices.
        diverged_at: the step at which each stopped being finite, or None.
        epochs: of each.
        tokens: that each was trained on.
        devel_f1: of each; None where nothing was chosen on devel.
        seconds: of all together.
    """

    params: Any
    diverged_at: list[int | None]
    epochs: list[int]
    tokens: Sequence[float]
    devel_f1: Sequence[float | None]
    seconds: float
    recurrence: Recurrence


def _train(
    sweep_data: SweepData,
    job: Job,
    group: LaneGroup,
    specs: Sequence[ModelSpec],
    checkpoints: Checkpoints,
    context: RunContext,
) -> _Trained:
    best = BestEpochs(len(specs)) if group.by_devel else None
    saved = checkpoints.newest()
    form = recurrence_of(job, None if saved is None else saved.recurrence, context.workdir, context.meter.log)
    job = replace(job, recurrence=form)
    start = None
    if saved is not None:
        start = saved.position, place(job, saved.state)
        context.meter.log(f"{group.title}: resuming after epoch {saved.position.epoch}")
        context.meter.skip(int(saved.position.trained.sum()))
        if best is not None and saved.best is not None:
            best.restore(saved.best)
    seconds = 0.0 if saved is None else saved.seconds
    began = saved_at = time.monotonic()
    state = None if start is None else start[1]
    of_epoch = [0, 0.0]
    lanes = f"{group.title} ({counted(len(specs), 'lane')})"
    context.meter.begin(f"compiling {lanes}")
    position = Position.first(len(specs)) if saved is None else saved.position
    for progress in train(job, start):
        state, position = progress.held, progress.position
        of_epoch = [of_epoch[0] + progress.lane_tokens, of_epoch[1] + progress.seconds]
        where = f"{lanes} epoch {progress.epoch}/{math.ceil(job.epochs)}"
        context.meter.advance(where, progress.lane_tokens, progress.seconds, float(np.mean(progress.loss)))
        if progress.ends_epoch:
            devel = None if best is None else _devel_f1(sweep_data, job, group, progress.held.params)
            if best is not None and devel is not None:
                best.offer(progress.epoch, devel, progress)
            _record(group, specs, progress, of_epoch[0] / of_epoch[1], devel, context.meter)
            of_epoch = [0, 0.0]
        saving, end = group.settings.saving, context.end
        due = time.monotonic() - saved_at >= 60 * saving.minutes
        due |= bool(saving.every_epochs) and progress.ends_epoch and progress.epoch % saving.every_epochs == 0
        if due or end is not None:
            of_lanes = progress.saved(len(specs))
            number = progress.position.epoch * 1_000_000 + progress.position.chunk  # rises, as orbax wants it
            so_far = seconds + time.monotonic() - began
            kept = None if best is None else best.saved(of_lanes.params)
            checkpoints.save(Saved(progress.position, of_lanes, kept, so_far, form), number)
            saved_at = time.monotonic()
        if end is not None:
            checkpoints.wait()  # writing goes on in a thread; the process ends after this
            raise end
    if state is None:
        raise InputError(f"{group.title}: nothing to train on")
    seconds += time.monotonic() - began
    diverged_at = divergences(state, len(specs))
    epoch, tokens = position.epoch, position.trained.tolist()
    if best is None:
        params = settled(job.tagger_on(meshes.lane_mesh(len(specs))), state.params)
        return _Trained(params, diverged_at, [epoch] * len(specs), tokens, [None] * len(specs), seconds, form)
    return _Trained(best.stacked(len(state.step)), diverged_at, best.epoch, tokens, best.f1, seconds, form)


def _record(
    group: LaneGroup,
    specs: Sequence[ModelSpec],
    progress: Progress,
    rate: float,
    devel: Sequence[float] | None,
    meter: Meter,
) -> None:
    """One line of metrics.jsonl for each lane; the rate is the epoch's, in lane-tokens a second."""
    steps = np.asarray(progress.held.step)
    for i, spec in enumerate(specs):
        meter.record(
            experiment=group.experiment,
            stage=group.kind,
            protocol=group.protocol,
            corpus="+".join(group.corpora),
            cell=group.title,
            label=spec.label,
            seed=spec.seed,
            epoch=progress.epoch,
            step=int(steps[i]),
            loss=float(progress.loss[i]),
            lane_tokens_per_s=round(rate),
            devel_f1=None if devel is None else devel[i],
        )


def _scores(
    sweep_data: SweepData, job: Job, group: LaneGroup, params: Any, split: str
) -> dict[str, list[EntityScores]]:
    """Scores of every lane on a split, of every corpus of the lane group that has it."""
    scores = {}
    for task, name in enumerate(group.corpora):
        gold = sweep_data.corpora[name].splits.get(split)
        if gold is not None:
            sentences = job.tokens.sentences(name, (split,))
            labels = label_tokens(job, params, task, sentences)
            scores[name] = [score(gold_tags(gold), _tags(job.tokens, task, lane, sentences)) for lane in labels]
    return scores


def _tags(tokens: Tokens, task: int, labels: np.ndarray, sentences: np.ndarray) -> list[list[str]]:
    names = tokens.labels[task]
    return [[names[k] for k in of_sentence] for of_sentence in tokens.per_sentence(labels, sentences)]


def _devel_f1(sweep_data: SweepData, job: Job, group: LaneGroup, params: Any) -> list[float]:
    """Each lane's F1 on devel, the mean over the lane group's corpora."""
    scores = _scores(sweep_data, job, group, params, "devel")
    return [_mean_f1({name: lanes[i] for name, lanes in scores.items()}) for i in range(len(job.lanes))]


def _mean_f1(scores: Mapping[str, EntityScores]) -> float:
    return float(np.mean([of_corpus.f1 for of_corpus in scores.values()]))
