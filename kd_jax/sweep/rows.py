"""Rows of results.csv and types.csv from scores: of a model that was trained, and of several models' average alike."""

from pathlib import Path

from kd_jax.evaluation.results import Row, TypeRow, write_counts
from kd_jax.evaluation.scores import EntityScores
from kd_jax.structs import GOLD_ONLY, LossWeights
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.sweep.plan import Plan


def rows_of(
    plan: Plan,
    group: LaneGroup,
    corpus: str,
    scores: EntityScores | None,
    *,
    label: str,
    seed: int,
    settings: str,
    folder: Path,
    weights: LossWeights = GOLD_ONLY,
    split: str = "test",
    status: str = "ok",
    epochs: int = 0,
    tokens: int = 0,
    seconds: float = 0.0,
    teachers: str = "-",
) -> tuple[Row, list[TypeRow]]:
    """The row of a column on a corpus, and a row for each of its entity types; its counts by sentence are written.

    What tells of training is by default that of an average: nothing was trained for it.

    Args:
        plan: of the run.
        group: of the model, or of the models that are averaged.
        corpus: that was scored.
        scores: with their counts; None where the lane diverged, which has a row all the same.
        label: the column's.
        seed: that the row stands under.
        settings: hash of all that rows of different seeds must share to be averaged.
        folder: where the scores lie.
        weights: of the loss terms.
        split: that was scored.
        status: "ok", or "diverged at step N".
        epochs: trained.
        tokens: trained on.
        seconds: that took.
        teachers: "own", "shared" or "-".

    Raises:
        InputError: where the disk refuses.
    """
    row = Row(
        experiment=plan.experiment.name,
        corpus=corpus,
        model=group.kind,
        head=group.head,
        **weights._asdict(),
        seed=seed,
        split=split,
        precision=None if scores is None else scores.precision,
        recall=None if scores is None else scores.recall,
        f1=None if scores is None else scores.f1,
        protocol=group.protocol,
        epochs=epochs,
        tokens=tokens,
        seconds=seconds,
        label=label,
        status=status,
        settings=settings,
        recipe=plan.identity.comparison_key(group),
        path=folder.relative_to(plan.workdir).as_posix(),
        default_f1=None if scores is None else scores.default_f1,
        teachers=teachers,
        equations=group.settings.distill.equations,
    )
    if scores is None:
        return row, []
    assert scores.counts is not None  # files of scores lack them, so whoever reads one puts them back
    write_counts(plan.workdir, row, scores.counts)
    types = [
        TypeRow(row.experiment, row.corpus, row.label, row.head, row.seed, row.split, row.protocol, kind, *of_type)
        for kind, of_type in scores.types.items()
    ]
    return row, types
