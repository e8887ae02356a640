"""A linear-chain conditional random field over packed rows, as pure functions.

A path y_1 ... y_n of one sentence scores start[y_1] + sum_t e_t[y_t] + sum_t pairs[y_t, y_{t+1}] + stop[y_n]; its
probability is exp(score) over the sum of exp(score) of all paths (Lafferty, McCallum and Pereira 2001); all in nats.

A row holds several sentences. The forward variable is begun anew where a sentence starts, so neighbours share no number
and can't influence each other, not even by rounding. Padding may stand after any sentence; inside one, it makes two of
it. The functions take rows [R, T], scan over time first, and run under jit, vmap and grad; what they are given must be
finite.

Float32 suffices: the forward variable is kept at a maximum of 0, its level apart, so what is exponentiated is exact to
the rounding of one token's scores and not of a whole sentence's.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from kd_jax.errors import InputError
from kd_jax.structs import Array

FORBIDDEN_TRANSITION = -1e4


class Transitions(NamedTuple):
    """What a CRF has beside its emissions; with a leading axis of tasks or lanes where the caller vmaps.

    Attributes:
        start: score of a sentence's first label, [K].
        stop: score of a sentence's last label, [K].
        pairs: score of label j after label i at [i, j], [K, K].
    """

    start: Array
    stop: Array
    pairs: Array

    @classmethod
    def zeros(cls, labels: int) -> "Transitions":
        """Transitions without a say, for decoding a softmax head and to begin training from."""
        return cls(jnp.zeros(labels), jnp.zeros(labels), jnp.zeros((labels, labels)))


def log_partitions(emissions: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
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
    alpha, level = _forward(jax.nn.logsumexp, _time_first(emissions, mask), transitions, continues)
    return jnp.where(ends, jax.nn.logsumexp(alpha + transitions.stop[None, None], axis=-1) + level, 0.0).T


def log_partition(emissions: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
    """Sum of `log_partitions` over the batch's sentences, in nats, []."""
    return log_partitions(emissions, transitions, starts, mask).sum()


def token_scores(emissions: Array, labels: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
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
    before = jnp.roll(y, 1, axis=0)
    emitted = jnp.take_along_axis(_time_first(emissions, mask), y[..., None], -1)[..., 0]
    entered = jnp.where(continues, transitions.pairs[before, y], transitions.start[y])
    return jnp.where(mask, (emitted + entered + jnp.where(ends, transitions.stop[y], 0.0)).T, 0.0)


def sequence_score(emissions: Array, labels: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
    """Score of a labelling, summed over the batch's sentences, in nats, []; arguments as in `token_scores`."""
    return token_scores(emissions, labels, transitions, starts, mask).sum()


def negative_log_likelihood(
    emissions: Array, labels: Array, transitions: Transitions, starts: Array, mask: Array
) -> Array:
    """-log p(labels), summed over the batch's sentences, in nats, []; the caller divides by sentences or tokens.

    It is the log-partition of emissions relative to the labelling's own scores, so a confident model's loss is not the
    difference of two large numbers. Sentences without labels are left out by a mask that is False on them.

    Args:
        emissions: [R, T, K], anything on padding.
        labels: from 0 to K - 1, anything on padding, [R, T] int.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.
    """
    own = token_scores(emissions, labels, transitions, starts, mask)
    return log_partition(emissions - own[..., None], transitions, starts, mask)


def marginals(emissions: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
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


def log_marginals(emissions: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
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
    forward, backward = _forward_backward(emissions, transitions, _bounds(starts, mask)[0])
    log_p = jax.nn.log_softmax(forward + backward - emissions, -1)  # either variable holds the token's own emission
    return jnp.where(mask[..., None], log_p.swapaxes(0, 1), 0.0)


def log_conditionals(emissions: Array, transitions: Transitions, starts: Array, mask: Array) -> Array:
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
    _, backward = _forward_backward(emissions, transitions, continues)
    entering = jnp.where(continues[..., None, None], transitions.pairs, transitions.start)
    log_p = jax.nn.log_softmax(entering + backward[:, :, None], -1)
    return jnp.where(mask[..., None, None], log_p.swapaxes(0, 1), 0.0)


def viterbi(emissions: Array, transitions: Transitions, starts: Array, mask: Array) -> tuple[Array, Array]:
    """The labelling of the highest score; among equal ones the lowest label, decided from each sentence's end.

    Args:
        emissions: [R, T, K], anything on padding.
        transitions: of one task.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        labels, 0 on padding, [R, T] int32; their `sequence_score`, [].
    """
    continues, ends = _bounds(starts, mask)
    best, _ = _forward(jnp.max, _time_first(emissions, mask), transitions, continues)
    leave_end = jnp.argmax(best + transitions.stop[None, None], -1)

    def step(after: Array, at: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        best, leave_end, ends = at
        label = jnp.where(ends, leave_end, jnp.argmax(best + transitions.pairs.T[after], -1))
        return label, label

    _, labels = jax.lax.scan(step, jnp.zeros_like(leave_end[0]), (best, leave_end, ends), reverse=True)
    labels = jnp.where(mask, labels.T, 0).astype(jnp.int32)
    return labels, sequence_score(emissions, labels, transitions, starts, mask)


def allowed_transitions(labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """What IOB2 allows: I-X stands only after B-X or I-X.

    Args:
        labels: "O", "B-X" and "I-X" of any entity types X, K of them.

    Returns:
        start_ok [K] bool, which labels may open a sentence; pair_ok [K, K] bool, whether label j may follow label i.

    Raises:
        InputError: a label is none of these.

    >>> start_ok, pair_ok = allowed_transitions(("O", "B-Gene", "I-Gene"))
    >>> start_ok.tolist(), pair_ok[0].tolist(), pair_ok[1].tolist()
    ([True, True, False], [True, True, False], [True, True, True])
    """
    for label in labels:
        if label != "O" and label[:2] not in ("B-", "I-"):
            raise InputError(f"label {label!r} is not IOB2: give labels 'O', 'B-TYPE' and 'I-TYPE'")
    start_ok = np.array([not label.startswith("I-") for label in labels])
    pair_ok = np.array(
        [[ok or before[1:] == label[1:] for ok, label in zip(start_ok, labels, strict=True)] for before in labels]
    )
    return start_ok, pair_ok


def constrain(transitions: Transitions, labels: Sequence[str]) -> Transitions:
    """Transitions with those that IOB2 forbids at FORBIDDEN_TRANSITION, for decoding and for training a CRF.

    Finite, so that no difference of infinities becomes a NaN. Large enough: any illegal path becomes legal by turning
    one I-X a step into B-X, so an illegal step could pay only where that exchange costs 1e4 nats, in the emissions of
    one token and its two transitions. Small enough: exp(-1e4) is exactly 0 in float32, where exp(-104) is already, so
    forbidden paths add nothing to a partition. In training, a labelling that is itself illegal costs 1e4 nats a step.

    Args:
        transitions: of one task.
        labels: its K labels.

    Returns:
        New transitions; what is forbidden has no gradient.

    Raises:
        InputError: a label is not IOB2.
    """
    start_ok, pair_ok = allowed_transitions(labels)
    return Transitions(
        jnp.where(start_ok, transitions.start, FORBIDDEN_TRANSITION),
        transitions.stop,
        jnp.where(pair_ok, transitions.pairs, FORBIDDEN_TRANSITION),
    )


def _bounds(starts: Array, mask: Array) -> tuple[Array, Array]:
    """Whether a token has a predecessor in its sentence, and whether it is its sentence's last, both [T, R]."""
    starts, mask = starts.T, mask.T
    continues = mask[1:] & mask[:-1] & ~starts[1:]
    edge = jnp.zeros_like(mask[:1])
    return jnp.concatenate([edge, continues]), mask & ~jnp.concatenate([continues, edge])


def _time_first(emissions: Array, mask: Array) -> Array:
    """Emissions as [T, R, K], at least float32, 0 on padding."""
    emissions = emissions.astype(jnp.promote_types(emissions.dtype, jnp.float32))
    return jnp.where(mask[..., None], emissions, 0.0).swapaxes(0, 1)


def _forward(
    reduce: Callable[..., Array], emissions: Array, transitions: Transitions, continues: Array
) -> tuple[Array, Array]:
    """The forward variable in the semiring of a reduction: log-sum-exp, or the maximum.

    Args:
        reduce: takes an array and an axis.
        emissions: [T, R, K].
        transitions: of one task.
        continues: [T, R].

    Returns:
        The variable less its maximum, [T, R, K], and that maximum, summed from the sentence's start, [T, R].
    """

    def step(carry: tuple[Array, Array], at: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        alpha, level = carry
        emission, goes_on = at
        entered = reduce(alpha[:, :, None] + transitions.pairs[None], axis=1)
        alpha = jnp.where(goes_on[:, None], entered, transitions.start[None]) + emission
        top = jax.lax.stop_gradient(alpha.max(-1))
        carry = alpha - top[:, None], jnp.where(goes_on, level, 0.0) + top
        return carry, carry

    first = emissions[0]
    return jax.lax.scan(step, (jnp.zeros_like(first), jnp.zeros_like(first[:, 0])), (emissions, continues))[1]


def decode(
    emissions: Array, transitions: Transitions | None, penalty: Transitions | None, starts: Array, mask: Array
) -> Array:
    """The best labels of every sentence.

    Args:
        emissions: logits of one task, those of labels that it does not have far below all others, [R, T, K].
        transitions: of a CRF head; None for a softmax head.
        penalty: added to the transitions, to rule out what must not be; None where nothing is ruled out.
        starts: whether a sentence starts here, [R, T] bool.
        mask: whether a token is real, [R, T] bool.

    Returns:
        [R, T] int32, 0 on padding. Of a softmax head they are each token's likeliest or, with a penalty, the likeliest
        sequence that is left; of a CRF head the sequence of the highest score.
    """
    if transitions is None and penalty is None:
        return jnp.where(mask, emissions.argmax(-1), 0).astype(jnp.int32)
    if transitions is None:
        emissions, transitions = jax.nn.log_softmax(emissions), Transitions.zeros(emissions.shape[-1])
    if penalty is not None:
        transitions = jax.tree.map(jnp.add, transitions, penalty)
    return viterbi(emissions, transitions, starts, mask)[0]


def _levelled(emissions: Array) -> Array:
    """Emissions with a maximum of 0, so that adding and taking them off again costs no digits; no posterior differs."""
    return emissions - jax.lax.stop_gradient(emissions.max(-1, keepdims=True))


def _forward_backward(emissions: Array, transitions: Transitions, continues: Array) -> tuple[Array, Array]:
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
    mirrored = Transitions(transitions.stop, transitions.start, transitions.pairs.T)
    ways = (emissions, transitions, continues), (emissions[::-1], mirrored, has_next[::-1])
    both = jax.tree.map(lambda *way: jnp.stack(way), *ways)
    forward, backward = jax.vmap(lambda *way: _forward(jax.nn.logsumexp, *way)[0])(*both)
    return forward, backward[::-1]
