"""One BiLSTM's products and kernels, forward and backward."""

from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int32, Shaped

from kd_jax.models.execution import Dropout
from kd_jax.models.fused import gpu, tpu
from kd_jax.models.groups import over_groups
from kd_jax.models.precision import product, rounded
from kd_jax.settings import Compute
from kd_jax.structs import Array

KernelPlatform = Literal["tpu", "gpu"]
KERNELS: dict[str, Any] = {"tpu": tpu, "gpu": gpu}
CLOSED = -1e9
"""A pre-activation whose gate lets nothing through."""
Keep = tuple[Float[Array, "T rows 1"], Float[Array, "T rows 1"]]


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

    def widths(self, units: int) -> tuple[int, int, int]:
        """Units as padded, and what one direction's gates and its hidden states take."""
        found: tuple[int, int, int] = KERNELS[self.platform].widths(units)
        return found


class Weights(NamedTuple):
    """Of a BiLSTM, as the kernels need them.

    Attributes:
        kernel: of the inputs, those of the two directions side by side, [D, 2 * gates].
        recurrent: [2, H, gates].
        bias: [2, gates].
        squares: anything; its gradient is the sum of the squares of those of recurrent and bias, which the kernels have
            at hand, so that a norm of all gradients needs no pass over these.
    """

    kernel: Float[Array, "D both_gates"]
    recurrent: Float[Array, "2 units gates"]
    bias: Float[Array, "2 gates"]
    squares: Float[Array, ""]


class Pass(NamedTuple):
    """What a forward pass gives; None for what was not asked for.

    Attributes:
        hidden: states, [T, R, 2 * hidden].
        seen: the same after dropout, rounded as products take it.
        residuals: for the backward pass.
    """

    hidden: Any
    seen: Any
    residuals: Any


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def layer(x: Float[Array, "T R D"], keep: Keep, weights: Weights, how: Kernels) -> Float[Array, "T R H"]:
    """Hidden states of both directions, of rows and units as the kernels need them.

    Args:
        x: inputs in time order, [T, R, D].
        keep: as `kd_jax.models.bilstm.keep_masks` gives them, for the first rows, [T, rows, 1] each; gets no gradient.
        weights: of the layer.
        how: which kernels.

    Returns:
        [T, R, 2 * hidden], forward then backward, in time order.
    """
    return _layer_forward(x, keep, weights, how)[0]


def _layer_forward(
    x: Float[Array, "T R D"], keep: Keep, weights: Weights, how: Kernels
) -> tuple[Float[Array, "T R H"], Any]:
    done = run(x, kept_by(keep, x, how), weights, how)
    return done.hidden, (done.residuals, keep)


def _layer_backward(
    how: Kernels, residuals: Any, bar: Float[Array, "T R H"]
) -> tuple[Float[Array, "T R D"], Keep, Weights]:
    of_layer, keep = residuals
    dx, gradients = run_back(bar, of_layer, how)
    return dx, jax.tree.map(jnp.zeros_like, keep), gradients


layer.defvjp(_layer_forward, _layer_backward)


def kept_by(keep: Keep, x: Float[Array, "T R _"], how: Kernels) -> Float[Array, "2 padded_T R 1"]:
    """Masks as the kernels read them, 0 in rows and time steps that are only padding."""
    forward, backward = keep
    rows = x.shape[1] - forward.shape[1]
    return _longer(jnp.pad(jnp.stack([forward, backward[::-1]]), ((0, 0), (0, 0), (0, rows), (0, 0))), 1, how)


def run(
    x: Float[Array, "T R D"],
    kept: Float[Array, "2 padded_T R 1"],
    weights: Weights,
    how: Kernels,
    bits: tuple[Int32[Array, "T H"], ...] = (),
    dropout: Dropout | None = None,
) -> Pass:
    """A layer's forward pass; arguments as of `layer` and `kd_jax.models.fused.stack.two_layers`."""
    steps, rows, size = x.shape
    flat = rounded(x.reshape(-1, size), how.compute)
    if how.platform == "tpu":  # else what makes x, a dropout, is done in each of the products that read it
        flat = lax.optimization_barrier(flat)
    z = (product(flat, weights.kernel, how.compute) + weights.bias.reshape(1, -1)).reshape(steps, rows, -1)
    # Where all gates are closed, nothing is kept and nothing has a gradient.
    given = [_longer(z, 0, how, CLOSED), kept, weights.recurrent]
    if bits:
        given.append(_longer(jnp.stack(bits), 1, how))
    dropping = dropout if bits else None
    *states, z, before, c = (y[0] for y in _forward(how, dropping)(*(y[None] for y in given)))
    hidden = states.pop(0)[:steps] if dropping is None or dropping.hidden else None
    seen = states[0][:steps] if states else None
    return Pass(hidden, seen, (flat, weights.kernel, kept, weights.recurrent, [z, before, c]))


def run_back(bar: Float[Array, "T R H"], residuals: Any, how: Kernels) -> tuple[Float[Array, "T R D"], Weights]:
    """Gradients of a layer's inputs and of its weights, from that of its hidden states."""
    x, kernel, kept, recurrent, left = residuals
    steps, rows = bar.shape[:2]
    found = _backward(how)(*(y[None] for y in (_longer(bar, 0, how), kept, recurrent, *left)))
    dz, du, *rest = (y[0] for y in found)
    dz = dz[:steps].reshape(steps * rows, -1)
    dx = product(dz, kernel.T, how.compute).reshape(steps, rows, -1)
    if rest:
        return dx, Weights(product(x.T, dz, how.compute), du, *rest)
    # A column of ones gives the bias's gradient with the kernel's, without another pass over what is large.
    both = product(jnp.concatenate([x, jnp.ones_like(x[:, :1])], -1).T, dz, how.compute)
    d_bias = both[-1].reshape(2, -1)
    return dx, Weights(both[:-1], du, d_bias, jnp.square(du).sum() + jnp.square(d_bias).sum())


def _longer(x: Shaped[Array, "..."], axis: int, how: Kernels, value: float = 0.0) -> Shaped[Array, "..."]:
    """With time steps after the last, as many as the kernels need."""
    missing = -x.shape[axis] % int(KERNELS[how.platform].TIME)
    padding = [(0, missing) if a == axis else (0, 0) for a in range(x.ndim)]
    return jnp.pad(x, padding, constant_values=value)


@lru_cache
def _forward(how: Kernels, dropout: Dropout | None) -> Any:
    more = {} if dropout is None else dropout._asdict()
    run = partial(KERNELS[how.platform].forward, compute=how.compute, interpret=how.interpret, **more)
    return over_groups(run)


@lru_cache
def _backward(how: Kernels) -> Any:
    return over_groups(partial(KERNELS[how.platform].backward, compute=how.compute, interpret=how.interpret))
