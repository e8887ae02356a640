"""Parameters as programs hold them from call to call, and as everything else has them.

A TPU's are padded to whole tiles, all branches of a teacher among them. Done at each call, of up to 64 steps, that was
as much as a third of the steps themselves; so they are padded before the first call, and cut where they are read.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np

from kd_jax.models import tiled
from kd_jax.models.tagger import Tagger
from kd_jax.training.state import TrainState

PARTS = ("words",), ("encoder", "branch")
"""What is padded and cut, one part after the other, so that no more than one is there twice."""


def held(tagger: Tagger, params: Any) -> Any:
    """Parameters, or a tree of their shapes, of one lane or [L, ...], as the tagger's programs take them."""
    return _changed(_tiler(tagger), params) if tiled.is_tiled(tagger) else params


def settled(tagger: Tagger, params: Any) -> Any:
    """What `held` was given."""
    return _changed(_cutter(tagger), params) if tiled.is_tiled(tagger) else params


def held_state(tagger: Tagger, state: TrainState) -> TrainState:
    """A state, of one lane or [L, ...], as the tagger's programs take it."""
    return _with_trees(partial(held, tagger), state)


def saved_state(tagger: Tagger, state: TrainState, lanes: int) -> TrainState:
    """What `held_state` was given, on the host, of the first lanes, [lanes, ...]."""

    def on_host(tree: Any) -> Any:
        return jax.tree.map(lambda x: np.asarray(x)[:lanes], tree)

    def cut(params: Any) -> Any:
        return _changed(lambda part: on_host(_cutter(tagger)(part)), params)

    return on_host(_with_trees(cut, state) if tiled.is_tiled(tagger) else state)


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
