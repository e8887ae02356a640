"""Structured distillation: what a CRF says of whole labellings, as a student's target.

A sequence labeller's knowledge is a distribution over labellings. Of a CRF teacher its emissions alone are half of it:
what follows what is in its transitions. Two ways to teach it:

- posteriors: its marginals p(y_t = k | sentence), which know the neighbours, in place of the softmax of its logits
  (Wang et al., ACL 2020, Structure-Level Knowledge Distillation For Multilingual Sequence Labeling).
- the chain: the exact divergence of the two distributions over all labellings, from pairwise marginals (Wang et al.,
  ACL 2021, Structural Knowledge Distillation: Tractably Distilling Information for Structured Predictor).

What must be kept of a teacher: its emissions for every token (the logits that are stored anyway) and, once, its
transitions. A softmax model is the chain whose transitions are all 0. Then less is left to choose: posteriors of a
softmax teacher are its soft labels, and for a softmax student KL(teacher || student) of chains and of posteriors
differ by a number that does not depend on the student.

Both chains must be over the same labels in the same order, and must rule out the same transitions: where p gives
weight to a labelling that q forbids, KL(p || q) is near 1e4 nats a step. A caller that constrains the student adds the
same penalty to its teacher, which is then the teacher among the labellings that are left.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from kd_jax.models.crf import Transitions, log_conditionals, log_marginals
from kd_jax.structs import Array


class Chain(NamedTuple):
    """A distribution over the labellings of packed sentences.

    Attributes:
        emissions: those of labels that the task does not have far below all others, anything on padding, [R, T, K].
        transitions: what is ruled out included; `Transitions.zeros` of a softmax head.
    """

    emissions: Float[Array, "R T K"]
    transitions: Transitions

    def softened(self, tau: Float[Array, ""] | float) -> "Chain":
        """The chain at a temperature: every score divided by tau, above 0."""
        return jax.tree.map(lambda score: score / tau, self)


def posteriors(chain: Chain, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]) -> Float[Array, "R T K"]:
    """log p(y_t = k | sentence).

    Args:
        chain: over rows of packed sentences.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        Nats, 0 on padding, [R, T, K].
    """
    return log_marginals(*chain, starts, mask)


def chain_divergence(p: Chain, q: Chain, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]) -> Float[Array, "R T"]:
    """KL(p || q) over labellings, as each token's share: sum over i of p(y_t-1 = i) KL(p(y_t | i) || q(y_t | i)).

    By the chain rule the shares of a sentence's tokens add up to the sum over labellings y of p(y) log(p(y) / q(y)).
    None is negative, and none is the difference of large numbers, as that of two log-partitions would be.

    Source: Wang et al., ACL 2021, for teacher and student of one factorisation, less the entropy of p.

    Args:
        p: the teacher; the student for the reverse divergence.
        q: the other, over the same labels and rows.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool; of a sentence all tokens or none.

    Returns:
        Nats, 0 on padding and where the chains are equal, [R, T].
    """
    log_p, log_q = (log_conditionals(*chain, starts, mask) for chain in (p, q))
    given = (jnp.exp(log_p) * (log_p - log_q)).sum(-1)
    marginals = jnp.exp(posteriors(p, starts, mask))
    before = jnp.pad(marginals[:, :-1], ((0, 0), (1, 0), (0, 0)))
    continues = jnp.pad(mask[:, :-1], ((0, 0), (1, 0))) & ~starts
    # Nothing is before a sentence's first token, and its conditionals are the same for every i: take those of label 0.
    before = jnp.where(continues[..., None], before, jax.nn.one_hot(0, before.shape[-1]))
    return jnp.where(mask, (before * given).sum(-1), 0.0)
