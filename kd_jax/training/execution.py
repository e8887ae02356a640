"""Which form of the recurrence runs: what a run's settings say, or the fastest that is right on the device."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

from kd_jax.errors import InputError
from kd_jax.models.bilstm import BiLSTM
from kd_jax.models.execution import Execution, Platform, Recurrence
from kd_jax.settings import Settings
from kd_jax.structs import Array
from kd_jax.training.mesh import platform_of

PLATFORMS: dict[str, Platform] = {"cpu": "cpu", "tpu": "tpu", "gpu": "gpu", "cuda": "gpu", "rocm": "gpu"}
"""By JAX's names for them."""
ALIKE = 0.03  # of the largest value: a device's default products round to 8 bits, and 128 time steps add up
REPEATS = 5
SCAN = "recurrence: the scan, as the fused kernels"


class Choice(NamedTuple):
    """A form of the recurrence that was chosen, and why, for people; "" where nothing was compared."""

    recurrence: Recurrence
    why: str = ""


def execution(platform: str, settings: Settings, recurrence: Recurrence | None = None) -> Execution:
    """How a program is computed on a platform, named as JAX names it.

    Args:
        platform: of the devices.
        settings: of the run; with "auto" the recurrence is the scan, which is right everywhere.
        recurrence: that was chosen; None for what the settings say.

    Raises:
        InputError: for fused kernels where there are none.
    """
    asked, here = settings.runtime.recurrence, PLATFORMS[platform]
    form = recurrence or ("scan" if asked == "auto" else asked)
    if form == "fused" and here == "cpu":
        raise InputError("runtime.recurrence=fused: there are kernels for TPUs and NVIDIA GPUs, not for this device")
    return Execution(here, form)


def choose(settings: Settings, lanes: int, mesh: Any) -> Choice:
    """The form of the recurrence to run: with "auto" the fused kernels where they are right, and no slower.

    Args:
        settings: of the run; the shapes are its own.
        lanes: on all devices together.
        mesh: the devices.

    Raises:
        InputError: as `execution`.
    """
    how = execution(platform_of(mesh), settings)
    if settings.runtime.recurrence != "auto" or how.platform == "cpu":
        return Choice(how.recurrence)
    try:
        return compare(settings, -(-lanes // mesh.size), how._replace(recurrence="fused"))
    except Exception as fault:
        return Choice("scan", f"{SCAN} do not run here ({[*str(fault).splitlines(), repr(fault)][0]})")


def compare(settings: Settings, lanes: int, kernels: Execution) -> Choice:
    """The fused kernels beside the scan: values, gradients and time of both BiLSTMs, for some lanes of one device."""
    model = settings.model
    scan = kernels._replace(recurrence="scan")
    seconds = {scan: 0.0, kernels: 0.0}
    layers = (model.words.dim + model.chars.units, model.shared_units), (2 * model.shared_units, model.task_units)
    for size, units in layers:
        results = {}
        for how in seconds:
            run, inputs = _case(settings, lanes, units, size, how)
            results[how] = run(*inputs)
            seconds[how] += _timed(partial(run, *inputs))
        worst = max(jax.tree.leaves(jax.tree.map(_apart, results[kernels], results[scan])))
        if not worst <= ALIKE:
            return Choice("scan", f"{SCAN} give other values (by {worst:.2g} of the largest)")
    told = f"{1e3 * seconds[kernels]:.2f} ms a step against {1e3 * seconds[scan]:.2f} ms"
    if seconds[kernels] > seconds[scan]:
        return Choice("scan", f"{SCAN} are slower, {told}")
    return Choice("fused", f"recurrence: fused kernels, {told} of the scan")


def _case(settings: Settings, lanes: int, units: int, size: int, how: Execution) -> tuple[Callable[..., Any], Any]:
    """A BiLSTM's values and gradients for every lane, and random rows of the run's own shape."""
    rows, steps = settings.train.rows, settings.train.row_length
    module = BiLSTM(units, settings.model.compute, how)
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], (lanes, rows, steps, size))
    target = jax.random.normal(keys[1], (lanes, rows, steps, 2 * units))
    starts = (jax.random.uniform(keys[2], (lanes, rows, steps)) < 1 / 20).at[..., 0].set(True)
    # Drawn by the scan's module, which has the same parameters and is compiled sooner.
    init = jax.jit(jax.vmap(BiLSTM(units).init))
    params = init(jax.random.split(keys[3], lanes), x, starts)

    def of_lane(params: Any, x: Array, starts: Array, target: Array) -> Any:
        def loss(params: Any, x: Array) -> tuple[Array, Array]:
            h = module.apply(params, x, starts)
            return jnp.square(h - target).mean(), h

        return jax.value_and_grad(loss, (0, 1), has_aux=True)(params, x)

    return jax.jit(jax.vmap(of_lane)), (params, x, starts, target)


def _apart(ours: Float[Array, "*axes"], theirs: Float[Array, "*axes"]) -> float:
    return float(jnp.abs(ours - theirs).max() / jnp.maximum(jnp.abs(theirs).max(), 1e-30))


def _timed(run: Callable[[], Any]) -> float:
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(run())
        found.append(time.perf_counter() - began)
    return statistics.median(found)
