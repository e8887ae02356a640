"""Where parameters start, if not at random: what is known of the labels before any word is read, and a teacher's."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from kd_jax.data.dataset import Tokens
from kd_jax.data.vocab import PADDING, UNKNOWN_CHAR, Vocabulary
from kd_jax.training.saved_model import TrainedModel


def log_frequencies(tokens: Tokens, sentences: Int[np.ndarray, "N"], task: int) -> Float[np.ndarray, "K"]:
    """Log of the smoothed frequency of each label among some sentences, the constant tagger of lowest cross-entropy.

    One is added to every label's count, so that a label that is not seen has a finite bias.

    Args:
        tokens: of the model.
        sentences: of the task's corpus, indices; unlabelled tokens do not count.
        task: the corpus.

    Returns:
        [K] float32 in nats; 0 for labels that the task does not have, which are masked.
    """
    labels = len(tokens.labels[task])
    positions = tokens.positions(sentences)
    counts = np.bincount(tokens.label[positions][tokens.labelled[positions]], minlength=labels)[:labels] + 1.0
    bias = np.zeros(tokens.most_labels, np.float32)
    bias[:labels] = np.log(counts / counts.sum())
    return bias


def mean_logits(
    logits: Float[np.ndarray, "tokens K"],
    tokens: Tokens,
    sentences: Int[np.ndarray, "N"],
    known: Bool[np.ndarray, "tokens"] | None = None,
) -> Float[np.ndarray, "K"]:
    """A teacher's mean logits over some sentences' tokens, centred over labels: the constant student of lowest error.

    Args:
        logits: the teacher's, of all tokens, [N, K].
        tokens: of the student.
        sentences: indices.
        known: tokens that the teacher says something of; None for all.

    Returns:
        [K] float32.
    """
    positions = tokens.positions(sentences)
    mean = np.asarray(logits[positions if known is None else positions[known[positions]]], np.float32).mean(0)
    return (mean - mean.mean()).astype(np.float32)  # a shift of all logits changes no probability


def teachers_words(
    teacher: TrainedModel, vocabulary: Vocabulary
) -> tuple[Float[np.ndarray, "W D"], Bool[np.ndarray, "W"]]:
    """A teacher's word table in the order of another vocabulary.

    Args:
        teacher: the trained model.
        vocabulary: of the model that starts there.

    Returns:
        table [W, D], row 0 the unknown word's, and which rows the teacher has, [W] bool.
    """
    rows = np.array([0, *(teacher.vocabulary.word_ids.get(word, -1) for word in vocabulary.words)])
    return np.asarray(teacher.params["words"])[np.maximum(rows, 0)], rows >= 0


def teachers_parameters(teacher: TrainedModel, task: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """A teacher's encoder and one of its branches, for a model that goes on from there.

    Args:
        teacher: the trained model.
        task: name of the branch's corpus.
        vocabulary: of the model that starts there; characters that the teacher lacks start as its unknown one.

    Returns:
        {"encoder": ..., "branch": ...}, the branch without a leading task axis and with its own labels only.
    """
    rows = [PADDING, UNKNOWN_CHAR, *(teacher.vocabulary.char_ids.get(c, UNKNOWN_CHAR) for c in vocabulary.chars)]
    encoder = dict(teacher.params["encoder"])
    # Rows of the table are of the teacher's alphabet; the student's is in another order, and holds other characters.
    encoder["chars"] = dict(encoder["chars"]) | {"embedding": np.asarray(encoder["chars"]["embedding"])[rows]}
    number = teacher.tasks.index(task)
    labels = len(teacher.labels[number])
    branch = jax.tree.map(lambda x: np.asarray(x)[number], teacher.params["branch"])
    branch["logits"] = {name: x[..., :labels] for name, x in branch["logits"].items()}  # others have more labels
    return {"encoder": encoder, "branch": branch}
