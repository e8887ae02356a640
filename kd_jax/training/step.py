"""One lane: its state, its train step, and many steps in one scan. Nothing here knows how many lanes there are."""

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

FINITE = -1


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
        moments: Adam's state, of the parameters' shapes.
        key: the lane's random key; a step's randomness is a function of (key, step).
        weights: of the loss terms.
        diverged_at: the step at which loss or gradient was not finite, after which nothing changes; else FINITE.
    """

    step: Array
    params: Any
    moments: optax.ScaleByAdamState
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


ADAM = optax.scale_by_adam()


def init_state(
    tagger: Tagger,
    head: Head,
    seed: Array,
    weights: LossWeights,
    tasks: int,
    word_rows: int,
    vectors: tuple[Array, Array] | None = None,
) -> TrainState:
    """A lane at its first step: a function of its seed and of the pretrained vectors.

    Args:
        tagger: the module.
        head: with a CRF, parameters have its transitions too, under "crf".
        seed: int32 scalar.
        weights: of the loss terms, scalars.
        tasks: number of branches, B.
        word_rows: rows of the word table, W.
        vectors: pretrained rows of the word table, [W, D], and which there are, [W]; the others are random.
    """
    init_key, key = jax.random.split(jax.random.key(seed))
    params = init_params(tagger, init_key, tasks, word_rows)
    if vectors is not None:
        table, there = vectors
        params["words"] = jnp.where(there[:, None], table, params["words"])
    if head == "crf":
        params["crf"] = jax.tree.map(lambda x: jnp.stack([x] * tasks), Transitions.zeros(tagger.labels)._asdict())
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        moments=ADAM.init(params),
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


def _select(tree: Any, batch: Batches) -> Any:
    """The part of a parameter-shaped tree that a batch touches: its words, the encoder, what its task has."""
    of_task = {name: jax.tree.map(lambda x: x[batch.task], tree[name]) for name in tree.keys() & {"branch", "crf"}}
    words = tree["words"].at[batch.word].get(mode="fill", fill_value=0.0)
    return {"words": words, "encoder": tree["encoder"], **of_task}


def _insert(tree: Any, part: Any, batch: Batches, frozen_words: bool) -> Any:
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
    knowledge: Outputs | None,
    train_words_now: Array | None = None,
) -> tuple[TrainState, Sums]:
    """One update of one lane by one batch of one corpus.

    Adam is exact for all that a batch touches and leaves the rest as it is: words that are not in the batch and the
    branches of other tasks move neither by gradient nor by momentum.

    Args:
        tagger: the module.
        settings: of the run.
        state: the lane.
        batch: one step of `Batches`.
        data: tokens on the device.
        knowledge: the teacher's outputs of all N tokens, fields [N, ...] or None; or None.
        train_words_now: whether word vectors are trained yet, bool scalar; None where they are from the start or never.

    Returns:
        The next state and the batch's sums.
    """
    read = read_batch(batch, data)
    mask, token = read.mask.T, jnp.maximum(batch.token, 0).T
    count, label, known = mask.sum(), data.label[token], mask & data.labelled[token]
    singles_key, dropout_key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step))
    teacher = None if knowledge is None else Outputs(*(None if x is None else x[token] for x in knowledge))
    train_words = settings.model.words.update == "trained"

    def loss_of(part: Any) -> Array:
        seen = replace_singles(singles_key, read, settings.train.unknown_rate)
        words = part["words"] if train_words else lax.stop_gradient(part["words"])
        student = _run(tagger, part, seen, words, dropout_key)
        emissions = mask_labels(student.logits, data.valid[batch.task])
        transitions, penalty = _transitions(part), _penalty(data, batch.task)
        if transitions is None:
            supervised = losses.cross_entropy(emissions, label, known)
        else:
            allowed = transitions if penalty is None else jax.tree.map(jnp.add, transitions, penalty)
            rows = emissions.swapaxes(0, 1), label.T, allowed, batch.starts, known.T
            supervised = crf.negative_log_likelihood(*rows)
        return losses.total(supervised, student, teacher, state.weights, mask, settings.distill) / jnp.maximum(count, 1)

    part = _select(state.params, batch)
    mean_loss, gradient = jax.value_and_grad(loss_of)(part)
    if train_words_now is not None:  # Adam leaves rows without any gradient so far exactly as they are
        gradient["words"] = jnp.where(train_words_now, gradient["words"], 0.0)
    norm = optax.tree.norm(gradient)
    finite = jnp.isfinite(mean_loss) & jnp.isfinite(norm)
    wanted = (batch.rate > 0) & (state.diverged_at == FINITE)
    scale = jnp.minimum(1.0, settings.train.clip_norm / jnp.maximum(norm, 1e-12))
    before = optax.ScaleByAdamState(
        state.moments.count, _select(state.moments.mu, batch), _select(state.moments.nu, batch)
    )
    direction, after = ADAM.update(jax.tree.map(lambda g: g * scale, gradient), before)
    moved = jax.tree.map(lambda p, d: p - batch.rate * d, part, direction)

    go = finite & wanted
    moved, mu, nu = jax.tree.map(
        lambda new, old: jnp.where(go, new, old), (moved, after.mu, after.nu), (part, before.mu, before.nu)
    )
    next_state = state._replace(
        step=state.step + go,
        params=_insert(state.params, moved, batch, not train_words),
        moments=optax.ScaleByAdamState(
            state.moments.count + go,
            _insert(state.moments.mu, mu, batch, not train_words),
            _insert(state.moments.nu, nu, batch, not train_words),
        ),
        diverged_at=jnp.where(wanted & ~finite, state.step, state.diverged_at),
    )
    return next_state, Sums(jnp.where(go, mean_loss * count, 0.0), jnp.where(go, count, 0))


def train_steps(
    tagger: Tagger,
    settings: Settings,
    state: TrainState,
    batches: Batches,
    data: TokenData,
    knowledge: Outputs | None,
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
        emissions = mask_labels(apply(tagger, params, batch, data).logits, data.valid[batch.task]).swapaxes(0, 1)
        transitions, penalty = _transitions(_select(params, batch)), _penalty(data, batch.task)
        return decode(emissions, transitions, penalty, batch.starts, batch.token != NO_TOKEN)

    return lax.map(one, batches)


def apply(tagger: Tagger, params: Any, batch: Batches, data: TokenData) -> Outputs:
    """A lane's outputs for one batch, dropout off; time first."""
    part = _select(params, batch)
    return _run(tagger, part, read_batch(batch, data), part["words"], None)


def _run(tagger: Tagger, part: Any, batch: Batch, words: Array, key: Array | None) -> Outputs:
    outputs = tagger.apply({"params": {name: part[name] for name in ("encoder", "branch")}}, batch, words, key)
    return cast(Outputs, outputs)
