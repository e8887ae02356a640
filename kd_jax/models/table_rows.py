"""Rows of large tables read and written on a TPU, whose compiler would copy whole tables to another layout for it."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Float, Int32, Shaped

from kd_jax.models.groups import over_groups
from kd_jax.structs import Array


def read(
    tables: Sequence[Float[Array, "W D"]], index: Int32[Array, "V"], interpret: bool = False
) -> tuple[Float[Array, "V D"], ...]:
    """The same rows of some tables; under vmap, of all lanes' in one launch.

    Args:
        tables: [W, D] each.
        index: which, [V]; any row of the table stands for one that does not exist.
        interpret: whether to run as plain JAX.

    Returns:
        [V, D] each.
    """
    found = _reader(interpret)(index[None], *(table[None] for table in tables))
    return tuple(x[0] for x in found)


def write(
    tables: Sequence[Float[Array, "W D"]],
    index: Int32[Array, "V"],
    rows: Sequence[Float[Array, "V D"]],
    interpret: bool = False,
) -> tuple[Float[Array, "W D"], ...]:
    """Tables with some rows replaced, in place.

    Args:
        tables: [W, D] each.
        index: which, each once, W or more for none, [V]; the first is a row that exists.
        rows: of each table, [V, D].
        interpret: whether to run as plain JAX.

    Returns:
        [W, D] each.
    """
    found = _writer(interpret, len(tables))(index[None], *(x[None] for x in (*rows, *tables)))
    return tuple(x[0] for x in found)


@lru_cache
def _reader(interpret: bool) -> Callable[..., tuple[Any, ...]]:
    def run(index: Array, *tables: Array) -> tuple[Array, ...]:
        groups, number = index.shape
        out = [jax.ShapeDtypeStruct((groups, number, x.shape[2]), x.dtype) for x in tables]
        blocks = [_rows_of(x) for x in out]
        where = [jnp.minimum(index, tables[0].shape[1] - 1)]
        return _call(_read_kernel, where, tables, [_ANYWHERE] * len(tables), blocks, out, {}, interpret, "read_rows")

    return over_groups(run)


@lru_cache
def _writer(interpret: bool, count: int) -> Callable[..., tuple[Any, ...]]:
    def run(index: Array, *arrays: Array) -> tuple[Array, ...]:
        rows, tables = arrays[:count], arrays[count:]
        out = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in tables]
        blocks = [*map(_rows_of, rows), *[_ANYWHERE] * count]
        in_place = {2 + count + i: i for i in range(count)}
        # In place of a row that does not exist the first, once more.
        exists = index < tables[0].shape[1]
        where = [jnp.where(exists, index, index[:, :1]), jnp.where(exists, jnp.arange(index.shape[1])[None], 0)]
        return _call(_write_kernel, where, arrays, blocks, [_ANYWHERE] * count, out, in_place, interpret, "write_rows")

    return over_groups(run)


_ANYWHERE = pl.BlockSpec(memory_space=pl.ANY)


def _rows_of(x: Any) -> pl.BlockSpec:
    return pl.BlockSpec((1, *x.shape[1:]), lambda g, *_: (g, 0, 0))


def _call(
    kernel: Any,
    where: Sequence[Int32[Array, "groups V"]],
    arrays: Sequence[Shaped[Array, "groups _ D"]],
    given: list[pl.BlockSpec],
    found: list[pl.BlockSpec],
    out: list[Any],
    in_place: dict[int, int],
    interpret: bool,
    name: str,
) -> tuple[Float[Array, "groups _ D"], ...]:
    groups, number = where[0].shape
    moved = where[0].size * sum(x.shape[2] * x.dtype.itemsize for x in out)  # of the tables only these rows
    together = math.gcd(number, 8)  # rows of one pass of the loop
    grid = pltpu.PrefetchScalarGridSpec(
        num_scalar_prefetch=len(where),
        grid=(groups,),
        in_specs=given,
        out_specs=found,
        scratch_shapes=[pltpu.SemaphoreType.DMA],
    )
    result = pl.pallas_call(
        partial(kernel, number, together, len(out)),
        grid_spec=grid,
        out_shape=out,
        input_output_aliases=in_place,
        compiler_params=pltpu.CompilerParams(disable_bounds_checks=True),
        interpret=interpret,
        metadata={"trips": f"{groups},{number // together}", "bytes": str(moved)},  # for a reader of the program
        name=name,
    )(*where, *arrays)
    return tuple(result)


def _read_kernel(number: int, together: int, count: int, index_ref: Any, *refs: Any) -> None:
    tables, rows, arrived = refs[:count], refs[count:-1], refs[-1]
    g = pl.program_id(0)

    def several(n: Array, carry: Any) -> Any:
        for i in range(together):
            v = n * together + i
            row = index_ref[g, v]
            for table, to in zip(tables, rows, strict=True):
                pltpu.make_async_copy(table.at[g, pl.ds(row, 1)], to.at[0, pl.ds(v, 1)], arrived).start()
        return carry

    lax.fori_loop(0, number // together, several, 0)
    _wait(rows, arrived)


def _write_kernel(number: int, together: int, count: int, index_ref: Any, own_ref: Any, *refs: Any) -> None:
    rows, tables, gone = refs[:count], refs[2 * count : -1], refs[-1]
    g = pl.program_id(0)

    def several(n: Array, carry: Any) -> Any:
        for i in range(together):
            v = n * together + i
            own, row = own_ref[g, v], index_ref[g, v]
            for table, of in zip(tables, rows, strict=True):
                pltpu.make_async_copy(of.at[0, pl.ds(own, 1)], table.at[g, pl.ds(row, 1)], gone).start()
        return carry

    lax.fori_loop(0, number // together, several, 0)
    _wait(rows, gone)


def _wait(rows: Sequence[Any], semaphore: Any) -> None:
    """Wait for as many bytes as all rows have."""
    for block in rows:
        pltpu.make_async_copy(block, block, semaphore).wait()
