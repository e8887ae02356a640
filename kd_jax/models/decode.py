"""From logits to labels: one decoder for both heads, a softmax being a CRF whose transitions say nothing."""

from collections.abc import Sequence

import jax

from kd_jax.models.crf import Transitions, constrain, viterbi
from kd_jax.types import Array


def decode(
    logits: Array,
    transitions: Transitions | None,
    labels: Sequence[str],
    starts: Array,
    mask: Array,
    *,
    constrained: bool,
) -> tuple[Array, Array]:
    """The most probable labelling of every sentence.

    Args:
        logits: [R, T, K'], K' at least K: what a task's K labels leave over is not looked at.
        transitions: of a CRF head, of K' labels; None for a softmax head.
        labels: the task's K labels.
        starts: whether a sentence starts here, [R, T] bool.
        mask: whether a token is real, [R, T] bool.
        constrained: only what IOB2 allows; else a softmax head's labels are each token's own best.

    Returns:
        labels, 0 on padding, [R, T] int32; their log-probability (softmax) or score (CRF) over the batch, [].

    Raises:
        InputError: constrained, and a label is not IOB2.
    """
    k = len(labels)
    emissions = logits[..., :k]
    if transitions is None:
        emissions, transitions = jax.nn.log_softmax(emissions), Transitions.zeros(k)
    else:
        transitions = Transitions(transitions.start[:k], transitions.stop[:k], transitions.pairs[:k, :k])
    return viterbi(emissions, constrain(transitions, labels) if constrained else transitions, starts, mask)
