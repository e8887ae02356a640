"""The loss terms of the paper's equations (1) to (5), as sums over tokens, and their weighted sum.

Every term is a sum over the tokens that the mask names; the caller divides once by the number of tokens. With
alpha = 1 and the other weights 0 the total is the cross-entropy of a single-task model.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from kd_jax.settings import DistillConfig
from kd_jax.structs import Array, LossWeights, Outputs

Error = Literal["mean", "sum"]


def soften(logits: Array, tau: Array | float = 1.0) -> Array:
    """Softmax with temperature: exp(z_i / tau) / sum_j exp(z_j / tau).

    Source: equation (1).

    Args:
        logits: [..., K].
        tau: temperature, above 0.

    Returns:
        Probabilities, [..., K].

    >>> [round(float(p), 4) for p in soften(jnp.array([0.7, 0.2, 0.1]), 3.0)]
    [0.3752, 0.3176, 0.3072]
    """
    return jax.nn.softmax(logits / tau, -1)


def cross_entropy(logits: Array, labels: Array, mask: Array) -> Array:
    """-log softmax(z)_y, summed over tokens: H(y, softmax(z_s)) of equation (2).

    Args:
        logits: [..., K].
        labels: the gold label of each token, [...] int.
        mask: tokens that count, [...] bool.

    Returns:
        Sum in nats, a scalar.
    """
    log_p = jax.nn.log_softmax(logits, -1)
    of_label = jnp.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    return -jnp.where(mask, of_label, 0.0).sum()


def soft_cross_entropy(student: Array, teacher: Array, mask: Array, tau: Array | float) -> Array:
    """-sum_k softmax(z_t / tau)_k log softmax(z_s / tau)_k, summed over tokens: the second term of equation (5).

    Args:
        student: logits, [..., K].
        teacher: logits, [..., K].
        mask: tokens that count, [...] bool.
        tau: temperature, above 0.

    Returns:
        Sum in nats, a scalar.
    """
    log_p = jax.nn.log_softmax(student / tau, -1)
    return -jnp.where(mask, (soften(teacher, tau) * log_p).sum(-1), 0.0).sum()


def squared_error(student: Array, teacher: Array, mask: Array, over: Error) -> Array:
    """(a_s - a_t)^2 of logits or hidden states, summed over tokens: equations (2), (3) and (4).

    Args:
        student: [..., D].
        teacher: [..., D].
        mask: tokens that count, [...] bool.
        over: whether a token's D components give their mean or their sum.

    Returns:
        Sum over tokens, a scalar; 0 where student equals teacher.
    """
    error = jnp.square(student - teacher)
    return jnp.where(mask, error.mean(-1) if over == "mean" else error.sum(-1), 0.0).sum()


def entropy(logits: Array, mask: Array, tau: Array | float) -> Array:
    """The entropy of softmax(z / tau), summed over tokens; soft_cross_entropy minus the teacher's is KL(t || s).

    Args:
        logits: [..., K].
        mask: tokens that count, [...] bool.
        tau: temperature, above 0.

    Returns:
        Sum in nats, a scalar.
    """
    return soft_cross_entropy(logits, logits, mask, tau)


def total(
    supervised: Array, student: Outputs, teacher: Outputs | None, weights: LossWeights, mask: Array, how: DistillConfig
) -> Array:
    """alpha L + beta D(logits) + gamma MSE(task BiLSTM) + kappa MSE(shared BiLSTM), summed over tokens.

    D is the squared error of equations (2), (3) and (4), or the soft labels' cross-entropy of equation (5).

    Args:
        supervised: L, the sum of the loss against the gold labels.
        student: the student's outputs.
        teacher: the teacher's outputs for the same tokens; a field that is None has no term. None: no teacher.
        weights: scalars of one lane.
        mask: tokens whose outputs are matched, [...] bool.
        how: which D, and whether errors are means or sums over a token's components; a "relative" error of logits is
            their mean squared error over the mean square of the teacher's logits in the batch.

    Returns:
        Sum over tokens, a scalar.
    """
    loss = weights.alpha * supervised
    if teacher is None:
        return loss
    if teacher.logits is not None:
        loss += weights.beta * _of_logits(student.logits, teacher.logits, weights.tau, mask, how)
    hidden = (
        (weights.gamma, student.task_hidden, teacher.task_hidden),
        (weights.kappa, student.shared_hidden, teacher.shared_hidden),
    )
    for weight, ours, theirs in hidden:
        if theirs is not None:
            loss += weight * squared_error(ours, theirs.astype(ours.dtype), mask, how.hidden_error)
    return loss


def _of_logits(student: Array, teacher: Array, tau: Array, mask: Array, how: DistillConfig) -> Array:
    teacher = teacher.astype(student.dtype)
    if how.match == "mse" and how.logits_error != "relative":
        return squared_error(student, teacher, mask, how.logits_error)
    if how.match == "mse":
        own = squared_error(jnp.zeros_like(teacher), teacher, mask, "mean") / jnp.maximum(mask.sum(), 1)
        return squared_error(student, teacher, mask, "mean") / jnp.maximum(own, 1e-6)
    term = soft_cross_entropy(student, teacher, mask, tau)
    if how.divergence == "kl":
        term -= entropy(teacher, mask, tau)
    return term * jnp.square(tau) if how.tau_squared else term
