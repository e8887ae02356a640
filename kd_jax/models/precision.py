"""Products of matrices in what the model computes in; what goes in and what comes out is float32 either way."""

from typing import Any

import jax
import jax.numpy as jnp

from kd_jax.settings import Compute
from kd_jax.structs import Array


def product(x: Array, kernel: Array, compute: Compute) -> Array:
    """A matrix product without a gradient of its own.

    Args:
        x: [..., R, A], float32.
        kernel: [..., A, B], float32.
        compute: "bfloat16" rounds both factors, and sums in float32.

    Returns:
        [..., R, B] float32.
    """
    return x @ kernel if compute == "float32" else _rounded(x, kernel)


def dense(x: Array, kernel: Array, compute: Compute) -> Array:
    """A matrix product whose gradients are products of the same kind: x [..., A] and kernel [A, B] give [..., B]."""
    return x @ kernel if compute == "float32" else _narrow(x, kernel)


def dot_general(compute: Compute) -> Any:
    """The same as flax's layers take it; None for their own."""

    def narrow(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
        return _narrow(x, kernel)

    return None if compute == "float32" else narrow


def _rounded(x: Array, kernel: Array) -> Array:
    return jnp.matmul(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


@jax.custom_vjp
def _narrow(x: Array, kernel: Array) -> Array:
    return _rounded(x, kernel)


def _narrow_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _rounded(x, kernel), (x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16))


def _narrow_backward(factors: tuple[Array, Array], bar: Array) -> tuple[Array, Array]:
    x, kernel = factors
    rows = x.reshape(-1, x.shape[-1]).T
    return _rounded(bar, kernel.T), _rounded(rows, bar.reshape(-1, bar.shape[-1]))


_narrow.defvjp(_narrow_forward, _narrow_backward)
