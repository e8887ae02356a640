"""The recurrence as fused kernels: all time steps in one launch, forward and backward.

`bilstm` here is what `kd_jax.models.bilstm.BiLSTM` computes with a scan: the same parameters, results and gradients, to
rounding. A group is one direction of one lane: under vmap lanes become groups of the same launch. Rows, units and time
steps are padded to what a kernel needs and cut off again, so parameters keep their shapes.
"""

from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from kd_jax.models.fused import gpu, tpu
from kd_jax.models.groups import over_groups
from kd_jax.models.precision import product, rounded
from kd_jax.settings import Compute
from kd_jax.structs import Array

KernelPlatform = Literal["tpu", "gpu"]
KERNELS: dict[str, Any] = {"tpu": tpu, "gpu": gpu}


class Kernels(NamedTuple):
    """Which kernels run.

    Attributes:
        platform: that they are written for.
        compute: of the products.
        interpret: whether they run as plain JAX, on any platform.
    """

    platform: KernelPlatform
    compute: Compute
    interpret: bool = False

    def units(self, units: int) -> int:
        """Units as padded."""
        return int(KERNELS[self.platform].round_units(units))


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
    wanted = how.units(units)
    x = jnp.pad(x, ((0, 0), (0, -rows % KERNELS[how.platform].ROWS), (0, 0)))
    recurrent = jnp.pad(_wider(recurrent, wanted), ((0, 0), (0, wanted - units), (0, 0)))
    h = layer(x, keep, side_by_side(_wider(kernel, wanted)), recurrent, _wider(bias, wanted), how)[:, :rows]
    return jnp.concatenate([h[..., :units], h[..., wanted : wanted + units]], -1)


def layer(
    x: Float[Array, "T R D"],
    keep: tuple[Float[Array, "T rows 1"], Float[Array, "T rows 1"]],
    kernel: Float[Array, "D both_gates"],
    recurrent: Float[Array, "2 units gates"],
    bias: Float[Array, "2 gates"],
    how: Kernels,
) -> Float[Array, "T R H"]:
    """`bilstm` of rows and units as the kernels need them, the kernels of the inputs side by side.

    Args:
        x: [T, R, D].
        keep: as of `bilstm`, for the first rows.
        kernel: [D, 2 * 4H].
        recurrent: [2, H, 4H].
        bias: [2, 4H].
        how: which kernels.

    Returns:
        [T, R, 2H].
    """
    steps, rows, size = x.shape
    z = project(x.reshape(-1, size), kernel, bias.reshape(-1), how.compute)
    forward, backward = keep
    kept = jnp.pad(jnp.stack([forward, backward[::-1]]), ((0, 0), (0, 0), (0, rows - forward.shape[1]), (0, 0)))
    return lstm(z.reshape(steps, rows, -1), recurrent, kept, how)


def side_by_side(kernel: Float[Array, "*lanes 2 D gates"]) -> Float[Array, "*lanes D both_gates"]:
    """Kernels of two directions as one."""
    return jnp.concatenate([kernel[..., 0, :, :], kernel[..., 1, :, :]], -1)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def project(
    x: Float[Array, "all D"], kernel: Float[Array, "D both_gates"], bias: Float[Array, "both_gates"], compute: Compute
) -> Float[Array, "all both_gates"]:
    """Inputs times a kernel, plus biases."""
    return _project_forward(x, kernel, bias, compute)[0]


def _project_forward(
    x: Float[Array, "all D"], kernel: Float[Array, "D both_gates"], bias: Float[Array, "both_gates"], compute: Compute
) -> tuple[Float[Array, "all both_gates"], tuple[Float[Array, "all D"], Float[Array, "D both_gates"]]]:
    return product(x, kernel, compute) + bias[None], (rounded(x, compute), kernel)


def _project_backward(
    compute: Compute,
    kept: tuple[Float[Array, "all D"], Float[Array, "D both_gates"]],
    bar: Float[Array, "all both_gates"],
) -> tuple[Float[Array, "all D"], Float[Array, "D both_gates"], Float[Array, "both_gates"]]:
    x, kernel = kept
    # A column of ones gives the bias's gradient with the kernel's, without another pass over what is large.
    rows = jnp.concatenate([x, jnp.ones_like(x[:, :1])], -1)
    both = product(rows.T, bar, compute)
    return product(bar, kernel.T, compute), both[:-1], both[-1]


project.defvjp(_project_forward, _project_backward)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def lstm(
    z: Float[Array, "T R both_gates"],
    recurrent: Float[Array, "2 units gates"],
    keep: Float[Array, "2 T R 1"],
    how: Kernels,
) -> Float[Array, "T R H"]:
    """Hidden states of two LSTMs, the first over time and the second over reversed time, everything in time order.

    Args:
        z: inputs times the input kernels, plus biases, [T, R, 2 * 4H].
        recurrent: recurrent kernels, [2, H, 4H].
        keep: 0 where the state is forgotten before the step, else 1, [2, T, R, 1]; gets no gradient.
        how: which kernels; rows and units are multiples of what they need, time steps may be any number.

    Returns:
        [T, R, 2H].
    """
    return _lstm_forward(z, recurrent, keep, how)[0]


def _lstm_forward(
    z: Float[Array, "T R both_gates"],
    recurrent: Float[Array, "2 units gates"],
    keep: Float[Array, "2 T R 1"],
    how: Kernels,
) -> tuple[Float[Array, "T R H"], tuple[Any, ...]]:
    steps = z.shape[0]
    kept = _longer(keep, 1, how)
    h, *left = _forward(how)(*(x[None] for x in (_longer(z, 0, how), kept, recurrent)))
    return h[0, :steps], (kept, recurrent, [x[0] for x in left], keep)


def _lstm_backward(
    how: Kernels, residuals: tuple[Any, ...], h_bar: Float[Array, "T R H"]
) -> tuple[Float[Array, "T R both_gates"], Float[Array, "2 units gates"], Float[Array, "2 T R 1"]]:
    kept, recurrent, left, keep = residuals
    dz, du = _backward(how)(*(x[None] for x in (_longer(h_bar, 0, how), kept, recurrent, *left)))
    return dz[0, : len(h_bar)].astype(h_bar.dtype), du[0], jnp.zeros_like(keep)


lstm.defvjp(_lstm_forward, _lstm_backward)


def _longer(x: Float[Array, "..."], axis: int, how: Kernels) -> Float[Array, "..."]:
    """With time steps after the last, as many as the kernels need."""
    missing = -x.shape[axis] % int(KERNELS[how.platform].TIME)
    return jnp.pad(x, [(0, missing) if a == axis else (0, 0) for a in range(x.ndim)])


def _wider(x: Float[Array, "*axes gates"], wanted: int) -> Float[Array, "*axes padded_gates"]:
    """[..., 4 * H] as [..., 4 * wanted], every gate followed by zeros."""
    split = x.reshape(*x.shape[:-1], 4, -1)
    padding = [(0, 0)] * x.ndim + [(0, wanted - split.shape[-1])]
    return jnp.pad(split, padding).reshape(*x.shape[:-1], 4 * wanted)


@lru_cache
def _forward(how: Kernels) -> Any:
    return over_groups(partial(KERNELS[how.platform].forward, compute=how.compute, interpret=how.interpret))


@lru_cache
def _backward(how: Kernels) -> Any:
    return over_groups(partial(KERNELS[how.platform].backward, compute=how.compute, interpret=how.interpret))
