"""The programs of lanes. Cached, so that jobs of equal sizes share one: jax.jit would compile a new function again."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from kd_jax.data.packing import Batches
from kd_jax.models.execution import Execution
from kd_jax.models.tagger import Tagger
from kd_jax.settings import Head, Settings
from kd_jax.structs import LossWeights, Outputs
from kd_jax.training import mesh as meshes
from kd_jax.training.held import held_state
from kd_jax.training.objective import Knowledge
from kd_jax.training.state import Start, TrainState, init_state
from kd_jax.training.step import Sums, TokenData, tag_steps, train_steps


@lru_cache
def starter(
    tagger: Tagger, settings: Settings, head: Head, word_rows: int, matched: Outputs, mesh: Any
) -> Callable[..., TrainState]:
    """`init_state` of every lane, as the tagger's programs hold it."""
    drawn_by = tagger.clone(how=Execution())  # whose programs are compiled sooner, and draw the same

    def start(lane: tuple[Any, LossWeights], _: tuple[()], shared: Start) -> TrainState:
        return held_state(tagger, init_state(drawn_by, settings, head, *lane, word_rows, shared, matched))

    return meshes.over_lanes(start, mesh)


@lru_cache
def trainer(tagger: Tagger, settings: Settings, mesh: Any) -> Callable[..., tuple[TrainState, Sums]]:
    """`train_steps` of every lane."""

    def run(
        state: TrainState, batches: Batches, shared: tuple[TokenData, Knowledge | None, Any]
    ) -> tuple[TrainState, Sums]:
        return train_steps(tagger, settings, state, batches, *shared)

    return meshes.over_lanes(run, mesh, donate=True)


@lru_cache
def labeller(tagger: Tagger, mesh: Any) -> Callable[..., Any]:
    """`tag_steps` of every lane."""

    def run(params: Any, _: tuple[()], shared: tuple[Batches, TokenData]) -> Any:
        return tag_steps(tagger, params, *shared)

    return meshes.over_lanes(run, mesh)
