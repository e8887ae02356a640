"""Rows looked up: by gathers, or on a TPU, which gathers row by row, by products with one-hot rows."""

from functools import reduce
from typing import cast

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from kd_jax.models.execution import Execution
from kd_jax.models.precision import dense
from kd_jax.settings import Compute
from kd_jax.structs import Array


def rows_of(
    table: Float[Array, "rows D"], index: Int[Array, "*index"], compute: Compute, how: Execution
) -> Float[Array, "*index D"]:
    """Rows of a table of some hundred rows.

    Args:
        table: [rows, D].
        index: which rows, [...].
        compute: of the product, where it is one.
        how: it is computed.

    Returns:
        [..., D], the table's rows as they are or, of a product, as it rounds them.
    """
    if how.platform != "tpu":
        return table[index]
    found = product_with_one_hot(index.reshape(-1), table, compute)
    return found.reshape(*index.shape, table.shape[-1])


def product_with_one_hot(
    index: Int[Array, "index"], table: Float[Array, "rows D"], compute: Compute
) -> Float[Array, "index D"]:
    """`table[index]` as a product, exact in float32."""
    hot = jax.nn.one_hot(index, len(table), dtype=table.dtype)
    # A default product of float32 on a TPU has factors of bfloat16.
    return dense(hot, table, compute) if compute == "bfloat16" else jnp.matmul(hot, table, precision="highest")


def pick(values: Float[Array, "*rows K"], index: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    """One value of each of some short rows."""
    found = lax.platform_dependent(values, index, tpu=_picked, default=_taken)
    return cast(Array, found)


def entries(table: Float[Array, "*labels"], *index: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    """`table[index]` of a small table, an index for each of its axes."""
    return cast(Array, lax.platform_dependent(table, *index, tpu=_entries_picked, default=_entries_taken))


def _entries_taken(table: Float[Array, "*labels"], *index: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    return table[index]


def _entries_picked(table: Float[Array, "*labels"], *index: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    rows = index[0].ndim
    axes = tuple(range(rows, rows + table.ndim))
    numbers = (lax.broadcasted_iota(jnp.int32, (1,) * rows + table.shape, axis) for axis in axes)
    here = (jnp.expand_dims(of_axis, axes) == n for of_axis, n in zip(index, numbers, strict=True))
    return jnp.where(reduce(jnp.logical_and, here), jnp.expand_dims(table, range(rows)), 0).sum(axes)


def _taken(values: Float[Array, "*rows K"], index: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    return jnp.take_along_axis(values, index[..., None], -1)[..., 0]


def _picked(values: Float[Array, "*rows K"], index: Int[Array, "*rows"]) -> Float[Array, "*rows"]:
    here = index[..., None] == jnp.expand_dims(jnp.arange(values.shape[-1]), range(index.ndim))
    return jnp.where(here, values, 0).sum(-1)
