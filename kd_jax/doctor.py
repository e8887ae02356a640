"""What this machine has for kd_jax: versions, devices, memory, a program compiled and run, a verdict in one line."""

import importlib.util
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from kd_jax import cli

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "seqeval", "safetensors")
TOLERANCE = 1e-3  # of a sum of 64 products, TF32 included


def define(_: cli.Flags) -> None:
    """It has no flags of its own."""


def doctor(_: Any, __: list[str]) -> int:
    """Print what there is; 1 where the verdict is bad."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    print(f"python {platform.python_version()} on {platform.platform()}")
    for name in PACKAGES:
        try:
            print(f"{name} {version(name)}")
        except PackageNotFoundError:
            print(f"verdict: {name} is missing; install with: pip install -e . in a checkout")
            return 1
    fault, summary = _devices()
    print(f"verdict: {fault or summary}")
    return 1 if fault else 0


def _devices() -> tuple[str, str]:
    """What is wrong, "" where nothing is, and otherwise what will be computed on."""
    import jax  # noqa: PLC0415 - what is missing is told first

    try:
        devices = jax.local_devices()
    except RuntimeError as wrong:
        return f"no device: {str(wrong).splitlines()[0]}", ""
    for device in devices:
        stats = device.memory_stats() if device.platform != "cpu" else None
        limit = f", {stats['bytes_limit'] / 2**30:.1f} GiB" if stats and "bytes_limit" in stats else ""
        print(f"device {device.id}: {device.device_kind} ({device.platform}){limit}")
    print(f"memory {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB")
    cores = len(os.sched_getaffinity(0))
    print(f"CPU cores {cores}")
    began = time.perf_counter()
    error = _compile_check()
    print(f"a recurrence compiled and run in {time.perf_counter() - began:.1f} s, relative error {error:.0e}")
    if not error < TOLERANCE:
        return f"{devices[0].device_kind} computes a recurrence wrongly; reinstall jax for this device", ""
    wants_cpu = os.environ.get("JAX_PLATFORMS") == "cpu"
    if devices[0].platform == "cpu" and not wants_cpu and importlib.util.find_spec("jax_cuda12_plugin"):
        lacking = "jax for NVIDIA is installed, but no GPU is seen; look at nvidia-smi and LD_LIBRARY_PATH"
        return f"{lacking}, or set JAX_PLATFORMS=cpu where there is none", ""
    return "", f"OK: kd_jax runs on {len(devices)} x {devices[0].device_kind}, {cores} CPU cores"


def _compile_check() -> float:
    """Relative error of a small LSTM over rows of two sentences against the same in numpy."""
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    from kd_jax.models.bilstm import lstm  # noqa: PLC0415

    steps, rows, units = 16, 2, 64
    rng = np.random.default_rng(0)
    projected = rng.normal(size=(steps, rows, 4 * units)).astype(np.float32)
    recurrent = (rng.normal(size=(1, units, 4 * units)) / units**0.5).astype(np.float32)
    keep = (np.arange(steps) % 8 > 0).astype(np.float32)[:, None, None] * np.ones((1, rows, 1), np.float32)
    (got,) = jax.jit(lambda p, u, k: lstm((p,), u, (k,)))(projected, recurrent, keep)
    h = c = np.zeros((rows, units))
    wanted = []
    for z, kept in zip(projected, keep, strict=True):
        i, f, o, g = np.split(z + (h * kept) @ recurrent[0], 4, -1)
        sigmoid = [1 / (1 + np.exp(-gate)) for gate in (i, f, o)]
        c = sigmoid[1] * c * kept + sigmoid[0] * np.tanh(g)
        h = sigmoid[2] * np.tanh(c)
        wanted.append(h)
    return float(jnp.abs(got - np.stack(wanted)).max() / np.abs(wanted).max())


COMMAND = cli.Command(__doc__ or "", define, doctor)

if __name__ == "__main__":
    cli.run(COMMAND)
