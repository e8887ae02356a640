"""Matrix products in float32 or bfloat16; what goes in and what comes out is float32 either way.

The gradients of y = x K are dx = dy K^T and dK = x^T dy. They are written out for two reasons. JAX's own for rounded
factors multiply the float32 dy as it is, at float32's speed, and then round dx and dK, where small sums are lost; here
both factors are rounded and the sums are not, as in the forward pass. And JAX's own dK is the transpose of dy^T x, for
which XLA on a CPU copies dy to another layout and takes a slow product (docs/notes/performance.md).
"""

from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Float, Shaped

from kd_jax.settings import Compute
from kd_jax.structs import Array


def factor_dtype(compute: Compute) -> Any:
    """The type of a product's factors."""
    return jnp.bfloat16 if compute == "bfloat16" else jnp.float32


def rounded(x: Float[Array, "*axes"], compute: Compute) -> Float[Array, "*axes"]:
    """A factor as a product takes it."""
    return x.astype(jnp.bfloat16) if compute == "bfloat16" else x


def product(
    x: Float[Array, "*groups R inputs"], kernel: Float[Array, "*groups_or_none inputs outputs"], compute: Compute
) -> Float[Array, "*groups R outputs"]:
    """A matrix product without a gradient of its own.

    Args:
        x: [..., R, inputs].
        kernel: of the same groups or one for all, [..., inputs, outputs].
        compute: "bfloat16" rounds both factors, and sums in float32.

    Returns:
        [..., R, outputs].
    """
    return x @ kernel if compute == "float32" else _rounded(x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def dense(
    x: Float[Array, "*rows inputs"], kernel: Float[Array, "inputs outputs"], compute: Compute
) -> Float[Array, "*rows outputs"]:
    """A matrix product whose gradients are products of the same kind, [..., inputs] to [..., outputs]."""
    return product(x, kernel, compute)


def dot_general(compute: Compute) -> Any:
    """The same as flax's layers take it."""

    # nn.Dense passes dimension numbers and precision too; they are always those of x @ kernel.
    def of_layer(
        x: Float[Array, "*rows inputs"], kernel: Float[Array, "inputs outputs"], *_: Any, **__: Any
    ) -> Float[Array, "*rows outputs"]:
        return cast(Array, dense(x, kernel, compute))

    return of_layer


def _rounded(
    x: Float[Array, "*rows inputs"], kernel: Float[Array, "*groups inputs outputs"]
) -> Float[Array, "*rows outputs"]:
    return jnp.matmul(x.astype(jnp.bfloat16), kernel.astype(jnp.bfloat16), preferred_element_type=jnp.float32)


def _forward(
    x: Float[Array, "*rows inputs"], kernel: Float[Array, "inputs outputs"], compute: Compute
) -> tuple[Float[Array, "*rows outputs"], tuple[Shaped[Array, "*rows inputs"], Shaped[Array, "inputs outputs"]]]:
    return product(x, kernel, compute), (rounded(x, compute), rounded(kernel, compute))


def _backward(
    compute: Compute,
    factors: tuple[Shaped[Array, "*rows inputs"], Shaped[Array, "inputs outputs"]],
    dy: Float[Array, "*rows outputs"],
) -> tuple[Float[Array, "*rows inputs"], Float[Array, "inputs outputs"]]:
    x, kernel = factors
    rows = x.reshape(-1, x.shape[-1]).T
    return product(dy, kernel.T, compute), product(rows, dy.reshape(-1, dy.shape[-1]), compute)


dense.defvjp(_forward, _backward)
