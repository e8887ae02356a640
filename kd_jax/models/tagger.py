"""The tagger: teacher, single-task model and student alike.

An `Encoder` (characters and the shared BiLSTM) is common to all tasks; a `Branch` (task BiLSTM, hidden layer, logits)
belongs to one. A multi-task model holds the parameters of its branches stacked, [B, ...], and runs the branch of the
corpus at hand; a single-task model is a multi-task model with one branch.
"""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, PRNGKeyArray, UInt32

from kd_jax.data.vocab import UNKNOWN, Forms
from kd_jax.models.bilstm import BiLSTM
from kd_jax.models.execution import Execution
from kd_jax.models.features import CharEncoder
from kd_jax.models.lookups import rows_of
from kd_jax.models.precision import dot_general
from kd_jax.settings import ModelConfig
from kd_jax.structs import Array, Outputs

# Logit of a label that a task does not have. Finite, since infinities become NaN in differences and in the gradient of
# a where; far enough below any logit that its exponential is exactly 0.
FORBIDDEN = -1e9


class Batch(NamedTuple):
    """What a tagger reads of one batch; fields as in `kd_jax.data.packing.Batches`, without S.

    Attributes:
        mask: whether a token is real, [R, T] bool.
        starts: whether a sentence starts here; True on padding, [R, T] bool.
        form_index: which distinct form a token is, [R, T] int32.
        form_to_word: which of the given word vectors a form has, [U] int32.
        forms: the distinct forms, tables with U rows.
    """

    mask: Bool[Array, "R T"]
    starts: Bool[Array, "R T"]
    form_index: Int[Array, "R T"]
    form_to_word: Int[Array, "U"]
    forms: Forms


def dropout(key: PRNGKeyArray | None, x: Float[Array, "*tokens D"], rate: float) -> Float[Array, "*tokens D"]:
    """Inverted dropout from 8 random bits a unit, so the rate is a multiple of 1/256.

    One random word serves four tokens, a byte each: generating random words is what dropout costs on a CPU. Bytes are
    taken by shifts and laid out along the tokens, since a minor axis of four bytes fills no tile of a TPU.

    Args:
        key: None for no dropout.
        x: [..., D].
        rate: share of units set to 0.

    Returns:
        x with units dropped and the others scaled up, so that the mean stays.
    """
    kept = 256 - round(rate * 256)
    if key is None or kept == 256:
        return x
    tokens = x.size // x.shape[-1]
    return jnp.where(dropout_planes(key, tokens, x.shape[-1]).reshape(x.shape) < kept, x * (256 / kept), 0.0)


def dropout_planes(key: PRNGKeyArray, tokens: int, width: int) -> UInt32[Array, "tokens width"]:
    """A number from 0 to 255 for each unit of each token."""
    words = dropout_words(key, tokens, width)
    return jnp.concatenate([(words >> shift) & 255 for shift in (0, 8, 16, 24)])[:tokens]


def dropout_words(key: PRNGKeyArray, tokens: int, width: int) -> UInt32[Array, "words width"]:
    """Random words, each of a byte for four tokens."""
    return jax.random.bits(key, (-(-tokens // 4), width), jnp.uint32)  # asking for 8 bits costs a word each


class Encoder(nn.Module):
    """Characters and the shared BiLSTM.

    Attributes:
        settings: sizes.
        alphabet: distinct characters, padding and unknown included.
        how: it is computed.
    """

    settings: ModelConfig
    alphabet: int
    how: Execution = Execution()

    @nn.compact
    def __call__(self, batch: Batch, words: Float[Array, "V D"], key: PRNGKeyArray | None) -> Float[Array, "R T H"]:
        """Shared BiLSTM outputs.

        Args:
            batch: the tokens.
            words: vectors of the batch's distinct words, [V, D].
            key: for dropout; None at test time.

        Returns:
            [R, T, H].
        """
        # A form that occurs in the batch many times is read from its characters once, and then gathered.
        compute = self.settings.compute
        chars = CharEncoder(self.settings.chars, self.alphabet, compute, self.how, name="chars")(batch.forms.chars)
        forms = jnp.concatenate([rows_of(words, batch.form_to_word, compute, self.how), chars], -1)
        x = rows_of(forms, batch.form_index, compute, self.how) * batch.mask[..., None]
        shared = BiLSTM(self.settings.shared_units, compute, self.how, name="shared")
        return shared(dropout(key, x, self.settings.dropout), batch.starts)


class Branch(nn.Module):
    """What a corpus has for its own: task BiLSTM, hidden layer, logits.

    Attributes:
        settings: sizes.
        labels: number of labels, K; of several tasks the most.
        how: it is computed.
    """

    settings: ModelConfig
    labels: int
    how: Execution = Execution()

    @nn.compact
    def __call__(
        self, shared: Float[Array, "R T shared"], starts: Bool[Array, "R T"], key: PRNGKeyArray | None
    ) -> tuple[Float[Array, "R T K"], Float[Array, "R T H"]]:
        """Logits and task BiLSTM outputs.

        Args:
            shared: shared BiLSTM outputs, [R, T, H].
            starts: as in `Batch`, [R, T].
            key: for dropout; None at test time.

        Returns:
            logits [R, T, K] and task_hidden [R, T, H].
        """
        keys = (None, None) if key is None else jax.random.split(key)
        rate = self.settings.dropout
        compute = self.settings.compute
        dot = dot_general(compute)
        bilstm = BiLSTM(self.settings.task_units, compute, self.how, name="task")
        h = bilstm(dropout(keys[0], shared, rate), starts)
        z = jnp.tanh(nn.Dense(self.settings.hidden_units, dot_general=dot, name="hidden")(dropout(keys[1], h, rate)))
        return nn.Dense(self.labels, dot_general=dot, name="logits")(z), h


class Tagger(nn.Module):
    """The tagger of one task.

    Attributes:
        settings: sizes.
        alphabet: distinct characters, padding and unknown included.
        labels: number of labels, K.
        how: it is computed.
    """

    settings: ModelConfig
    alphabet: int
    labels: int
    how: Execution = Execution()

    @nn.compact
    def __call__(self, batch: Batch, words: Float[Array, "V D"], key: PRNGKeyArray | None = None) -> Outputs:
        """Logits and hidden states of every token.

        Args:
            batch: the tokens.
            words: vectors of the batch's distinct words, [V, D].
            key: for dropout; None at test time.

        Returns:
            logits [R, T, K], task_hidden [R, T, H], shared_hidden [R, T, H]; meaningless on padding.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        shared = Encoder(self.settings, self.alphabet, self.how, name="encoder")(batch, words, keys[0])
        logits, task = Branch(self.settings, self.labels, self.how, name="branch")(shared, batch.starts, keys[1])
        return Outputs(logits, task, shared)


def replace_singles(key: PRNGKeyArray, batch: Batch, rate: float) -> Batch:
    """The batch with words seen once in training read as unknown at a rate, so that the unknown word is learnt.

    Args:
        key: random key.
        batch: row 0 of its distinct words is the unknown word.
        rate: between 0 and 1.
    """
    unknown = batch.forms.single & (jax.random.uniform(key, batch.form_to_word.shape) < rate)
    return batch._replace(form_to_word=jnp.where(unknown, UNKNOWN, batch.form_to_word))


def mask_labels(logits: Float[Array, "*tokens K"], valid: Bool[Array, "K"]) -> Float[Array, "*tokens K"]:
    """Logits with the labels that a task does not have at FORBIDDEN.

    Args:
        logits: [..., K].
        valid: [K] bool.
    """
    return jnp.where(jnp.expand_dims(valid, range(logits.ndim - 1)), logits, FORBIDDEN)


def init_params(tagger: Tagger, key: PRNGKeyArray, tasks: int, word_rows: int) -> dict[str, Any]:
    """Parameters of a model with several branches.

    Args:
        tagger: the module.
        key: random key.
        tasks: number of branches, B.
        word_rows: rows of the word table, W.

    Returns:
        {"words": [W, D], "encoder": ..., "branch": stacked, [B, ...]}.
    """
    size = tagger.settings.words.dim
    word_key, module_key, branch_key = jax.random.split(key, 3)
    bound = (3.0 / size) ** 0.5  # unit variance over a vector's length, as Lample et al. 2016
    words = jax.random.uniform(word_key, (word_rows, size), minval=-bound, maxval=bound)
    one = jnp.zeros((1, 1), jnp.int32)
    # Shapes of parameters depend on no batch, so the smallest there is initialises them: one token.
    batch = Batch(
        mask=one == 0,
        starts=one == 0,
        form_index=one,
        form_to_word=one[0],
        forms=Forms(one[0], jnp.zeros((1, tagger.settings.chars.longest), jnp.int32), one[0] == 1),
    )
    encoder = tagger.init(module_key, batch, words[:1])["params"]["encoder"]
    # Branch 0 is drawn from the key itself, so that the first task starts alike whatever the number of tasks.
    first = tagger.init(branch_key, batch, words[:1])["params"]["branch"]
    rest = [
        tagger.init(jax.random.fold_in(branch_key, task), batch, words[:1])["params"]["branch"]
        for task in range(1, tasks)
    ]
    branches = jax.tree.map(lambda *leaves: jnp.stack(leaves), first, *rest)
    return {"words": words, "encoder": encoder, "branch": branches}
