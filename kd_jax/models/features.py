"""Distinct forms of a batch to vectors: a row of the word table beside what an encoder reads from the characters."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from kd_jax.data.vocab import PADDING
from kd_jax.models.bilstm import BiLSTM
from kd_jax.settings import Chars
from kd_jax.types import Array


class CharEncoder(nn.Module):
    """A word's characters as one vector.

    Attributes:
        settings: which encoder, and its sizes.
        alphabet: distinct characters, padding and unknown included.
    """

    settings: Chars
    alphabet: int

    @nn.compact
    def __call__(self, chars: Array) -> Array:
        """Encode words.

        Args:
            chars: character ids, PADDING after a word's end, [U, C].

        Returns:
            [U, units].
        """
        table = self.param("embedding", _centred, (self.alphabet, self.settings.dim))
        real = chars != PADDING
        x = table[chars] * real[..., None]
        return self._filters(x, real) if self.settings.encoder == "cnn" else self._last_states(x, real)

    def _filters(self, x: Array, real: Array) -> Array:
        """A convolution written as one matmul, since vmapped lanes would make lax.conv a slow grouped one."""
        reach = self.settings.width // 2
        length = x.shape[1]
        padded = jnp.pad(x, ((0, 0), (reach, reach), (0, 0)))
        windows = jnp.concatenate([padded[:, k : k + length] for k in range(self.settings.width)], -1)
        y = nn.Dense(self.settings.units, name="filters")(windows)
        return jnp.where(real[..., None], y, -1e9).max(1)

    def _last_states(self, x: Array, real: Array) -> Array:
        """The state after the last character, forward, and after the first, backward."""
        half = self.settings.units // 2
        starts = ~real | (jnp.arange(x.shape[1]) == 0)[None]
        h = BiLSTM(half, name="bilstm")(x.swapaxes(0, 1), starts.swapaxes(0, 1))
        last = jnp.maximum(real.sum(1) - 1, 0)
        forward = jnp.take_along_axis(h[..., :half], last[None, :, None], axis=0)[0]
        return jnp.concatenate([forward, h[0, :, half:]], -1)


def _centred(key: Array, shape: tuple[int, int]) -> Array:
    """Uniform with unit variance over a vector's length, as Lample et al. 2016."""
    bound = (3.0 / shape[1]) ** 0.5
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)
