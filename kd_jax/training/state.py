"""What a lane is: parameters, optimiser, random key. How it begins."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Bool, Float, Int, Int32, UInt32

from kd_jax.models.crf import Transitions
from kd_jax.models.tagger import Tagger, init_params
from kd_jax.settings import Head, Settings
from kd_jax.structs import Array, LossWeights, Outputs
from kd_jax.training.projection import init_projections

FINITE = -1
PROJECTION_KEY = 2**31 - 1
OptState = tuple[optax.EmptyState, optax.ScaleByAdamState]
"""Of `optimizer`: clipping has none, Adam its count and moments."""


class TrainState(NamedTuple):
    """Everything a lane is; with a leading [L] over lanes.

    Attributes:
        step: updates made.
        params: as `init_params` gives them; "crf" of a CRF head, and "projection" where hidden states of a teacher of
            other widths are matched, as `kd_jax.training.projection` has it.
        opt_state: the state of `optimizer`, moments of the parameters' shapes.
        key: the lane's random key; a step's randomness is a function of (key, step).
        weights: of the loss terms.
        diverged_at: the step at which loss or gradient was not finite, after which nothing changes; else FINITE.
    """

    step: Int32[Array, "*L"]
    params: Any
    opt_state: OptState
    key: UInt32[Array, "*L 2"]
    weights: LossWeights
    diverged_at: Int32[Array, "*L"]


class Start(NamedTuple):
    """What lanes start from besides their seeds; shared by the lanes of a program.

    Attributes:
        label_bias: the output layer's bias of models that learn from gold labels, [B, K].
        teacher_bias: that of students that learn from a teacher alone, [K]; None without a teacher.
        transitions: of a CRF student without gold labels, its teacher's, [K, K] and [K]; None for zeros.
        vectors: pretrained rows of the word table, [W, D], and which exist, [W]; None where all are random.
        parameters: an encoder and a branch to start from, as `teachers_parameters` gives them; None for random ones.
        stream: of random numbers, int32: teachers' and students' have nothing in common.
    """

    label_bias: Float[Array, "B K"]
    teacher_bias: Float[Array, "K"] | None = None
    transitions: Transitions | None = None
    vectors: tuple[Float[Array, "W D"], Bool[Array, "W"]] | None = None
    parameters: Any = None
    stream: Int32[Array, ""] | int = 0


NO_HIDDEN = Outputs(None, None, None)
"""Widths of hidden states that are matched: none."""


ADAM = optax.scale_by_adam()
"""Directions of moments; the learning rate comes with each batch."""


@lru_cache
def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Clipping by the global norm, then Adam's direction."""
    return optax.chain(optax.clip_by_global_norm(settings.train.clip_norm), ADAM)


def init_state(
    tagger: Tagger,
    settings: Settings,
    head: Head,
    seed: Int[Array, ""],
    weights: LossWeights,
    word_rows: int,
    start: Start,
    matched: Outputs = NO_HIDDEN,
) -> TrainState:
    """A lane at its first step: a function of its seed and of what it starts from.

    The output layer starts at the log frequencies of the labels, so that the first loss is their entropy. From a zero
    bias the hidden layer carries the frequencies itself, and with a high learning rate saturates in doing so.

    Args:
        tagger: the module.
        settings: of the run.
        head: with a CRF, parameters have its transitions too, under "crf".
        seed: int32 scalar.
        weights: of the loss terms, scalars; with alpha = 0 a lane starts from its teacher's mean.
        word_rows: rows of the word table, W.
        start: what lanes share.
        matched: widths of the teacher's hidden states that are matched, None for those that are not.
    """
    init_key, key = jax.random.split(jax.random.fold_in(jax.random.key(seed), start.stream))
    tasks = start.label_bias.shape[0]
    params = init_params(tagger, init_key, tasks, word_rows)
    # Lanes of one program differ in their weights, so both starts are there and each lane picks its own.
    taught_only = weights.alpha == 0
    bias = start.label_bias
    if start.teacher_bias is not None:
        bias = jnp.where(taught_only, start.teacher_bias[None], bias)
    params["branch"]["logits"]["bias"] = bias
    if start.parameters is not None:
        params["encoder"] = start.parameters["encoder"]
        params["branch"] = jax.tree.map(lambda x: x[None], start.parameters["branch"])
    if start.vectors is not None:
        table, pretrained = start.vectors
        params["words"] = jnp.where(pretrained[:, None], table, params["words"])
    if head == "crf":
        zeros = Transitions.zeros(tagger.labels)
        teachers = zeros if start.transitions is None else start.transitions
        chain = jax.tree.map(lambda zero, x: jnp.where(taught_only, x, zero), zeros, teachers)
        params["crf"] = jax.tree.map(lambda x: jnp.stack([x] * tasks), chain._asdict())
    model = settings.model
    widths = Outputs(tagger.labels, 2 * model.task_units, 2 * model.shared_units)
    # A key that no part of the tagger has: its own initial values are the same with a projection and without.
    if projections := init_projections(jax.random.fold_in(init_key, PROJECTION_KEY), widths, matched):
        params["projection"] = projections
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer(settings).init(params),
        key=jax.random.key_data(key),  # plain integers, which checkpoints can hold and lanes be stacked from
        weights=weights,
        diverged_at=jnp.full((), FINITE, jnp.int32),
    )
