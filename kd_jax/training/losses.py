"""Loss terms of the paper's equations (1) to (5), their standardised forms, and their weighted sum.

A matching loss is one number a token; `Term.over` sums it over the tokens that a mask names and counts them. Sums and
counts add over batches and devices, means do not: a caller that shards a batch adds up `Terms` first and then takes
their `total`, in which every term is a mean over its own tokens.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from kd_jax.models.lookups import pick
from kd_jax.settings import Divergence
from kd_jax.structs import Array, LossWeights

Scalar = Float[Array, ""] | float


class Term(NamedTuple):
    """One term of the loss.

    Attributes:
        summed: over its tokens.
        tokens: how many these are.
    """

    summed: Float[Array, "*lanes"]
    tokens: Int[Array, "*lanes"]

    @classmethod
    def over(cls, values: Float[Array, "*tokens"], mask: Bool[Array, "*tokens"]) -> "Term":
        """The sum of a loss that is one number a token.

        Args:
            values: [...], finite where the mask is False too, else gradients are not.
            mask: tokens that count, [...] bool.
        """
        return cls(jnp.where(mask, values, 0.0).sum(), mask.sum())

    @property
    def mean(self) -> Float[Array, "*lanes"]:
        """Of a token; 0 where there is none."""
        return self.summed / jnp.maximum(self.tokens, 1)  # a sum over no tokens is 0 already


class Terms(NamedTuple):
    """Every term of the loss; None for one that there is no teacher's output for.

    Attributes:
        gold: cross-entropy with the gold labels, or a CRF's negative log-likelihood, over labelled tokens.
        logits: what matches the teacher's logits, soft labels or chain.
        task_hidden: what matches its task BiLSTM's outputs.
        shared_hidden: what matches its shared BiLSTM's outputs.
    """

    gold: Term
    logits: Term | None = None
    task_hidden: Term | None = None
    shared_hidden: Term | None = None


def soften(logits: Float[Array, "*tokens K"], tau: Scalar = 1.0) -> Float[Array, "*tokens K"]:
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


def cross_entropy(
    logits: Float[Array, "*tokens K"], labels: Int[Array, "*tokens"], mask: Bool[Array, "*tokens"]
) -> Float[Array, ""]:
    """-log softmax(z)_y, summed over tokens: H(y, softmax(z_s)) of equation (2).

    Args:
        logits: [..., K].
        labels: the gold label of each token, [...] int.
        mask: tokens that count, [...] bool.

    Returns:
        Sum in nats, a scalar.

    >>> logits = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    >>> round(float(cross_entropy(logits, jnp.array([0, 2]), jnp.array([True, False]))), 4)  # log 2
    0.6931
    """
    log_p = jax.nn.log_softmax(logits, -1)
    return -jnp.where(mask, pick(log_p, labels), 0.0).sum()


def uniform_cross_entropy(
    logits: Float[Array, "*tokens K"], valid: Bool[Array, "K"], mask: Bool[Array, "*tokens"]
) -> Float[Array, ""]:
    """Cross-entropy with the uniform distribution over a task's labels, summed over tokens, for label smoothing.

    Source: Szegedy et al. 2016, section 7.

    Args:
        logits: [..., K].
        valid: labels that the task has, [K] bool.
        mask: tokens that count, [...] bool.

    Returns:
        Sum in nats, a scalar.
    """
    # Labels that the task lacks have neither a probability nor a share in the mean.
    where = jnp.broadcast_to(valid, logits.shape)
    log_p = jax.nn.log_softmax(logits, -1, where=where)
    return -jnp.where(mask, log_p.mean(-1, where=where), 0.0).sum()


def soft_cross_entropy(
    student: Float[Array, "*tokens K"], teacher: Float[Array, "*tokens K"], tau: Scalar
) -> Float[Array, "*tokens"]:
    """-sum_k softmax(z_t / tau)_k log softmax(z_s / tau)_k: the second term of equation (5).

    Args:
        student: logits, [..., K].
        teacher: logits, [..., K].
        tau: temperature, above 0.

    Returns:
        Nats a token, [...].
    """
    return -(soften(teacher, tau) * jax.nn.log_softmax(student / tau, -1)).sum(-1)


def divergence(
    student: Float[Array, "*tokens K"], teacher: Float[Array, "*tokens K"], which: Divergence
) -> Float[Array, "*tokens"]:
    """How far a student's distribution of labels q is from its teacher's, p; 0 where they are equal.

    kl: KL(p || q) = sum_k p_k log(p_k / q_k). It is `soft_cross_entropy` less the teacher's entropy, which knows
    nothing of the student, so both have one gradient and train the same model to rounding: a run has no choice between
    them. reverse-kl: KL(q || p), which prefers to drop a label that the teacher finds likely to giving one that it
    finds unlikely. jensen-shannon: (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2, symmetric and at most log 2; for
    near p and q it is a quarter of KL, so its weight is to be chosen anew.

    Args:
        student: log-probabilities, finite, [..., K].
        teacher: log-probabilities, finite, [..., K].
        which: of the three.

    Returns:
        Nats a token, [...].

    >>> p, q = jnp.log(jnp.array([0.5, 0.5])), jnp.log(jnp.array([0.25, 0.75]))
    >>> [round(float(divergence(q, p, which)), 4) for which in ("kl", "reverse-kl", "jensen-shannon")]
    [0.1438, 0.1308, 0.0338]
    """
    if which == "kl":
        return _kl(teacher, student)
    if which == "reverse-kl":
        return _kl(student, teacher)
    middle = jnp.logaddexp(student, teacher) - math.log(2.0)  # log m, without leaving logarithms
    return 0.5 * (_kl(teacher, middle) + _kl(student, middle))


def _kl(log_p: Float[Array, "*tokens K"], log_q: Float[Array, "*tokens K"]) -> Float[Array, "*tokens"]:
    return (jnp.exp(log_p) * (log_p - log_q)).sum(-1)


def centre(logits: Float[Array, "*tokens K"], valid: Bool[Array, "..."]) -> Float[Array, "*tokens K"]:
    """Logits less their mean over a token's labels: what a softmax or a CRF, which see no shift, know of them.

    Args:
        logits: [..., K].
        valid: labels that a token's task has, at least one, broadcastable to logits, bool.

    Returns:
        [..., K], 0 for other labels.

    >>> centre(jnp.array([3.0, 1.0, 7.0]), jnp.array([True, True, False])).tolist()
    [1.0, -1.0, 0.0]
    """
    valid = jnp.broadcast_to(valid, logits.shape)
    mean = logits.mean(-1, where=valid, keepdims=True)
    return jnp.where(valid, logits - mean, 0.0)


def squared_error(
    student: Float[Array, "*tokens D"], teacher: Float[Array, "*tokens D"], valid: Bool[Array, "..."] | bool = True
) -> Float[Array, "*tokens"]:
    """(a_s - a_t)^2 of logits or hidden states, the mean over a token's components: MSE of equations (2), (3), (4).

    Args:
        student: [..., D].
        teacher: [..., D].
        valid: components that count, at least one, broadcastable to [..., D], bool.

    Returns:
        Mean a token, [...]; 0 where student equals teacher.

    >>> float(squared_error(jnp.array([1.0, 2.0]), jnp.array([1.0, 4.0])))
    2.0
    """
    return jnp.square(student - teacher).mean(-1, where=jnp.broadcast_to(valid, student.shape))


def total(terms: Terms, weights: LossWeights) -> Float[Array, ""]:
    """alpha mean(gold) + beta mean(logits) + gamma mean(task BiLSTM) + kappa mean(shared BiLSTM).

    Every term is a mean over its own tokens, so a weight is not diluted by tokens that have no labels. With alpha = 1
    and the other weights 0 it is the loss of a single-task model.

    Args:
        terms: of a whole batch, its shards added up.
        weights: scalars of one lane.

    Returns:
        Scalar.

    >>> gold, logits = Term(jnp.array(6.0), jnp.array(3)), Term(jnp.array(4.0), jnp.array(1))
    >>> float(total(Terms(gold, logits), LossWeights(alpha=0.5, beta=0.25, gamma=0.0, kappa=0.0, tau=1.0)))
    2.0
    """
    # A term is left out where it does not exist, and not where its weight is 0: weights are arrays, on which the
    # program can't depend.
    loss = weights.alpha * terms.gold.mean
    matched = ((weights.beta, terms.logits), (weights.gamma, terms.task_hidden), (weights.kappa, terms.shared_hidden))
    for weight, term in matched:
        if term is not None:
            loss += weight * term.mean
    return loss
