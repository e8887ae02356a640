"""Which form of the recurrence runs: what a run's settings say, or the fastest that is right on the device."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from kd_jax.data.vocab import Forms
from kd_jax.errors import InputError
from kd_jax.models.execution import Execution, Platform, Recurrence
from kd_jax.models.tagger import Batch, Tagger, init_params
from kd_jax.settings import Settings
from kd_jax.structs import Array, Outputs
from kd_jax.training.held import held, settled
from kd_jax.training.mesh import platform_of
from kd_jax.training.step import run_tagger

PLATFORMS: dict[str, Platform] = {"cpu": "cpu", "tpu": "tpu", "gpu": "gpu", "cuda": "gpu", "rocm": "gpu"}
"""By JAX's names for them."""
ALIKE = 0.03  # of the largest value: a device's default products round to 8 bits, and 128 time steps add up
REPEATS = 5
ALPHABET, LABELS = 90, 3  # of what is compared: about as many as a corpus of one type has
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
        return Choice("scan", f"{SCAN} can't be compared with it here ({[*str(fault).splitlines(), repr(fault)][0]})")


def compare(settings: Settings, lanes: int, kernels: Execution) -> Choice:
    """The fused kernels beside the scan: values, gradients and time of whole taggers, for some lanes of one device."""
    scan = kernels._replace(recurrence="scan")
    seconds, results = {}, {}
    for how in (scan, kernels):
        tagger = Tagger(settings.model, ALPHABET, LABELS, how)
        run, inputs = _case(settings, lanes, tagger)
        outputs, gradients = run(*inputs)
        results[how] = outputs, _compared(settled(tagger, gradients))
        seconds[how] = _timed(partial(run, *inputs))
    worst = float(np.max(jax.tree.leaves(jax.tree.map(_apart, results[kernels], results[scan]))))
    if not worst <= ALIKE:
        return Choice("scan", f"{SCAN} give other values (by {worst:.2g} of the largest)")
    told = f"{1e3 * seconds[kernels]:.2f} ms a step against {1e3 * seconds[scan]:.2f} ms"
    if seconds[kernels] > seconds[scan]:
        return Choice("scan", f"{SCAN} are slower, {told}")
    return Choice("fused", f"recurrence: fused kernels, {told} of the scan")


def _case(settings: Settings, lanes: int, tagger: Tagger) -> tuple[Callable[..., Any], Any]:
    """Every lane's outputs and gradients, dropout included, and a random batch of the run's own shape."""
    rows, steps = settings.train.rows, settings.train.row_length
    keys = jax.random.split(jax.random.key(0), 5)
    places = jnp.arange(rows * steps)
    forms = jnp.arange(len(places) // 2 + 1)  # each of two tokens, and a word of its own: about as many as a batch has
    chars = jax.random.randint(keys[0], (len(forms), settings.model.chars.longest), 0, ALPHABET)
    batch = Batch(
        mask=jnp.ones((rows, steps), bool),
        starts=(jax.random.uniform(keys[1], (rows, steps)) < 1 / 20).at[:, 0].set(True),
        form_index=(places // 2).reshape(rows, steps),
        form_to_word=forms,
        forms=Forms(forms, chars, forms < 0),
    )
    # Drawn by the scan's module, which has the same parameters and is compiled sooner.
    init = jax.jit(jax.vmap(lambda key: init_params(tagger.clone(how=Execution()), key, 1, len(forms))))
    params = init(jax.random.split(keys[2], lanes))
    params = held(tagger, params | {"branch": jax.tree.map(lambda x: x[:, 0], params["branch"])})
    target = jax.random.normal(keys[3], (rows, steps, LABELS))

    def of_lane(params: Any, batch: Batch, target: Array) -> Any:
        def loss(params: Any) -> tuple[Array, Outputs]:
            found = run_tagger(tagger, params, batch, params["words"], keys[4])
            return jnp.square(found.logits - target).mean(), found

        gradients, found = jax.grad(loss, has_aux=True)(params)
        return found, gradients

    return jax.jit(jax.vmap(of_lane, (0, None, None))), (params, batch, target)


def _compared(gradients: Any) -> Any:
    """All but the characters': in bfloat16 places tie for a filter's maximum, and which has the gradient is chance."""
    encoder = {name: part for name, part in gradients["encoder"].items() if name != "chars"}
    return gradients | {"encoder": encoder}


def _apart(ours: Float[Array, "*axes"], theirs: Float[Array, "*axes"]) -> float:
    return float(jnp.abs(ours - theirs).max() / jnp.maximum(jnp.abs(theirs).max(), 1e-30))


def _timed(run: Callable[[], Any]) -> float:
    found = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(run())
        found.append(time.perf_counter() - began)
    return statistics.median(found)
