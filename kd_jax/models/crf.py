"""A linear-chain conditional random field over packed rows, as pure functions.

A path y_1 ... y_n of one sentence scores start[y_1] + sum_t e_t[y_t] + sum_t pairs[y_t, y_{t+1}] + stop[y_n]; its
probability is exp(score) over Z, the sum of exp(score) of all paths (Lafferty, McCallum and Pereira 2001); all in nats.

Derivation. There are K^n paths, but a path's score is a sum in which a label meets only the next one, so sums over
paths can be taken token by token. Let the forward variable alpha_t[j] be the log of the sum of exp(score) over the
beginnings y_1 ... y_t that end in y_t = j, and the backward variable beta_t[i] the same over the ends y_t ... y_n that
begin with y_t = i; either counts the emission of t itself:

    alpha_1[j] = start[j] + e_1[j]      alpha_t[j] = e_t[j] + log sum_i exp(alpha_t-1[i] + pairs[i, j])
    beta_n[i]  = stop[i] + e_n[i]       beta_t[i]  = e_t[i] + log sum_j exp(pairs[i, j] + beta_t+1[j])

Then everything else follows:

- log Z = log sum_j exp(alpha_n[j] + stop[j]).
- p(y_t = k) is exp(alpha_t[k] + beta_t[k] - e_t[k]) / Z, and it is the gradient of log Z with respect to e_t[k], since
  e_t[k] is a term of the score of exactly those paths that pass there.
- p(y_t = j | y_t-1 = i) is proportional to exp(pairs[i, j] + beta_t[j]): what came before i no longer matters.
- With max in place of log-sum-exp, alpha is the score of the best beginning (Viterbi).

A row holds several sentences. The forward variable is begun anew where a sentence starts, so neighbours share no number
and can't influence each other, not even by rounding. Padding may stand after any sentence; inside one, it makes two of
it. The functions take rows [R, T], scan over time first, and run under jit, vmap and grad; what they are given must be
finite; its two recursions are in chain.py, in the form that suits the platform.

Float32 suffices: the forward variable is kept at a maximum of 0, its level apart, so what is exponentiated is exact to
the rounding of one token's scores and not of a whole sentence's.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from kd_jax.models.chain import Chain, forward, way_back
from kd_jax.models.lookups import entries, pick
from kd_jax.structs import Array


class Transitions(NamedTuple):
    """What a CRF has beside its emissions; with a leading axis of tasks or lanes where the caller vmaps.

    Attributes:
        start: score of a sentence's first label, [K].
        stop: score of a sentence's last label, [K].
        pairs: score of label j after label i at [i, j], [K, K].
    """

    start: Float[Array, "*lanes K"]
    stop: Float[Array, "*lanes K"]
    pairs: Float[Array, "*lanes K K"]

    @classmethod
    def zeros(cls, labels: int) -> "Transitions":
        """Transitions that are all zero, for decoding a softmax head and to begin training from."""
        return cls(jnp.zeros(labels), jnp.zeros(labels), jnp.zeros((labels, labels)))


def log_partitions(
    emissions: Float[Array, "R T K"], transitions: Transitions, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]
) -> Float[Array, "R T"]:
    """Log-partition of every sentence: the log of the sum of exp(score) over its paths.

    Args:
        emissions: [R, T, K], anything on padding.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        Nats at each sentence's last token, 0 elsewhere, [R, T]; differentiable under any weights.
    """
    continues, ends = _bounds(starts, mask)
    chain = Chain(_time_first(emissions, mask), transitions.start, transitions.pairs, continues)
    alpha, level = forward(jax.nn.logsumexp, chain)
    return jnp.where(ends, jax.nn.logsumexp(alpha + transitions.stop[None, None], axis=-1) + level, 0.0).T


def log_partition(
    emissions: Float[Array, "R T K"], transitions: Transitions, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]
) -> Float[Array, ""]:
    """Sum of `log_partitions` over the batch's sentences, in nats, [].

    >>> emissions, starts, mask = jnp.zeros((1, 2, 3)), jnp.array([[True, False]]), jnp.array([[True, True]])
    >>> round(float(jnp.exp(log_partition(emissions, Transitions.zeros(3), starts, mask))), 3)  # 3^2 paths of score 0
    9.0
    """
    return log_partitions(emissions, transitions, starts, mask).sum()


def token_scores(
    emissions: Float[Array, "R T K"],
    labels: Int[Array, "R T"],
    transitions: Transitions,
    starts: Bool[Array, "R T"],
    mask: Bool[Array, "R T"],
) -> Float[Array, "R T"]:
    """Every token's share of the score of a labelling.

    Args:
        emissions: [R, T, K], anything on padding.
        labels: from 0 to K - 1, anything on padding, [R, T] int.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        Nats, 0 on padding, [R, T]: emission, the transition (or start) that leads here, and stop at a last token.
    """
    continues, ends = _bounds(starts, mask)
    y = jnp.where(mask, labels, 0).T
    before = jnp.roll(y, 1, axis=0)  # row's first token gets its last one's, and `continues` hides it
    emitted = pick(_time_first(emissions, mask), y)
    entered = jnp.where(continues, entries(transitions.pairs, before, y), entries(transitions.start, y))
    return jnp.where(mask, (emitted + entered + jnp.where(ends, entries(transitions.stop, y), 0.0)).T, 0.0)


def sequence_score(
    emissions: Float[Array, "R T K"],
    labels: Int[Array, "R T"],
    transitions: Transitions,
    starts: Bool[Array, "R T"],
    mask: Bool[Array, "R T"],
) -> Float[Array, ""]:
    """Score of a labelling, summed over the batch's sentences, in nats, []; arguments as in `token_scores`."""
    return token_scores(emissions, labels, transitions, starts, mask).sum()


def negative_log_likelihood(
    emissions: Float[Array, "R T K"],
    labels: Int[Array, "R T"],
    transitions: Transitions,
    starts: Bool[Array, "R T"],
    mask: Bool[Array, "R T"],
) -> Float[Array, ""]:
    """-log p(labels), summed over the batch's sentences, in nats, []; the caller divides by sentences or tokens.

    It is log Z - score(labels), computed as the log-partition of emissions from which each token's share of that score
    is taken: every path passes every token once, so every path's score falls by score(labels), and so does log Z. A
    confident model's loss is thus not the difference of two large numbers. Sentences without labels are left out by a
    mask that is False on them.

    Args:
        emissions: [R, T, K], anything on padding.
        labels: from 0 to K - 1, anything on padding, [R, T] int.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.
    """
    gold = token_scores(emissions, labels, transitions, starts, mask)
    return log_partition(emissions - gold[..., None], transitions, starts, mask)


def marginals(
    emissions: Float[Array, "R T K"], transitions: Transitions, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]
) -> Float[Array, "R T K"]:
    """p(label of token t = k | sentence): the gradient of the log-partition with respect to the emissions.

    Args:
        emissions: [R, T, K], anything on padding.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        Probabilities, 0 on padding, [R, T, K].
    """
    return jax.grad(log_partition)(emissions, transitions, starts, mask)


def log_marginals(
    emissions: Float[Array, "R T K"], transitions: Transitions, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]
) -> Float[Array, "R T K"]:
    """log p(label of token t = k | sentence), by the forward and the backward variable.

    The log of `marginals`, exact also where those round to 0, and cheaper to differentiate.

    Args:
        emissions: [R, T, K], anything on padding.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        Nats, 0 on padding, [R, T, K].
    """
    emissions = _levelled(_time_first(emissions, mask))
    before, after = _forward_backward(emissions, transitions, _bounds(starts, mask)[0])
    log_p = jax.nn.log_softmax(before + after - emissions, -1)  # either variable holds the token's own emission
    return jnp.where(mask[..., None], log_p.swapaxes(0, 1), 0.0)


def log_conditionals(
    emissions: Float[Array, "R T K"], transitions: Transitions, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]
) -> Float[Array, "R T K K"]:
    """log p(label of token t = j | label of token t - 1 = i, sentence): the CRF as the Markov chain that it is.

    Together with `log_marginals` of the token before they give the pairwise marginals.

    Args:
        emissions: [R, T, K], anything on padding.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        Nats, 0 on padding, [R, T, K, K]; at a sentence's first token the same for every i.
    """
    emissions = _levelled(_time_first(emissions, mask))
    continues, _ = _bounds(starts, mask)
    _, after = _forward_backward(emissions, transitions, continues)
    entering = jnp.where(continues[..., None, None], transitions.pairs, transitions.start)
    # Normalised over j for each i. A first token has no i: its row of start scores is broadcast over all of them.
    log_p = jax.nn.log_softmax(entering + after[:, :, None], -1)
    return jnp.where(mask[..., None, None], log_p.swapaxes(0, 1), 0.0)


def viterbi(
    emissions: Float[Array, "R T K"], transitions: Transitions, starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]
) -> tuple[Int[Array, "R T"], Float[Array, ""]]:
    """The labelling of the highest score; among equal ones the lowest label, decided from each sentence's end.

    Args:
        emissions: [R, T, K], anything on padding.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        labels, 0 on padding, [R, T] int32; their `sequence_score`, [].

    >>> transitions = Transitions(jnp.zeros(2), jnp.zeros(2), jnp.array([[0.0, -9.0], [0.0, 0.0]]))  # 0 then 1 is bad
    >>> emissions, starts = jnp.array([[[1.0, 0.0], [0.0, 2.0]]]), jnp.array([[True, False]])
    >>> labels, score = viterbi(emissions, transitions, starts, starts | True)
    >>> labels.tolist(), float(score)
    ([[1, 1]], 2.0)
    """
    continues, ends = _bounds(starts, mask)
    best, _ = forward(jnp.max, Chain(_time_first(emissions, mask), transitions.start, transitions.pairs, continues))
    leave_end = jnp.argmax(best + transitions.stop[None, None], -1)

    labels = way_back(best, leave_end, transitions.pairs, ends)
    labels = jnp.where(mask, labels.T, 0).astype(jnp.int32)
    return labels, sequence_score(emissions, labels, transitions, starts, mask)


def _bounds(starts: Bool[Array, "R T"], mask: Bool[Array, "R T"]) -> tuple[Bool[Array, "T R"], Bool[Array, "T R"]]:
    """Whether a token has a predecessor in its sentence, and whether it is its sentence's last, both [T, R]."""
    starts, mask = starts.T, mask.T
    # Whether a token goes on with the sentence of the one before it: at the token itself it has a predecessor, and one
    # token earlier there is a successor.
    continues = mask[1:] & mask[:-1] & ~starts[1:]
    edge = jnp.zeros_like(mask[:1])
    return jnp.concatenate([edge, continues]), mask & ~jnp.concatenate([continues, edge])


def _time_first(emissions: Float[Array, "R T K"], mask: Bool[Array, "R T"]) -> Float[Array, "T R K"]:
    """Emissions as [T, R, K], at least float32, 0 on padding."""
    # 0 and not a product with the mask, so that a NaN on padding is not carried on; and the gradient there is 0.
    emissions = emissions.astype(jnp.promote_types(emissions.dtype, jnp.float32))
    return jnp.where(mask[..., None], emissions, 0.0).swapaxes(0, 1)


def _levelled(emissions: Float[Array, "T R K"]) -> Float[Array, "T R K"]:
    """Emissions with a maximum of 0, so that adding and taking them off again costs no digits; no posterior differs."""
    return emissions - jax.lax.stop_gradient(emissions.max(-1, keepdims=True))


def _forward_backward(
    emissions: Float[Array, "T R K"], transitions: Transitions, continues: Bool[Array, "T R"]
) -> tuple[Float[Array, "T R K"], Float[Array, "T R K"]]:
    """Forward and backward variable, each with the token's own emission and less a number of each token.

    The backward one is the forward one of the row read from its end. Both go in one scan: its steps are small, and on
    an accelerator their number is what costs.

    Args:
        emissions: [T, R, K].
        transitions: of one task.
        continues: whether a token has a predecessor in its sentence, [T, R].

    Returns:
        Two [T, R, K].
    """
    has_next = jnp.concatenate([continues[1:], jnp.zeros_like(continues[:1])])
    directions = (
        Chain(emissions, transitions.start, transitions.pairs, continues),
        Chain(emissions[::-1], transitions.stop, transitions.pairs.T, has_next[::-1]),
    )
    both = jax.tree.map(lambda *of_each: jnp.stack(of_each), *directions)
    before, after = jax.vmap(lambda chain: forward(jax.nn.logsumexp, chain)[0])(both)
    return before, after[::-1]
