"""Columns that train nothing: several finished models' mean logits, decoded and scored like one model's."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kd_jax.data.dataset import gold_tags
from kd_jax.distill.cache import QUERIED, reading_job
from kd_jax.distill.ensemble import mean_logits
from kd_jax.distill.extract import extract
from kd_jax.distill.scale import logit_scale
from kd_jax.errors import InputError
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.evaluation.scores import EntityScores, score
from kd_jax.experiment import Average
from kd_jax.models.constraint import penalties
from kd_jax.models.crf import Transitions
from kd_jax.models.decode import decode
from kd_jax.runtime.files import digest, read_json, whole_folder
from kd_jax.structs import Outputs, Sentence
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.recurrence import in_form_of_run
from kd_jax.sweep.rows import rows_of
from kd_jax.sweep.status import Status
from kd_jax.sweep.teachers import mean_transitions
from kd_jax.training.saved_model import load_counts, load_model

SCORES = "scores.json"
AT_ONCE = 256  # sentences that are decoded together


class Averaged(NamedTuple):
    """A column of several models' mean on one corpus.

    Attributes:
        column: as the experiment names it.
        corpus: name.
        group: the models, one of every seed.
    """

    column: Average
    corpus: str
    group: LaneGroup

    @property
    def average_id(self) -> str:
        """Hash of everything that decides the scores."""
        models = [spec.model_id for spec in self.group.specs]
        return digest([models, self.corpus, self.group.settings.model.constrained])[:12]

    def folder(self, workdir: Path) -> Path:
        """Where its scores lie."""
        kind = f"{self.column.model}-{self.column.head}"
        return workdir / "averages" / self.corpus / f"{kind}-{len(self.group.specs)}-models-{self.average_id}"


def averages_of(plan: Plan, status: Status) -> list[Averaged]:
    """The averaged columns of a plan whose models are finished, corpus by corpus.

    A model that diverged has nothing to say and is left out, a column of nothing but such models too.
    """
    averages = []
    for column in plan.experiment.averages:
        for name in plan.targets:
            group = plan.plain(column.model, column.head, name)
            if specs := tuple(spec for spec in group.specs if status.finished(spec).ok):
                averages.append(Averaged(column, name, replace(group, specs=specs)))
    return averages


def score_average(averaged: Averaged, sentences: Sequence[Sentence], workdir: Path, log: Callable[[str], None]) -> None:
    """Score a column's mean on a corpus's test split, where that was not done before.

    Args:
        averaged: the column on the corpus; its models are finished.
        sentences: of the test split.
        workdir: the work folder.
        log: is told of a new choice of the recurrence.

    Raises:
        InputError: where a model can't be read, or the disk refuses.
    """
    folder = averaged.folder(workdir)
    if (folder / SCORES).exists():
        return
    specs = averaged.group.specs
    logits: list[np.ndarray] = []
    labels: tuple[str, ...] = ()
    for spec in specs:
        model = load_model(spec.folder)
        job, params, task = reading_job(model, averaged.corpus, sentences)
        job = in_form_of_run(job, averaged.group.settings.runtime, workdir, log)
        labels = model.labels[task]
        chosen = job.tokens.sentences(averaged.corpus, (QUERIED,))
        whole = np.empty((job.tokens.count(chosen), len(labels)), np.float32)
        for rows, outputs in extract(job, params, task, chosen):
            whole[rows] = outputs.logits
        logits.append(whole)
    transitions = mean_transitions(specs, averaged.corpus)
    # As in an ensemble that teaches: chains are averaged as they are, softmax's logits in units of their spread.
    units = None if transitions is not None or len(specs) == 1 else [logit_scale(z) for z in logits]
    mean = mean_logits([Outputs(z, None, None) for z in logits], None, units).logits
    constrained = averaged.group.settings.model.constrained
    scores = score(gold_tags(sentences), decoded(mean, transitions, sentences, labels, constrained=constrained))
    assert scores.counts is not None  # just computed
    with whole_folder(folder, (SCORES, "counts.npz")) as partial:
        np.savez(partial / "counts.npz", **{averaged.corpus: scores.counts})  # type: ignore[arg-type]
        (partial / SCORES).write_text(json.dumps(scores.to_json(), indent=1), encoding="utf-8")


def decoded(
    logits: np.ndarray,
    transitions: Transitions | None,
    sentences: Sequence[Sentence],
    labels: Sequence[str],
    *,
    constrained: bool,
) -> list[list[str]]:
    """The best tags of sentences, as `kd_jax.models.crf.decode` finds them.

    Args:
        logits: of their tokens in order, [N, K].
        transitions: of a CRF; None for a softmax.
        sentences: as long as they are.
        labels: names of the K labels.
        constrained: whether sequences that IOB2 forbids are ruled out.
    """
    rules = jax.tree.map(lambda x: x[0], penalties([labels], len(labels))) if constrained else None
    tags: list[list[str]] = []
    ends = np.cumsum([len(sentence.tokens) for sentence in sentences])
    for first in range(0, len(sentences), AT_ONCE):
        lengths = np.array([len(sentence.tokens) for sentence in sentences[first : first + AT_ONCE]])
        columns = np.arange(lengths.max())
        mask = columns < lengths[:, None]
        emissions = np.zeros((*mask.shape, len(labels)), np.float32)
        last = int(ends[first + len(lengths) - 1])
        emissions[mask] = logits[last - lengths.sum() : last]
        starts = np.broadcast_to(columns == 0, mask.shape)
        best = decode(jnp.asarray(emissions), transitions, rules, jnp.asarray(starts), jnp.asarray(mask))
        tags += [[labels[k] for k in row[:n]] for row, n in zip(np.asarray(best), lengths, strict=True)]
    return tags


def average_rows(plan: Plan, averaged: Averaged) -> tuple[list[Row], list[TypeRow]]:
    """The rows of a column that was scored, under the first seed; nothing was trained for it. Its counts are written.

    Raises:
        InputError: where its scores are gone or damaged, or the disk refuses.
    """
    folder, group = averaged.folder(plan.workdir), averaged.group
    try:
        scores = EntityScores.from_json(read_json(folder / SCORES))
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{folder}: can't be read ({fault}); remove it, and it is scored again") from None
    row, types = rows_of(
        plan,
        group,
        averaged.corpus,
        replace(scores, counts=load_counts(folder)[averaged.corpus]),
        label=averaged.column.label,
        seed=group.specs[0].seed,
        settings=averaged.average_id,
        folder=folder,
    )
    return [row], types
