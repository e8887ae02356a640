"""The two recursions of a chain of labels: step by step on a CPU, by doubling on an accelerator.

Both go on with what they have found for the token before (or after), a loop of a few tiny operations a token, whose
launches are all that it costs on an accelerator. What a token does to the variable that reaches it is a function of a
family that is closed under composition: a matrix [K, K] in the semiring of the reduction for the forward variable, a
table [K] from label to label for the way back. Composition is associative, so all prefixes are found in 2 log T rounds
over all tokens at once (Blelloch 1990; for hidden Markov models Särkkä and García-Fernández 2021), with K times the
arithmetic: worth it where arithmetic is free, and never on a CPU.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int

from kd_jax.structs import Array

Reduce = Callable[..., Array]
Levelled = tuple[Float[Array, "T R K"], Float[Array, "T R"]]

MOST_LABELS = 16  # of a chain that goes by doubling: a token has K^2 numbers there


class Chain(NamedTuple):
    """What the forward variable goes through, from the first token to the last.

    Attributes:
        emissions: [T, R, K].
        start: score of a sentence's first label, [K].
        pairs: score of label j after label i at [i, j], [K, K].
        continues: whether a token has a predecessor in its sentence, [T, R]; none of t = 0 has.
    """

    emissions: Float[Array, "T R K"]
    start: Float[Array, "K"]
    pairs: Float[Array, "K K"]
    continues: Bool[Array, "T R"]


def forward(reduce: Reduce, chain: Chain) -> Levelled:
    """The forward variable in the semiring of a reduction: log-sum-exp, or the maximum.

    Args:
        reduce: takes an array and an axis.
        chain: what is summed over, or maximised.

    Returns:
        The variable less its maximum, [T, R, K], and that maximum, summed from the sentence's start, [T, R].
    """
    forms = partial(forward_by_step, reduce), partial(forward_by_doubling, reduce)
    return cast(Levelled, _as_suits(*forms, chain.emissions.shape, chain))


def way_back(
    best: Float[Array, "T R K"], last: Int[Array, "T R"], pairs: Float[Array, "K K"], ends: Bool[Array, "T R"]
) -> Int[Array, "T R"]:
    """Labels of the best paths, read from their ends.

    Args:
        best: forward variable in the semiring of the maximum, [T, R, K].
        last: best label of a token that is its sentence's last, [T, R].
        pairs: score of label j after label i at [i, j], [K, K].
        ends: whether a token is its sentence's last, [T, R].

    Returns:
        [T, R]; among equal ones the lowest label. Anything where no sentence is.
    """
    return _as_suits(way_back_by_step, way_back_by_doubling, best.shape, best, last, pairs, ends)


def _as_suits(by_step: Callable[..., Any], by_doubling: Callable[..., Any], shape: tuple[Any, ...], *given: Any) -> Any:
    """One of two forms, decided where the program is compiled: it may be exported for a device that is not here."""
    steps, _, labels = shape
    if labels > MOST_LABELS or not isinstance(steps, int):  # rows of any length, in a program that is shipped
        return by_step(*given)
    return lax.platform_dependent(*given, cpu=by_step, default=by_doubling)


def forward_by_step(reduce: Reduce, chain: Chain) -> Levelled:
    """`forward` by a scan over the tokens."""
    emissions, start, pairs, continues = chain

    def step(carry: tuple[Array, Array], at: tuple[Array, Array]) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        alpha, level = carry
        emission, goes_on = at
        entered = reduce(alpha[:, :, None] + pairs[None], axis=1)
        alpha = jnp.where(goes_on[:, None], entered, start[None]) + emission
        # What is subtracted here is added to the level: their sum does not depend on it, nor does any gradient.
        top = lax.stop_gradient(alpha.max(-1))
        carry = alpha - top[:, None], jnp.where(goes_on, level, 0.0) + top
        return carry, carry

    # The zeros are never read: no first token of a row continues anything.
    first = emissions[0]
    return lax.scan(step, (jnp.zeros_like(first), jnp.zeros_like(first[:, 0])), (emissions, continues))[1]


def forward_by_doubling(reduce: Reduce, chain: Chain) -> Levelled:
    """`forward` by products of the tokens' matrices, [T, K, K, R]: rows last, since labels are few."""
    emissions, start, pairs, continues = chain
    emissions = emissions.swapaxes(1, 2)
    # A sentence's first token forgets the label before it: every row of its matrix is the same.
    entering = jnp.where(continues[:, None, None], pairs[..., None], start[None, :, None])

    def levelled(scores: Array, level: Array | float) -> tuple[Array, Array]:
        top = lax.stop_gradient(scores.max((1, 2)))
        return scores - top[:, None, None], level + top

    def compose(early: tuple[Array, ...], late: tuple[Array, ...]) -> tuple[Array, ...]:
        (scores, level, goes_on), (late_scores, late_level, late_goes_on) = early, late
        through = reduce(scores[:, :, :, None] + late_scores[:, None], axis=2)
        # What begins anew takes no number of what is before it, not even one that is multiplied by 0.
        through = jnp.where(late_goes_on[:, None, None], through, late_scores)
        level = jnp.where(late_goes_on, level, 0.0) + late_level
        return *levelled(through, level), goes_on & late_goes_on

    scores, level, _ = lax.associative_scan(compose, (*levelled(entering + emissions[:, None], 0.0), continues))
    return scores[:, 0].swapaxes(1, 2), level


def way_back_by_step(
    best: Float[Array, "T R K"], last: Int[Array, "T R"], pairs: Float[Array, "K K"], ends: Bool[Array, "T R"]
) -> Int[Array, "T R"]:
    """`way_back` by a scan over the tokens."""

    # No back pointers are kept: the best label before y is argmax_i(best[i] + pairs[i, y]), and read from the end only
    # one y a token is asked for, K sums in place of K^2 pointers.
    def step(after: Array, at: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        best, last, ends = at
        label = jnp.where(ends, last, jnp.argmax(best + pairs.T[after], -1))
        return label, label

    return lax.scan(step, jnp.zeros_like(last[0]), (best, last, ends), reverse=True)[1]


def way_back_by_doubling(
    best: Float[Array, "T R K"], last: Int[Array, "T R"], pairs: Float[Array, "K K"], ends: Bool[Array, "T R"]
) -> Int[Array, "T R"]:
    """`way_back` by composing the tokens' back pointers, [T, K, R]: from the label after to the label here."""
    before = jnp.argmax(best.swapaxes(1, 2)[:, :, None] + pairs[None, ..., None], 1)
    pointers = jnp.where(ends[:, None], last[:, None], before)

    def compose(late: Array, early: Array) -> Array:
        # A label is picked by comparison: gathers of single numbers are what a TPU does worst.
        labels = jnp.arange(early.shape[-2])[None, :, None, None]
        return jnp.where(labels == late[:, None], early[:, :, None], 0).sum(1)

    return lax.associative_scan(compose, pointers, reverse=True)[:, 0]
