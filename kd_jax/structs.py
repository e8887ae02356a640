"""Shape letters and the central types that every floor shares.

Shape letters, never reused: L lanes, R rows, T time, C characters of a word, A of the alphabet, K labels, D features,
H hidden (both directions), W words of the table, V of a batch, F forms of the corpora, U of a batch, M teachers,
N sentences or tokens of a corpus, S steps, B tasks (branches). A *form* is a word as it is written; a *word* is what a
form is looked up by. Signatures say shapes with jaxtyping, `Float[Array, "R T K"]`. This file, which the readers of
corpora import too, says them in words: it must not cost them the import of NumPy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Array = Any  # a jax.Array or a numpy.ndarray: every function here takes both


class Sentence(NamedTuple):
    """One sentence: its tokens and their IOB2 tags, of equal length."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Corpus:
    """One corpus as read from files.

    Attributes:
        name: the paper's name ("NCBI") or the folder's name.
        splits: "train" and "test" always, "devel" where the corpus has one.
        labels: "O" first, then B- and I- of every entity type found in any split, types in alphabetical order.
    """

    name: str
    splits: Mapping[str, tuple[Sentence, ...]]
    labels: tuple[str, ...]

    @property
    def entity_types(self) -> tuple[str, ...]:
        """Entity types in alphabetical order."""
        return tuple(label[2:] for label in self.labels if label.startswith("B-"))


class Outputs(NamedTuple):
    """What a tagger says about tokens, a teacher's and a student's alike: the knowledge that is distilled.

    Attributes:
        logits: emissions before the softmax or the CRF, [..., K].
        task_hidden: output of the task-specific BiLSTM, [..., H].
        shared_hidden: output of the shared BiLSTM, [..., H].
    """

    logits: Array
    task_hidden: Array
    shared_hidden: Array


class LossWeights(NamedTuple):
    """Weights of the loss terms of equations (2) to (5), scalars of one lane, or [L] over lanes."""

    alpha: Array
    beta: Array
    gamma: Array
    kappa: Array
    tau: Array


GOLD_ONLY = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)
"""Of models that are not taught: gold labels alone."""
ALPHA_ONE_SEEDS = 1000
"""Added to the seeds of students without any matching term, which would else be the single-task model once more."""
