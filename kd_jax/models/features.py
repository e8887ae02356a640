"""Distinct forms of a batch to vectors: a row of the word table beside what an encoder reads from the characters."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from kd_jax.data.vocab import PADDING
from kd_jax.models.bilstm import BiLSTM
from kd_jax.settings import CharConfig, Compute
from kd_jax.structs import Array


class CharEncoder(nn.Module):
    """A word's characters as one vector.

    Attributes:
        settings: which encoder, and its sizes.
        alphabet: distinct characters, padding and unknown included.
        compute: of an LSTM's products; filters are looked up from a product over the alphabet, in float32.
    """

    settings: CharConfig
    alphabet: int
    compute: Compute = "float32"

    @nn.compact
    def __call__(self, chars: Array) -> Array:
        """Encode words.

        Args:
            chars: character ids, PADDING after a word's end, [U, C].

        Returns:
            [U, units].
        """
        table = self.param("embedding", _centred, (self.alphabet, self.settings.dim))
        table = table * (jnp.arange(self.alphabet) != PADDING)[:, None]
        return self._filters(table, chars) if self.settings.encoder == "cnn" else self._last_states(table, chars)

    def _filters(self, table: Array, chars: Array) -> Array:
        """The highest response of each filter among a word's characters.

        A filter's response is a sum over its places, so it is looked up: a matmul over the alphabet, not over words.
        """
        width, dim, units = self.settings.width, self.settings.dim, self.settings.units
        kernel, bias = Filters(width * dim, units, name="filters")()
        return highest(jnp.einsum("ad,kdf->kaf", table, kernel.reshape(width, dim, units)), chars) + bias[None]

    def _last_states(self, table: Array, chars: Array) -> Array:
        """The state after the last character, forward, and after the first, backward."""
        x, real = table[chars], chars != PADDING
        half = self.settings.units // 2
        starts = ~real | (jnp.arange(x.shape[1]) == 0)[None]
        h = BiLSTM(half, self.compute, name="bilstm")(x, starts)
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
    def __call__(self) -> tuple[Array, Array]:
        """kernel [inputs, units] and bias [units]."""
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (self.inputs, self.units))
        return kernel, self.param("bias", nn.initializers.zeros, (self.units,))


@jax.custom_vjp
def highest(responses: Array, chars: Array) -> Array:
    """The highest response to a word among windows around its characters; of equals the first gets the gradient.

    Args:
        responses: of F filters to each of A characters at each of K places in a window, K odd, [K, A, F].
        chars: character ids, PADDING after a word's end, [U, C].

    Returns:
        [U, F].
    """
    return _highest_forward(responses, chars)[0]


def _highest_forward(responses: Array, chars: Array) -> tuple[Array, tuple[Array, ...]]:
    places, length = len(responses), chars.shape[1]
    around = jnp.pad(chars, ((0, 0), (places // 2, places // 2)), constant_values=PADDING)
    seen = jnp.sum(jnp.stack([responses[k][around[:, k : k + length]] for k in range(places)]), 0)
    seen = jnp.where((chars != PADDING)[..., None], seen, -1e9)
    return seen.max(1), (responses, around, seen.argmax(1))


def _highest_backward(residuals: tuple[Array, ...], bar: Array) -> tuple[Array, None]:
    responses, around, place = residuals
    unit = jnp.arange(bar.shape[1])[None]
    gradients = [
        jnp.zeros_like(response).at[jnp.take_along_axis(around, place + k, 1), unit].add(bar)
        for k, response in enumerate(responses)
    ]
    return jnp.stack(gradients), None


highest.defvjp(_highest_forward, _highest_backward)


def _centred(key: Array, shape: tuple[int, int]) -> Array:
    """Uniform with unit variance over a vector's length, as Lample et al. 2016."""
    bound = (3.0 / shape[1]) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
