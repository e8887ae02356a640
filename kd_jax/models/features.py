"""Distinct forms of a batch to vectors: a row of the word table beside what an encoder reads from the characters."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int, PRNGKeyArray, Shaped

from kd_jax.data.vocab import PADDING
from kd_jax.models.bilstm import BiLSTM
from kd_jax.models.execution import Execution
from kd_jax.models.lookups import rows_of
from kd_jax.settings import CharConfig, Compute
from kd_jax.structs import Array


class CharEncoder(nn.Module):
    """A word's characters as one vector.

    Attributes:
        settings: which encoder, and its sizes.
        alphabet: distinct characters, padding and unknown included.
        compute: of an LSTM's products; filters are looked up from a product over the alphabet, in float32.
        how: it is computed.
    """

    settings: CharConfig
    alphabet: int
    compute: Compute = "float32"
    how: Execution = Execution()

    @nn.compact
    def __call__(self, chars: Int[Array, "U C"]) -> Float[Array, "U units"]:
        """Encode words.

        Args:
            chars: character ids, PADDING after a word's end, [U, C].

        Returns:
            [U, units].
        """
        table = self.param("embedding", _centred, (self.alphabet, self.settings.dim))
        # Padding has the vector 0 at any time of training, so a filter that reaches beyond a word's end reads nothing.
        table = table * (jnp.arange(self.alphabet) != PADDING)[:, None]
        return self._filters(table, chars) if self.settings.encoder == "cnn" else self._last_states(table, chars)

    def _filters(self, table: Float[Array, "A D"], chars: Int[Array, "U C"]) -> Float[Array, "U units"]:
        """The highest response of each filter among a word's characters.

        A filter's response is a sum over its places, and a place sees one of A characters: so the product of every
        character with every place is made once, [window, A, units], and words look theirs up. A convolution would do
        the same products again for each word, and under vmap becomes a grouped one, which is slow.
        """
        width, dim, units = self.settings.width, self.settings.dim, self.settings.units
        kernel, bias = Filters(width * dim, units, name="filters")()
        responses = lax.platform_dependent(
            table, kernel.reshape(width, dim, units), cpu=_responses, default=_responses_apart
        )
        if self.how.platform == "tpu":
            from kd_jax.models.fused import filters  # noqa: PLC0415 - Pallas takes a while to import

            return filters.highest(responses, chars, self.compute, self.how.interpret) + bias[None]
        return highest(responses, chars) + bias[None]

    def _last_states(self, table: Float[Array, "A D"], chars: Int[Array, "U C"]) -> Float[Array, "U units"]:
        """The state after the last character, forward, and after the first, backward."""
        x, real = rows_of(table, chars, self.compute, self.how), chars != PADDING
        half = self.settings.units // 2
        # Padding counts as starts: the backward direction, which comes from there, begins anew at the last character.
        starts = ~real | (jnp.arange(x.shape[1]) == 0)[None]
        # Few time steps of many rows, which a kernel has no room for.
        how = self.how._replace(recurrence="scan") if self.how.recurrence == "fused" else self.how
        h = BiLSTM(half, self.compute, how, name="bilstm")(x, starts)
        last = jnp.maximum(real.sum(1) - 1, 0)
        forward = jnp.take_along_axis(h[..., :half], last[:, None, None], axis=1)[:, 0]
        return jnp.concatenate([forward, h[:, 0, half:]], -1)


class Filters(nn.Module):
    """Parameters of a convolution, named as those of a dense layer.

    Attributes:
        inputs: of one filter.
        units: number of filters.
    """

    inputs: int
    units: int

    @nn.compact
    def __call__(self) -> tuple[Float[Array, "inputs units"], Float[Array, "units"]]:
        """kernel [inputs, units] and bias [units]."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.inputs, self.units))
        return kernel, self.param("bias", nn.initializers.zeros, (self.units,))


def _responses(table: Float[Array, "A D"], kernel: Float[Array, "window D units"]) -> Float[Array, "window A units"]:
    """Of filters to characters, as one product."""
    return jnp.einsum("ad,kdf->kaf", table, kernel)


def _responses_apart(
    table: Float[Array, "A D"], kernel: Float[Array, "window D units"]
) -> Float[Array, "window A units"]:
    """The same, a product for each place: XLA for GPUs finds no tiles for all of them in one."""
    return jnp.stack([table @ of_place for of_place in kernel])


@jax.custom_vjp
def highest(responses: Float[Array, "window A units"], chars: Int[Array, "U C"]) -> Float[Array, "U units"]:
    """The highest response to a word among windows around its characters; of equals the first gets the gradient.

    response[u, c] = sum over k of responses[k, chars[u, c + k - window // 2]], and the result is its maximum over c.
    So the gradient goes to the window that won, wherever that was: to one character at each of its places. The backward
    pass adds it there. Autodiff would first make it dense over all windows, C times as much, nearly all of it zeros.

    Args:
        responses: of each filter to each of A characters at each place in a window of odd width, [window, A, units].
        chars: character ids, PADDING after a word's end, [U, C].

    Returns:
        [U, units].
    """
    return _highest_forward(responses, chars)[0]


def _highest_forward(
    responses: Float[Array, "window A units"], chars: Int[Array, "U C"]
) -> tuple[Float[Array, "U units"], tuple[Shaped[Array, "..."], ...]]:
    window, length = len(responses), chars.shape[1]
    padded = jnp.pad(chars, ((0, 0), (window // 2, window // 2)), constant_values=PADDING)
    response = jnp.sum(jnp.stack([responses[k][padded[:, k : k + length]] for k in range(window)]), 0)
    # Only windows around a character count: of a word that is not the longest there are more, around padding. Finite,
    # so that a form without characters, with which modules are initialised, has no infinite response.
    response = jnp.where((chars != PADDING)[..., None], response, -1e9)
    return response.max(1), (responses, padded, response.argmax(1))


def _highest_backward(
    residuals: tuple[Shaped[Array, "..."], ...], bar: Float[Array, "U units"]
) -> tuple[Float[Array, "window A units"], None]:
    responses, padded, winner = residuals
    unit = jnp.arange(bar.shape[1])[None]
    gradients = [
        jnp.zeros_like(response).at[jnp.take_along_axis(padded, winner + k, 1), unit].add(bar)
        for k, response in enumerate(responses)
    ]
    return jnp.stack(gradients), None  # none for the characters, which are integers


highest.defvjp(_highest_forward, _highest_backward)


def _centred(key: PRNGKeyArray, shape: tuple[int, int]) -> Float[Array, "A D"]:
    """Uniform with unit variance over a vector's length, as Lample et al. 2016."""
    bound = (3.0 / shape[1]) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
