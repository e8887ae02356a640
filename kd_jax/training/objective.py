"""What a student is trained on: which loss terms a run's settings ask for, for one batch."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from kd_jax.models.crf import Transitions
from kd_jax.models.lookups import pick
from kd_jax.models.tagger import FORBIDDEN
from kd_jax.settings import DistillConfig
from kd_jax.structs import Array, Outputs
from kd_jax.training import losses
from kd_jax.training.losses import Scalar, Term, Terms
from kd_jax.training.structure import Chain, chain_divergence, posteriors


class Knowledge(NamedTuple):
    """What is known of a teacher: its outputs, token by token, and what is kept once.

    Attributes:
        outputs: fields [R, T, ...] of a batch, or [N, ...] of all tokens; None for what no term reads.
        scale: of each field the variance that its errors are measured in, scalars, as `kd_jax.distill.scale` has
            them; read by standardised errors only.
        transitions: of its CRF, what it rules out included; None for a softmax teacher. Read by `posteriors` and
            `structure` only.
        known: tokens that the teacher says something of, [R, T] or [N]; the others are not matched. None for all.
    """

    outputs: Outputs
    scale: Outputs
    transitions: Transitions | None = None
    known: Bool[Array, "*tokens"] | None = None

    def at(self, token: Int[Array, "..."]) -> "Knowledge":
        """What is known of some tokens, such as a batch's, [R, T], of outputs of all tokens."""
        outputs = Outputs(*(None if x is None else x[token] for x in self.outputs))
        return self._replace(outputs=outputs, known=None if self.known is None else self.known[token])


def hidden_widths(teacher: Knowledge | None) -> Outputs:
    """Widths of a teacher's hidden states that are matched; None for those that are not, and of the logits."""
    if teacher is None:
        return Outputs(None, None, None)
    _, *hidden = teacher.outputs
    return Outputs(None, *(None if states is None else int(states.shape[-1]) for states in hidden))


class Sentences(NamedTuple):
    """Where the tokens of a batch lie.

    Attributes:
        matched: tokens whose outputs are matched, of a sentence all or none, [R, T] bool.
        starts: whether a sentence starts here, anything on padding, [R, T] bool.
        valid: labels that the tokens' task has, broadcastable to [R, T, K], bool.
    """

    matched: Bool[Array, "R T"]
    starts: Bool[Array, "R T"]
    valid: Bool[Array, "#R #T K"]


def loss_terms(
    gold: Term,
    student: Outputs,
    transitions: Transitions | None,
    teacher: Knowledge | None,
    sentences: Sentences,
    tau: Scalar,
    how: DistillConfig,
) -> Terms:
    """The terms of equations (2) to (5) or of their standardised forms, as sums and counts; `losses.total` weighs them.

    printed: squared errors are (2), (3) and (4)'s, means over a token's labels or units; soft labels' term is (5)'s
    cross-entropy. standardised: logits' errors are those of centred logits, and errors of any kind are over the
    variance of what the teacher gave, so that terms are of one size whatever its scale; what has a temperature is times
    tau^2, so that its gradient keeps its size (Hinton et al. 2015).

    Args:
        gold: the loss against gold labels, over labelled tokens.
        student: its outputs, [R, T, ...]; hidden states in the teacher's widths.
        transitions: of a CRF student, what is ruled out included; None for a softmax student.
        teacher: for the same tokens, its chain under the same penalty as the student's; None: no teacher.
        sentences: where they lie.
        tau: temperature, above 0.
        how: which terms.

    Returns:
        Terms; None for those that the teacher has no output for.
    """
    if teacher is None:
        return Terms(gold)
    matched = sentences.matched
    standardised = how.equations == "standardised"

    def hidden(
        ours: Float[Array, "R T H"] | None, theirs: Float[Array, "R T H"] | None, scale: Float[Array, ""] | None
    ) -> Term | None:
        if theirs is None:
            return None
        assert ours is not None  # a tagger leaves out what the teacher does not have, and nothing else
        error = losses.squared_error(ours, theirs.astype(ours.dtype))  # stored outputs may be of 16 bits
        return Term.over(error / scale if standardised else error, matched)

    logits = None
    if teacher.outputs.logits is not None:
        logits = Term.over(_logits(student.logits, transitions, teacher, sentences, tau, how), matched)
    task, shared = (
        hidden(*(getattr(x, name) for x in (student, teacher.outputs, teacher.scale)))
        for name in ("task_hidden", "shared_hidden")
    )
    return Terms(gold, logits, task, shared)


def _logits(
    student: Float[Array, "R T K"],
    transitions: Transitions | None,
    teacher: Knowledge,
    sentences: Sentences,
    tau: Scalar,
    how: DistillConfig,
) -> Float[Array, "R T"]:
    """The term of the logits, one number a token, [R, T]."""
    theirs, valid = teacher.outputs.logits.astype(student.dtype), sentences.valid
    if how.match == "mse" and how.equations == "printed":
        return losses.squared_error(student, theirs, valid)
    if how.match == "mse":
        error = losses.squared_error(losses.centre(student, valid), losses.centre(theirs, valid), valid)
        return error / teacher.scale.logits
    # From here on distributions are matched: labels that the task lacks must have probability 0 in both.
    ours, theirs = (jnp.where(valid, z, FORBIDDEN) for z in (student, theirs))
    if how.match == "hard":
        likeliest = theirs.argmax(-1)
        return -pick(jax.nn.log_softmax(ours, -1), likeliest)
    if how.equations == "printed":
        return losses.soft_cross_entropy(ours, theirs, tau)
    token_by_token = how.match == "soft"  # which are the posteriors of a head without transitions
    pair = (ours, None if token_by_token else transitions), (theirs, None if token_by_token else teacher.transitions)
    rows = sentences.starts, sentences.matched
    if how.match != "structure":
        log_q, log_p = (_posteriors(*of, rows, tau) for of in pair)
        return jnp.square(tau) * losses.divergence(log_q, log_p, how.divergence)
    mine, its = (_chain(*of, tau) for of in pair)
    return jnp.square(tau) * chain_divergence(*((its, mine) if how.divergence == "kl" else (mine, its)), *rows)


def _posteriors(
    logits: Float[Array, "R T K"],
    transitions: Transitions | None,
    rows: tuple[Bool[Array, "R T"], Bool[Array, "R T"]],
    tau: Scalar,
) -> Float[Array, "R T K"]:
    """Log-marginals [R, T, K]; a softmax head's need no pass over the sentence."""
    if transitions is None:
        return jax.nn.log_softmax(logits / tau, -1)
    return posteriors(_chain(logits, transitions, tau), *rows)


def _chain(logits: Float[Array, "R T K"], transitions: Transitions | None, tau: Scalar) -> Chain:
    """Logits and transitions, or none of a softmax head, as a chain at a temperature."""
    if transitions is None:
        transitions = Transitions.zeros(logits.shape[-1])
    return Chain(logits, transitions).softened(tau)
