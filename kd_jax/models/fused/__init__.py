"""The recurrence as fused kernels: all time steps in one launch, forward and backward.

`bilstm` here is what `kd_jax.models.bilstm.BiLSTM` computes with a scan: the same parameters, results and gradients, to
rounding. A group is one direction of one lane: under vmap lanes become groups of the same launch. Rows, units and time
steps are padded to what a kernel needs and cut off again, so parameters keep their shapes.
"""

import jax.numpy as jnp
from jaxtyping import Float

from kd_jax.models.fused.layer import KERNELS, Kernels, Weights, layer
from kd_jax.models.padding import gate_sizes, resized
from kd_jax.structs import Array

__all__ = ["KERNELS", "Kernels", "Weights", "bilstm", "layer", "side_by_side"]


def bilstm(
    x: Float[Array, "T R D"],
    keep: tuple[Float[Array, "T R 1"], Float[Array, "T R 1"]],
    kernel: Float[Array, "2 D gates"],
    recurrent: Float[Array, "2 units gates"],
    bias: Float[Array, "2 gates"],
    how: Kernels,
) -> Float[Array, "T R H"]:
    """Hidden states of both directions.

    Args:
        x: inputs in time order, [T, R, D].
        keep: as `kd_jax.models.bilstm.keep_masks` gives them, [T, R, 1] each; gets no gradient.
        kernel: of the inputs, [2, D, 4H].
        recurrent: [2, H, 4H].
        bias: [2, 4H].
        how: which kernels.

    Returns:
        [T, R, 2H], forward then backward, in time order.
    """
    rows, units = x.shape[1], recurrent.shape[1]
    wanted, gates, hidden = how.widths(units)
    x = jnp.pad(x, ((0, 0), (0, -rows % KERNELS[how.platform].ROWS), (0, 0)))
    kernel, recurrent, bias = (
        resized(y, -1, (units,) * 4, gate_sizes(wanted, gates)) for y in (kernel, recurrent, bias)
    )
    recurrent = resized(recurrent, -2, (units,), (wanted,))
    h = layer(x, keep, Weights(side_by_side(kernel), recurrent, bias, jnp.zeros(())), how)[:, :rows]
    return jnp.concatenate([h[..., :units], h[..., hidden : hidden + units]], -1)


def side_by_side(kernel: Float[Array, "*lanes 2 D gates"]) -> Float[Array, "*lanes D both_gates"]:
    """Kernels of two directions as one."""
    return jnp.concatenate([kernel[..., 0, :, :], kernel[..., 1, :, :]], -1)
