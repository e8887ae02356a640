"""Parameters as programs hold them from call to call, and as everything else has them.

A TPU's are padded to whole tiles, all branches of a teacher among them. Done at each call, of up to 64 steps, that was
as much as a third of the steps themselves; so they are padded before the first call, and cut on their way to the host.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from kd_jax.models import tiled
from kd_jax.models.tagger import Tagger
from kd_jax.training import mesh as meshes
from kd_jax.training.state import TrainState

PARTS = ("words",), ("encoder", "branch")
"""What is padded and cut, one part after the other, so that a device has no more than one of them twice."""


def held(tagger: Tagger, params: Any, mesh: Any = None) -> Any:
    """Parameters as the tagger's programs take them.

    Args:
        tagger: whose programs.
        params: of one lane or [L, ...], or a tree of their shapes; best on the host, which has room for them.
        mesh: the devices that get lanes, [L, ...]; None for wherever the arrays are.
    """

    def put(part: Any) -> Any:
        return part if mesh is None else meshes.shard(part, mesh)

    return put(_changed(lambda part: _tiler(tagger)(put(part)), params) if tiled.is_tiled(tagger) else params)


def settled(tagger: Tagger, params: Any) -> Any:
    """What `held` was given: on the host where they had to be cut, else as they are."""
    if not tiled.is_tiled(tagger):
        return params
    return _changed(lambda part: jax.device_get(_cutter(tagger)(part)), params)


def held_state(tagger: Tagger, state: TrainState, mesh: Any = None) -> TrainState:
    """A state as the tagger's programs take it; arguments as of `held`."""
    found = _with_trees(partial(held, tagger, mesh=mesh), state)
    return found if mesh is None else meshes.shard(found, mesh)


def saved_state(tagger: Tagger, state: TrainState, lanes: int) -> TrainState:
    """What `held_state` was given, on the host, of the first lanes, [lanes, ...]."""
    found: TrainState = jax.tree.map(lambda x: np.asarray(x)[:lanes], _with_trees(partial(settled, tagger), state))
    return found


def _changed(change: Callable[[Any], Any], params: Any) -> Any:
    for part in PARTS:
        params = params | change({name: params[name] for name in part})
    return params


@lru_cache
def _tiler(tagger: Tagger) -> Callable[[Any], Any]:
    return jax.jit(partial(tiled.tile, tagger))


@lru_cache
def _cutter(tagger: Tagger) -> Callable[[Any], Any]:
    return jax.jit(partial(tiled.untile, tagger))


def _with_trees(change: Callable[[Any], Any], state: TrainState) -> TrainState:
    """A state whose trees of the parameters' shapes are changed."""
    clip, adam = state.opt_state
    moments = adam._replace(mu=change(adam.mu), nu=change(adam.nu))
    return state._replace(params=change(state.params), opt_state=(clip, moments))
