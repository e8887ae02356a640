"""Lanes over devices: sharded over all local ones, and on each either vmapped or one after the other.

On an accelerator a lane leaves most of the chip idle, so the lanes of a device are vmapped. A CPU core is filled by
one lane: there every core is made a device of its own, and the lanes of a core run in turn.
"""

import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Shaped

LANE = PartitionSpec("lane")
EVERYWHERE = PartitionSpec()


def use_all_cores() -> None:
    """Make every CPU core a device, unless another number was set; to be called before the first array exists."""
    config: Any = jax.config
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", "") and config.jax_num_cpu_devices < 0:
        config.update("jax_num_cpu_devices", len(os.sched_getaffinity(0)))


@lru_cache
def lane_mesh(lanes: int) -> Mesh:
    """A mesh of as many local devices as can each have a lane."""
    devices = jax.local_devices()
    return Mesh(np.array(devices[: max(1, min(lanes, len(devices)))]), ("lane",))


def shard(tree: Any, mesh: Mesh) -> Any:
    """Arrays with a leading lane axis, [L, ...], onto the mesh; L must be a multiple of its devices."""
    return jax.device_put(tree, NamedSharding(mesh, LANE))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Arrays that all lanes read, onto every device of the mesh."""
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def shapes(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Host arrays, or shapes, as shapes on a mesh: enough to compile for devices that are not here."""
    where = NamedSharding(mesh, spec)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), _dtype(x), sharding=where), tree)


def _dtype(x: Any) -> Any:
    return jax.dtypes.canonicalize_dtype(x.dtype if hasattr(x, "dtype") else np.asarray(x).dtype)


def platform_of(mesh: Mesh) -> str:
    """The platform of a mesh's devices, as JAX names it."""
    return str(mesh.devices.flat[0].platform)


def fill_up(lanes: Sequence[Any], mesh: Mesh) -> list[Any]:
    """Lanes, the last repeated until every device has as many; the results of the repeated ones are thrown away."""
    missing = -len(lanes) % mesh.size
    return [*lanes, *[lanes[-1]] * missing]


def over_lanes(function: Callable[..., Any], mesh: Mesh, donate: bool = False) -> Callable[..., Any]:
    """A function of one lane, made one of all lanes.

    Args:
        function: f(state, lane, shared); state and lane are pytrees of one lane's arrays, shared of arrays that all
            lanes read.
        mesh: the devices.
        donate: whether the states' memory may be reused.

    Returns:
        A jitted function of (states, lanes, shared), the first two with a leading L; so has its result.
    """

    def local(states: Any, lanes: Any, shared: Any) -> Any:
        def one(state_and_lane: tuple[Any, Any]) -> Any:
            return function(*state_and_lane, shared)

        # lax.map compiles the one-lane step once and loops; vmap would batch matmuls that already fill a core.
        in_turn = platform_of(mesh) == "cpu"
        return lax.map(one, (states, lanes)) if in_turn else jax.vmap(one)((states, lanes))

    # Unchecked: nothing is exchanged between devices, and with the check every scan that starts from zeros would have
    # to say that its carry differs between them.
    mapped = jax.shard_map(local, mesh=mesh, in_specs=(LANE, LANE, PartitionSpec()), out_specs=LANE, check_vma=False)
    return jax.jit(mapped, donate_argnums=(0,) if donate else ())


def take_lane(tree: Any, lane: int) -> Any:
    """One lane's arrays on the host, [L, ...] to [...]."""
    return jax.tree.map(lambda x: np.asarray(x[lane]), tree)


def lane_array(values: Sequence[float], dtype: Any = np.float32) -> Shaped[np.ndarray, "L"]:
    """A scalar of each lane, [L]."""
    return np.asarray(values, dtype)
