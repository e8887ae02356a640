"""One branch of several taken and put back on a TPU, whose compiler gathers and scatters it row by row.

Each lane is at a task of its own, so that under vmap an index into the branches is a gather. Here it is a copy of whole
branches from memory to memory, of all parameters and all lanes in one launch.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Float, Int, Int32, Shaped

from kd_jax.models.groups import over_groups
from kd_jax.structs import Array


def take(
    stacked: Sequence[Float[Array, "B ..."]], task: Int[Array, ""], interpret: bool = False
) -> list[Float[Array, "..."]]:
    """The same branch of some arrays; under vmap, of all lanes' in one launch.

    Args:
        stacked: [B, ...] each.
        task: which.
        interpret: whether to run as plain JAX.

    Returns:
        [...] each.
    """
    found = _taker(interpret)(task[None, None], *(x[None] for x in stacked))
    return [x[0, 0] for x in found]


def put(
    stacked: Sequence[Float[Array, "B ..."]],
    task: Int[Array, ""],
    branch: Sequence[Float[Array, "..."]],
    interpret: bool = False,
) -> list[Float[Array, "B ..."]]:
    """Arrays with that branch replaced, in place; arguments as of `take`, and what it gives."""
    found = _putter(interpret, len(stacked))(
        task[None, None], *(x[None, None] for x in branch), *(x[None] for x in stacked)
    )
    return [x[0] for x in found]


@lru_cache
def _taker(interpret: bool) -> Callable[..., list[Any]]:
    def run(task: Array, *stacked: Array) -> list[Array]:
        out = [jax.ShapeDtypeStruct((len(x), 1, *x.shape[2:]), x.dtype) for x in stacked]
        return _call(_take_kernel, task, stacked, out, out, {}, interpret, "take_branch")

    return over_groups(run)


@lru_cache
def _putter(interpret: bool, count: int) -> Callable[..., list[Any]]:
    def run(task: Array, *arrays: Array) -> list[Array]:
        out = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays[count:]]
        in_place = {1 + count + n: n for n in range(count)}
        return _call(_put_kernel, task, arrays, out, arrays[:count], in_place, interpret, "put_branch")

    return over_groups(run)


def _call(
    kernel: Any,
    task: Int32[Array, "L 1"],
    arrays: Sequence[Shaped[Array, "L _ ..."]],
    out: Sequence[Any],
    moved: Sequence[Any],
    in_place: dict[int, int],
    interpret: bool,
    name: str,
) -> list[Float[Array, "L _ ..."]]:
    lanes, anywhere = len(task), pl.BlockSpec(memory_space=pl.ANY)
    grid = pltpu.PrefetchScalarGridSpec(
        num_scalar_prefetch=1,
        grid=(lanes,),
        in_specs=[anywhere] * len(arrays),
        out_specs=[anywhere] * len(out),
        scratch_shapes=[pltpu.SemaphoreType.DMA],
    )
    size = 2 * sum(x.size * x.dtype.itemsize for x in moved)  # read and written
    found = pl.pallas_call(
        partial(kernel, len(out)),
        grid_spec=grid,
        out_shape=list(out),
        input_output_aliases=in_place,
        interpret=interpret,
        metadata={"trips": f"{lanes}", "bytes": str(size)},  # for a reader of the program
        name=name,
    )(task, *arrays)
    return list(found)


def _take_kernel(count: int, task_ref: Any, *refs: Any) -> None:
    stacked, branch, arrived = refs[:count], refs[count:-1], refs[-1]
    lane = pl.program_id(0)
    own = pl.ds(task_ref[lane, 0], 1)
    _copy([(of.at[lane, own], to.at[lane]) for of, to in zip(stacked, branch, strict=True)], arrived)


def _put_kernel(count: int, task_ref: Any, *refs: Any) -> None:
    branch, stacked, gone = refs[:count], refs[2 * count : -1], refs[-1]
    lane = pl.program_id(0)
    own = pl.ds(task_ref[lane, 0], 1)
    _copy([(of.at[lane], to.at[lane, own]) for of, to in zip(branch, stacked, strict=True)], gone)


def _copy(pairs: Sequence[tuple[Any, Any]], semaphore: Any) -> None:
    """All of them at once."""
    copies = [pltpu.make_async_copy(*pair, semaphore) for pair in pairs]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.wait()
