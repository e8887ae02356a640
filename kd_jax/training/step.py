"""One lane: its state, its train step, and many steps in one scan. Nothing here knows how many lanes there are."""

from functools import lru_cache
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import lax

from kd_jax.data.packing import NO_TOKEN, Batches
from kd_jax.data.vocab import Forms
from kd_jax.models import crf
from kd_jax.models.crf import Transitions, decode
from kd_jax.models.tagger import Batch, Tagger, init_params, mask_labels, replace_singles
from kd_jax.settings import Head, Settings
from kd_jax.structs import Array, LossWeights, Outputs
from kd_jax.training import losses
from kd_jax.training.objective import Knowledge, Sentences, loss_terms

FINITE = -1
OptState = tuple[optax.EmptyState, optax.ScaleByAdamState]
"""Of `optimizer`: clipping has none, Adam its count and moments."""


class TokenData(NamedTuple):
    """What all lanes read, on the device.

    Attributes:
        forms: tables over distinct surface forms, F rows.
        label: gold label of each token in its own corpus, [N] int32.
        labelled: whether a token's label is known, [N] bool.
        valid: labels that each task has, [B, K] bool.
        penalty: added to transitions to rule out what must not be, fields with a leading [B]; None for nothing.
    """

    forms: Forms
    label: Array
    labelled: Array
    valid: Array
    penalty: Transitions | None


class TrainState(NamedTuple):
    """Everything a lane is.

    Attributes:
        step: updates made, int32.
        params: as `init_params` gives them.
        opt_state: the state of `optimizer`, moments of the parameters' shapes.
        key: the lane's random key; a step's randomness is a function of (key, step).
        weights: of the loss terms.
        diverged_at: the step at which loss or gradient was not finite, after which nothing changes; else FINITE.
    """

    step: Array
    params: Any
    opt_state: OptState
    key: Array
    weights: LossWeights
    diverged_at: Array


class Sums(NamedTuple):
    """Sums over steps, divided once by whoever shows them.

    Attributes:
        loss: over tokens.
        tokens: real ones.
    """

    loss: Array
    tokens: Array


class Start(NamedTuple):
    """What lanes start from besides their seeds; shared by the lanes of a program.

    Attributes:
        label_bias: the output layer's bias of models that learn from gold labels, [B, K] float32.
        teacher_bias: that of students that learn from a teacher alone, [K] float32; None without a teacher.
        transitions: of a CRF student without gold labels, its teacher's, [K, K] and [K]; None for zeros.
        vectors: pretrained rows of the word table, [W, D], and which there are, [W] bool; None where all are random.
        parameters: an encoder and a branch to start from, as `teachers_parameters` gives them; None for random ones.
        stream: of random numbers, int32: teachers' and students' have nothing in common.
    """

    label_bias: Array
    teacher_bias: Array | None = None
    transitions: Transitions | None = None
    vectors: tuple[Array, Array] | None = None
    parameters: Any = None
    stream: Array | int = 0


@lru_cache
def optimizer(settings: Settings) -> optax.GradientTransformation:
    """Clipping by the global norm, then Adam's direction; the learning rate comes with each batch."""
    return optax.chain(optax.clip_by_global_norm(settings.train.clip_norm), optax.scale_by_adam())


def init_state(
    tagger: Tagger,
    settings: Settings,
    head: Head,
    seed: Array,
    weights: LossWeights,
    word_rows: int,
    start: Start,
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
    """
    init_key, key = jax.random.split(jax.random.fold_in(jax.random.key(seed), start.stream))
    tasks = start.label_bias.shape[0]
    params = init_params(tagger, init_key, tasks, word_rows)
    taught_only = weights.alpha == 0
    bias = start.label_bias
    if start.teacher_bias is not None:
        bias = jnp.where(taught_only, start.teacher_bias[None], bias)
    params["branch"]["logits"]["bias"] = bias
    if start.parameters is not None:
        params["encoder"] = start.parameters["encoder"]
        params["branch"] = jax.tree.map(lambda x: x[None], start.parameters["branch"])
    if start.vectors is not None:
        table, there = start.vectors
        params["words"] = jnp.where(there[:, None], table, params["words"])
    if head == "crf":
        zeros = Transitions.zeros(tagger.labels)
        known = zeros if start.transitions is None else start.transitions
        chain = jax.tree.map(lambda zero, x: jnp.where(taught_only, x, zero), zeros, known)
        params["crf"] = jax.tree.map(lambda x: jnp.stack([x] * tasks), chain._asdict())
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=optimizer(settings).init(params),
        key=jax.random.key_data(key),
        weights=weights,
        diverged_at=jnp.full((), FINITE, jnp.int32),
    )


def read_batch(batch: Batches, data: TokenData) -> Batch:
    """What the tagger reads of one batch, [R, T] and [U]."""
    return Batch(
        mask=batch.token != NO_TOKEN,
        starts=batch.starts,
        form_index=batch.form_index,
        form_to_word=batch.form_to_word,
        forms=jax.tree.map(lambda table: table[batch.form], data.forms),
    )


def take(tree: Any, batch: Batches) -> Any:
    """The part of a parameter-shaped tree that a batch touches: its words, the encoder, what its task has."""
    of_task = {name: jax.tree.map(lambda x: x[batch.task], tree[name]) for name in tree.keys() & {"branch", "crf"}}
    words = tree["words"].at[batch.word].get(mode="fill", fill_value=0.0)
    return {"words": words, "encoder": tree["encoder"], **of_task}


def put(tree: Any, part: Any, batch: Batches, frozen_words: bool) -> Any:
    """The tree with that part replaced; rows that do not exist are dropped."""
    of_task = {
        name: jax.tree.map(lambda x, y: x.at[batch.task].set(y), tree[name], part[name])
        for name in tree.keys() & {"branch", "crf"}
    }
    words = tree["words"] if frozen_words else tree["words"].at[batch.word].set(part["words"], mode="drop")
    return {"words": words, "encoder": part["encoder"], **of_task}


def _transitions(part: Any) -> Transitions | None:
    """A task's transitions; None for a softmax head."""
    return Transitions(**part["crf"]) if "crf" in part else None


def _penalty(data: TokenData, task: Array) -> Transitions | None:
    """What is ruled out for a task; None where nothing is."""
    return None if data.penalty is None else jax.tree.map(lambda x: x[task], data.penalty)


def train_step(
    tagger: Tagger,
    settings: Settings,
    state: TrainState,
    batch: Batches,
    data: TokenData,
    knowledge: Knowledge | None,
    train_words_now: Array | None = None,
) -> tuple[TrainState, Sums]:
    """One update of one lane by one batch of one corpus.

    The optimiser is lazy Adam: what a batch touches (its words, the encoder, its task's branch) is updated as Adam
    would, with one count of updates for all; words that are not in the batch and the branches of other tasks move
    neither by gradient nor by momentum, and their moments do not decay (dense Adam does all three).

    Args:
        tagger: the module.
        settings: of the run.
        state: the lane.
        batch: one step of `Batches`.
        data: tokens on the device.
        knowledge: of the teacher, outputs of all N tokens, fields [N, ...] or None; None for no teacher.
        train_words_now: whether word vectors are trained yet, bool scalar; None where they are from the start or never.

    Returns:
        The next state and the batch's sums.
    """
    inputs = read_batch(batch, data)
    mask, token = inputs.mask, jnp.maximum(batch.token, 0)
    count, label, labelled = mask.sum(), data.label[token], mask & data.labelled[token]
    singles_key, dropout_key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step))
    teacher = None if knowledge is None else knowledge.at(token)
    valid = data.valid[batch.task]
    frozen_words = settings.model.words.update == "frozen"

    def loss_fn(part: Any) -> Array:
        seen = replace_singles(singles_key, inputs, settings.train.unknown_rate)
        words = lax.stop_gradient(part["words"]) if frozen_words else part["words"]
        student = _run(tagger, part, seen, words, dropout_key)
        emissions, transitions = mask_labels(student.logits, valid), _transitions(part)
        if transitions is None:
            gold = losses.cross_entropy(emissions, label, labelled)
        else:
            gold = crf.negative_log_likelihood(emissions, label, transitions, batch.starts, labelled)
        if settings.train.label_smoothing:
            smoothed = losses.uniform_cross_entropy(student.logits, valid, labelled)
            gold += settings.train.label_smoothing * (smoothed - gold)
        where = Sentences(mask, batch.starts, jnp.expand_dims(valid, (0, 1)))
        gold_term = losses.Term(gold, labelled.sum())
        terms = loss_terms(gold_term, student, transitions, teacher, where, state.weights.tau, settings.distill)
        return losses.total(terms, state.weights)

    part, opt_part = take(state.params, batch), _take_moments(state.opt_state, batch)
    loss, grads = jax.value_and_grad(loss_fn)(part)
    if train_words_now is not None:  # Adam leaves rows without any gradient so far exactly as they are
        grads["words"] = jnp.where(train_words_now, grads["words"], 0.0)
    updates, new_opt_part = optimizer(settings).update(grads, opt_part)
    new_part = jax.tree.map(lambda p, u: p - batch.learning_rate * u, part, updates)

    # A lane that is not finite is frozen for good; an empty batch only fills the shape.
    finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
    wanted = (batch.learning_rate > 0) & (state.diverged_at == FINITE)
    apply_update = finite & wanted
    new_part, new_opt_part = jax.tree.map(
        lambda new, old: jnp.where(apply_update, new, old), (new_part, new_opt_part), (part, opt_part)
    )
    new_state = state._replace(
        step=state.step + apply_update,
        params=put(state.params, new_part, batch, frozen_words),
        opt_state=_put_moments(state.opt_state, new_opt_part, batch, frozen_words),
        diverged_at=jnp.where(wanted & ~finite, state.step, state.diverged_at),
    )
    return new_state, Sums(jnp.where(apply_update, loss * count, 0.0), jnp.where(apply_update, count, 0))


def _take_moments(opt_state: OptState, batch: Batches) -> OptState:
    """The optimiser's state of what a batch touches: moments are cut as the parameters are."""
    clip, adam = opt_state
    return clip, adam._replace(mu=take(adam.mu, batch), nu=take(adam.nu, batch))


def _put_moments(opt_state: OptState, part: OptState, batch: Batches, frozen_words: bool) -> OptState:
    """The optimiser's state with that part replaced."""
    (_, old), (clip, new) = opt_state, part
    mu, nu = put(old.mu, new.mu, batch, frozen_words), put(old.nu, new.nu, batch, frozen_words)
    return clip, new._replace(mu=mu, nu=nu)


def train_steps(
    tagger: Tagger,
    settings: Settings,
    state: TrainState,
    batches: Batches,
    data: TokenData,
    knowledge: Knowledge | None,
    train_words_now: Array | None = None,
) -> tuple[TrainState, Sums]:
    """S updates of one lane in one scan; arguments as of `train_step`, batches with a leading S."""

    def body(carry: TrainState, batch: Batches) -> tuple[TrainState, Sums]:
        return train_step(tagger, settings, carry, batch, data, knowledge, train_words_now)

    state, sums = lax.scan(body, state, batches)
    return state, jax.tree.map(lambda x: x.sum(0), sums)


def tag_steps(tagger: Tagger, params: Any, batches: Batches, data: TokenData) -> Array:
    """The best labels of every sentence as `kd_jax.models.decode.decode` finds them, dropout off.

    Args:
        tagger: the module.
        params: of one lane.
        batches: S batches.
        data: tokens on the device; labels are not read.

    Returns:
        Labels, 0 on padding, [S, R, T] int32.
    """

    def one(batch: Batches) -> Array:
        emissions = mask_labels(apply(tagger, params, batch, data).logits, data.valid[batch.task])
        transitions, penalty = _transitions(take(params, batch)), _penalty(data, batch.task)
        return decode(emissions, transitions, penalty, batch.starts, batch.token != NO_TOKEN)

    return lax.map(one, batches)


def apply(tagger: Tagger, params: Any, batch: Batches, data: TokenData) -> Outputs:
    """A lane's outputs for one batch, dropout off."""
    part = take(params, batch)
    return _run(tagger, part, read_batch(batch, data), part["words"], None)


def _run(tagger: Tagger, part: Any, batch: Batch, words: Array, key: Array | None) -> Outputs:
    outputs = tagger.apply({"params": {name: part[name] for name in ("encoder", "branch")}}, batch, words, key)
    return cast(Outputs, outputs)
