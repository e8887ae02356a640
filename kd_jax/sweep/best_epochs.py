"""The parameters of each lane's best epoch on devel, kept while training goes on."""

from collections.abc import Sequence
from typing import Any

from kd_jax.data.pipeline import stack_lanes
from kd_jax.training import mesh as meshes
from kd_jax.training.loop import Progress


class BestEpochs:
    """The parameters of each lane's best epoch on devel."""

    def __init__(self, lanes: int) -> None:
        self.f1 = [-1.0] * lanes
        self.epoch = [0] * lanes
        self._params: list[Any] = [None] * lanes

    def offer(self, epoch: int, f1: Sequence[float], progress: Progress) -> None:
        """Keep what is better than before; of equals the earlier."""
        better = [i for i, value in enumerate(f1) if value > self.f1[i]]
        params = progress.params if better else None
        for i in better:
            self.f1[i], self.epoch[i], self._params[i] = f1[i], epoch, meshes.take_lane(params, i)

    def saved(self, like: Any) -> tuple[list[float], list[int], Any]:
        """What `restore` takes; lanes without a best epoch yet have the given parameters, [L, ...]."""
        # Arrays of lanes are stacked, so a lane without a best epoch needs some; `restore` knows it by its epoch 0.
        now = [meshes.take_lane(like, i) if p is None else p for i, p in enumerate(self._params)]
        return self.f1, self.epoch, stack_lanes(now)

    def restore(self, saved: tuple[list[float], list[int], Any]) -> None:
        """Go on from what `saved` gave."""
        self.f1, self.epoch = list(saved[0]), list(saved[1])
        self._params = [meshes.take_lane(saved[2], i) if epoch else None for i, epoch in enumerate(self.epoch)]

    def stacked(self, lanes: int) -> Any:
        """All lanes' best parameters on the host, and copies of the last up to so many lanes, [lanes, ...]."""
        return stack_lanes([*self._params, *[self._params[-1]] * (lanes - len(self._params))])
