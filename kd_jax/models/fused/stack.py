"""Two BiLSTMs of a TPU's step, one upon the other, with dropout between them.

The first's kernel drops units and rounds what is left, so that nothing else passes over hidden states between the two;
their gradient, which JAX would have rounded with them, stays float32.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int32

from kd_jax.models.execution import Dropout
from kd_jax.models.fused.dropout_bits import of_row
from kd_jax.models.fused.layer import Keep, Kernels, Weights, kept_by, run, run_back
from kd_jax.structs import Array


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def two_layers(
    x: Float[Array, "T R D"],
    keep: Keep,
    layers: tuple[Weights, Weights],
    bits: tuple[Int32[Array, "T H"], ...],
    dropout: Dropout,
    how: Kernels,
) -> tuple[Float[Array, "T R H"] | None, Float[Array, "T R G"]]:
    """Hidden states of two layers.

    Args:
        x: inputs of the first in time order, [T, R, D].
        keep: as of `kd_jax.models.fused.layer.layer`.
        layers: their weights.
        bits: which of the first's units the second reads, as `kd_jax.models.fused.dropout_bits.stays` has them; none
            where it reads all.
        dropout: of these.
        how: which kernels; those of a TPU.

    Returns:
        Of the first, before dropout, None where they are not wanted and some are dropped; and of the second.
    """
    return _forward(x, keep, layers, bits, dropout, how)[0]


def _forward(
    x: Float[Array, "T R D"],
    keep: Keep,
    layers: tuple[Weights, Weights],
    bits: tuple[Int32[Array, "T H"], ...],
    dropout: Dropout,
    how: Kernels,
) -> tuple[tuple[Float[Array, "T R H"] | None, Float[Array, "T R G"]], Any]:
    kept = kept_by(keep, x, how)
    first = run(x, kept, layers[0], how, bits, dropout)
    second = run(first.seen if bits else first.hidden, kept, layers[1], how)
    return (first.hidden, second.hidden), (first.residuals, second.residuals, keep, bits)


def _backward(
    dropout: Dropout, how: Kernels, residuals: Any, bars: tuple[Float[Array, "T R H"] | None, Float[Array, "T R G"]]
) -> tuple[Float[Array, "T R D"], Keep, tuple[Weights, Weights], None]:
    of_first, of_second, keep, bits = residuals
    bar = bars[0]
    of_seen, second = run_back(bars[1], of_second, how)
    if bits:
        of_seen *= of_row(bits, of_seen.shape[1]).astype(of_seen.dtype) * (256 / dropout.stay)
    dx, first = run_back(of_seen if bar is None else bar + of_seen, of_first, how)
    return dx, jax.tree.map(jnp.zeros_like, keep), (first, second), None


two_layers.defvjp(_forward, _backward)
