"""One lane's train step, many steps in one scan, and tagging. Nothing here knows how many lanes there are.

Parameters and states are as `kd_jax.training.held` gives them.
"""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Bool, Float, Int, Int32, PRNGKeyArray

from kd_jax.data.packing import NO_TOKEN, Batches
from kd_jax.data.vocab import Forms
from kd_jax.models import crf, tiled
from kd_jax.models.crf import Transitions
from kd_jax.models.decode import decode
from kd_jax.models.execution import Execution
from kd_jax.models.tagger import Batch, Tagger, mask_labels, replace_singles
from kd_jax.models.tiled import Squares
from kd_jax.settings import Settings
from kd_jax.structs import Array, LossWeights, Outputs
from kd_jax.training import losses
from kd_jax.training.objective import Knowledge, Sentences, loss_terms
from kd_jax.training.parts import at_task, put_touched, take, take_touched
from kd_jax.training.projection import project
from kd_jax.training.state import FINITE, TrainState
from kd_jax.training.update import directions


class TokenData(NamedTuple):
    """What all lanes read, on the device.

    Attributes:
        forms: tables over distinct surface forms, F rows.
        label: gold label of each token in its own corpus, [N].
        labelled: whether a token's label is known, [N].
        valid: labels that each task has, [B, K].
        penalty: added to transitions to rule out what must not be, fields with a leading [B]; None for nothing.
    """

    forms: Forms
    label: Int32[Array, "N"]
    labelled: Bool[Array, "N"]
    valid: Bool[Array, "B K"]
    penalty: Transitions | None


class Targets(NamedTuple):
    """What the outputs of one batch are compared with.

    Attributes:
        label: gold labels, anything where they are not known, [R, T].
        labelled: tokens that are real and whose label is known, [R, T].
        teacher: what it says of the batch's tokens; None for no teacher.
        valid: labels that the batch's task has, [K].
    """

    label: Int32[Array, "R T"]
    labelled: Bool[Array, "R T"]
    teacher: Knowledge | None
    valid: Bool[Array, "K"]


class Sums(NamedTuple):
    """Sums over steps, divided once, where they are shown.

    Attributes:
        loss: over tokens.
        tokens: real ones.
    """

    loss: Float[Array, "*S"]
    tokens: Int[Array, "*S"]


def read_batch(batch: Batches, data: TokenData) -> Batch:
    """What the tagger reads of one batch, [R, T] and [U]."""
    return Batch(
        mask=batch.token != NO_TOKEN,
        starts=batch.starts,
        form_index=batch.form_index,
        form_to_word=batch.form_to_word,
        forms=_forms(batch, data),
    )


def _forms(batch: Batches, data: TokenData) -> Forms:
    if batch.known is None:
        return jax.tree.map(lambda table: table[batch.form], data.forms)
    return Forms(batch.form_to_word, batch.known.chars.T, batch.known.single)


def read_targets(batch: Batches, data: TokenData, knowledge: Knowledge | None, how: Execution) -> Targets:
    """What the outputs of one batch are compared with; padding reads token 0, and is masked wherever it would count."""
    token, known = jnp.maximum(batch.token, 0), batch.known
    return Targets(
        label=data.label[token] if known is None else known.label,
        labelled=(batch.token != NO_TOKEN) & (data.labelled[token] if known is None else known.labelled),
        teacher=None if knowledge is None else knowledge.at(token),
        valid=at_task(data.valid, batch, how),
    )


def _transitions(params: Any) -> Transitions | None:
    """A task's transitions; None for a softmax head."""
    return Transitions(**params["crf"]) if "crf" in params else None


def _penalty(data: TokenData, task: Int[Array, ""]) -> Transitions | None:
    """What is ruled out for a task; None where nothing is."""
    return None if data.penalty is None else jax.tree.map(lambda x: x[task], data.penalty)


def batch_loss(
    params: Any,
    tagger: Tagger,
    settings: Settings,
    inputs: Batch,
    targets: Targets,
    weights: LossWeights,
    key: PRNGKeyArray,
    squares: Squares | None = None,
) -> Float[Array, ""]:
    """The loss of one batch: equations (2) to (5), or their standardised forms.

    Args:
        params: what the batch touches, as `take` gives it.
        tagger: the module.
        settings: of the run.
        inputs: what the tagger reads.
        targets: what its outputs are compared with.
        weights: of the terms, scalars.
        key: for dropout and unknown words.
        squares: of a program whose parameters are tiled, as `kd_jax.models.tiled.outputs` has them.

    Returns:
        Scalar, a weighted sum of means over tokens.
    """
    singles_key, dropout_key = jax.random.split(key)
    seen = replace_singles(singles_key, inputs, settings.train.unknown_rate)
    words = lax.stop_gradient(params["words"]) if settings.model.words.update == "frozen" else params["words"]
    hidden = targets.teacher is not None and targets.teacher.outputs.shared_hidden is not None
    student = run_tagger(tagger, params, seen, words, dropout_key, squares, hidden=hidden)
    transitions = _transitions(params)
    emissions = mask_labels(student.logits, targets.valid)
    if transitions is None:
        gold = losses.cross_entropy(emissions, targets.label, targets.labelled)
    else:
        gold = crf.negative_log_likelihood(emissions, targets.label, transitions, inputs.starts, targets.labelled)
    if settings.train.label_smoothing:
        smoothed = losses.uniform_cross_entropy(student.logits, targets.valid, targets.labelled)
        gold += settings.train.label_smoothing * (smoothed - gold)
    known = None if targets.teacher is None else targets.teacher.known
    matched = inputs.mask if known is None else inputs.mask & known
    where = Sentences(matched, inputs.starts, jnp.expand_dims(targets.valid, (0, 1)))
    gold_term = losses.Term(gold, targets.labelled.sum())
    compared = project(params.get("projection", {}), student)
    terms = loss_terms(gold_term, compared, transitions, targets.teacher, where, weights.tau, settings.distill)
    return losses.total(terms, weights)


def train_step(
    tagger: Tagger,
    settings: Settings,
    state: TrainState,
    batch: Batches,
    data: TokenData,
    knowledge: Knowledge | None,
    train_words_now: Bool[Array, ""] | None = None,
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
        train_words_now: whether word vectors are trained yet; None where they are from the start or never.

    Returns:
        The next state and the batch's sums.
    """
    inputs, targets = read_batch(batch, data), read_targets(batch, data, knowledge, tagger.how)
    # Randomness is a function of (key, step) and no key is carried on, so a run that resumes draws what it would have.
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)

    params, opt_state = take_touched(state, batch, tagger.how)
    rest = tagger, settings, inputs, targets, state.weights, key
    squares = None
    if tiled.is_tiled(tagger):
        loss, (grads, squares) = jax.value_and_grad(batch_loss, (0, 7))(params, *rest, Squares.of_none())
    else:
        loss, grads = jax.value_and_grad(batch_loss)(params, *rest)
    if train_words_now is not None:  # Adam leaves rows without any gradient so far exactly as they are
        grads["words"] = jnp.where(train_words_now, grads["words"], 0.0)
    updates, new_opt_state, norm = directions(settings, grads, opt_state, squares)
    new_params = jax.tree.map(lambda p, u: p - batch.learning_rate * u, params, updates)

    # A lane that is not finite is frozen for good; an empty batch only fills the shape. A lane can't stop by itself in
    # a program of many, so the update is computed either way and thrown away here.
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    wanted = (batch.learning_rate > 0) & (state.diverged_at == FINITE)
    apply_update = finite & wanted
    new_params, new_opt_state = jax.tree.map(
        lambda new, old: jnp.where(apply_update, new, old), (new_params, new_opt_state), (params, opt_state)
    )
    frozen_words = settings.model.words.update == "frozen"
    new_state = put_touched(state, new_params, new_opt_state, batch, frozen_words, tagger.how)._replace(
        step=state.step + apply_update,
        diverged_at=jnp.where(wanted & ~finite, state.step, state.diverged_at),
    )
    tokens = inputs.mask.sum()
    return new_state, Sums(jnp.where(apply_update, loss * tokens, 0.0), jnp.where(apply_update, tokens, 0))


def train_steps(
    tagger: Tagger,
    settings: Settings,
    state: TrainState,
    batches: Batches,
    data: TokenData,
    knowledge: Knowledge | None,
    train_words_now: Bool[Array, ""] | None = None,
) -> tuple[TrainState, Sums]:
    """S updates of one lane in one scan; arguments as of `train_step`, batches with a leading S."""

    def body(carry: TrainState, batch: Batches) -> tuple[TrainState, Sums]:
        return train_step(tagger, settings, carry, batch, data, knowledge, train_words_now)

    state, sums = lax.scan(body, state, batches)
    return state, jax.tree.map(lambda x: x.sum(0), sums)


def tag_steps(tagger: Tagger, params: Any, batches: Batches, data: TokenData) -> Int32[Array, "S R T"]:
    """The best labels of every sentence as `kd_jax.models.decode.decode` finds them, dropout off.

    Args:
        tagger: the module.
        params: of one lane.
        batches: S batches.
        data: tokens on the device; labels are not read.

    Returns:
        Labels, 0 on padding, [S, R, T].
    """

    def one(batch: Batches) -> Array:
        emissions = mask_labels(_outputs(tagger, params, batch, data).logits, data.valid[batch.task])
        (touched,), penalty = take([params], batch, tagger.how), _penalty(data, batch.task)
        return decode(emissions, _transitions(touched), penalty, batch.starts, batch.token != NO_TOKEN)

    return lax.map(one, batches)


def read_steps(tagger: Tagger, params: Any, batches: Batches, data: TokenData) -> Outputs:
    """A lane's outputs for S batches, dropout off, fields [S, R, T, ...]."""
    outputs: Outputs = lax.map(lambda batch: _outputs(tagger, params, batch, data), batches)
    return outputs


def _outputs(tagger: Tagger, params: Any, batch: Batches, data: TokenData) -> Outputs:
    """A lane's outputs for one batch, of parameters that are tiled where the program has them so."""
    (touched,) = take([params], batch, tagger.how)
    return run_tagger(tagger, touched, read_batch(batch, data), touched["words"], None)


def run_tagger(
    tagger: Tagger,
    params: Any,
    batch: Batch,
    words: Float[Array, "V D"],
    key: PRNGKeyArray | None,
    squares: Squares | None = None,
    *,
    hidden: bool = True,
) -> Outputs:
    """A lane's outputs for one batch.

    Args:
        tagger: the module.
        params: what the batch touches.
        batch: the tokens.
        words: vectors of the batch's distinct words, [V, D].
        key: for dropout; None at test time.
        squares: as `kd_jax.models.tiled.outputs` has them.
        hidden: whether the shared hidden states are wanted.
    """
    if tiled.is_tiled(tagger):
        return tiled.outputs(tagger, params, batch, words, key, squares, hidden=hidden)
    outputs = tagger.apply({"params": {name: params[name] for name in ("encoder", "branch")}}, batch, words, key)
    return cast(Outputs, outputs)
