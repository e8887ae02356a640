"""From logits to labels: token by token, or by the best path through a sentence."""

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from kd_jax.models.crf import Transitions, viterbi
from kd_jax.structs import Array


def decode(
    emissions: Float[Array, "R T K"],
    transitions: Transitions | None,
    penalty: Transitions | None,
    starts: Bool[Array, "R T"],
    mask: Bool[Array, "R T"],
) -> Int[Array, "R T"]:
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
        # A softmax head's labels are independent: a chain without transitions, in which the penalty alone rules out.
        emissions, transitions = jax.nn.log_softmax(emissions), Transitions.zeros(emissions.shape[-1])
    if penalty is not None:
        transitions = jax.tree.map(jnp.add, transitions, penalty)
    return viterbi(emissions, transitions, starts, mask)[0]
