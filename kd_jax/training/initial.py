"""Where the output layer starts: at what is known of the labels before any word is read."""

import numpy as np

from kd_jax.data.dataset import Tokens


def log_frequencies(tokens: Tokens, sentences: np.ndarray, task: int) -> np.ndarray:
    """Log of the smoothed frequency of each label among some sentences, the constant tagger of lowest cross-entropy.

    One is added to every label's count, so that a label that is not seen has a finite bias.

    Args:
        tokens: of the model.
        sentences: of the task's corpus, indices; unlabelled tokens do not count.
        task: the corpus.

    Returns:
        [K] float32 in nats; 0 for labels that the task does not have, which are masked.
    """
    own = len(tokens.labels[task])
    positions = tokens.positions(sentences)
    counts = np.bincount(tokens.label[positions][tokens.labelled[positions]], minlength=own)[:own] + 1.0
    bias = np.zeros(tokens.most_labels, np.float32)
    bias[:own] = np.log(counts / counts.sum())
    return bias


def mean_logits(logits: np.ndarray, tokens: Tokens, sentences: np.ndarray) -> np.ndarray:
    """A teacher's mean logits over some sentences' tokens, centred over labels: the constant student of lowest error.

    Args:
        logits: the teacher's, of all tokens, [N, K].
        tokens: of the student.
        sentences: indices.

    Returns:
        [K] float32.
    """
    mean = np.asarray(logits[tokens.positions(sentences)], np.float32).mean(0)
    return (mean - mean.mean()).astype(np.float32)
