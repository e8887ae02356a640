"""Functions of independent groups, for which vmap makes more groups."""

from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap
from jaxtyping import Shaped

from kd_jax.structs import Array


def over_groups(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays [G, ...] that vmap calls once, with all lanes' groups, rather than with an axis of its own.

    Args:
        function: of arrays with a leading axis of groups; so are its results.
    """
    grouped = custom_vmap(function)

    @grouped.def_vmap
    def _(lanes: int, batched: list[bool], *arrays: Shaped[Array, "..."]) -> tuple[Any, Any]:
        every = [x if own else jnp.broadcast_to(x, (lanes, *x.shape)) for x, own in zip(arrays, batched, strict=True)]
        groups = every[0].shape[1]
        found = grouped(*(x.reshape(lanes * groups, *x.shape[2:]) for x in every))
        apart = jax.tree.map(lambda x: x.reshape(lanes, groups, *x.shape[1:]), found)
        return apart, jax.tree.map(lambda _: True, apart)

    return cast(Callable[..., Any], grouped)
