"""Corpora at the edges, refused before training: nothing to learn from, nothing to find, no memory for it."""

from collections.abc import Sequence

import numpy as np

from kd_jax.corpora.overlap import without_overlap
from kd_jax.cost.memory import decoding_bytes
from kd_jax.errors import InputError
from kd_jax.runtime.device import available_memory
from kd_jax.structs import Corpus, Sentence
from kd_jax.sweep.plan import Plan


def check_material(plans: Sequence[Plan], corpora: Sequence[Corpus]) -> None:
    """See that every corpus can be trained on and scored.

    Raises:
        InputError: for a corpus whose training text is empty or has no entities, whose test has none, or whose labels
            are too many for the memory at hand.
    """
    plan = plans[0]
    parts = plan.protocol.split("+")
    tests = [corpus.splits["test"] for corpus in corpora]
    for corpus in corpora:
        trained: list[Sentence] = []
        for split in (part for part in parts if part != "clean"):
            sentences = corpus.splits.get(split, ())
            kept = without_overlap(sentences, tests) if "clean" in parts else np.arange(len(sentences))
            trained += [sentences[i] for i in kept]
        if not trained:
            raise InputError(
                f"{corpus.name}: --protocol={plan.protocol} leaves no sentence to train on, as all of them occur in a"
                " test split; leave +clean out, or the corpus"
            )
        if not _has_entities(trained):
            raise InputError(f"{corpus.name}: what it is trained on has no entity, all tags are O; leave it out")
        if corpus.name in plan.targets and not _has_entities(corpus.splits["test"]):
            raise InputError(f"{corpus.name}: its test split has no entity, so that every F1 would be 0; leave it out")
        _check_labels(corpus, max(plan.settings.train.rows for plan in plans))


def _has_entities(sentences: Sequence[Sentence]) -> bool:
    return any(tag != "O" for sentence in sentences for tag in sentence.tags)


def _check_labels(corpus: Corpus, rows: int) -> None:
    labels, available = len(corpus.labels), available_memory()
    takes = decoding_bytes(rows, labels)
    if available is not None and takes > available:
        raise InputError(
            f"{corpus.name}: {labels:,} labels in {rows:,} rows, which decoding takes about {takes / 1e9:,.0f} GB for,"
            f" and {available / 1e9:,.0f} GB are free; lower train.rows, or see that these are types and no names"
            " (kd-jax corpora check)"
        )
