"""What the device at hand can do, is measured to have used, and remembers of programs compiled before."""

import ctypes
import gc
import hashlib
import os
import platform
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp


def cache_folder() -> Path:
    """Where compiled programs are kept: kd_jax/compiled in XDG_CACHE_HOME or ~/.cache, a folder for each kind of CPU.

    Programs compiled for one kind of CPU may not run on another that shares the home directory.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        kind = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        kind = platform.processor()
    return base / "kd_jax" / "compiled" / f"{platform.machine()}-{hashlib.sha256(kind.encode()).hexdigest()[:8]}"


def enable_compilation_cache() -> None:
    """Keep compiled programs on disk from now on, so that the next start need not compile them.

    JAX's own variables go first: JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=false
    keeps nothing. Where the folder can't be made or written, nothing is kept.
    """
    config: Any = jax.config
    if config.jax_compilation_cache_dir is not None or not config.jax_enable_compilation_cache:
        return
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # who can write there can run code here
    except (OSError, RuntimeError):
        return
    if os.access(folder, os.W_OK):
        config.update("jax_compilation_cache_dir", str(folder))
        config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def devices() -> str:
    """How many devices this host has of what kind, as a work folder's settings.json tells it."""
    return f"{jax.local_device_count()} x {kind()}"


def kind() -> str:
    """Of what kind this host's devices are."""
    return str(jax.local_devices()[0].device_kind)


def describe() -> str:
    """The devices in words, a CPU by its name."""
    on_cpu = jax.default_backend() == "cpu"
    return f"{len(os.sched_getaffinity(0))} CPU cores, {_cpu_name()}" if on_cpu else devices()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def matmul_rate(dtype: str, size: int | None = None, repeats: int = 5) -> float:
    """Measured floating-point operations a second of square matmuls on one device; the median of some repeats.

    On a CPU one device's matmul uses every core that the process has. The precision is JAX's default, as the model's.

    Args:
        dtype: of the factors.
        size: of the matrices; None for what suits the platform.
        repeats: timed ones, after one that is not.
    """
    if size is None:
        size = 1536 if jax.default_backend() == "cpu" else 8192
    a = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        product(a, a).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / statistics.median(seconds)


def copy_rate(size: int | None = None, repeats: int = 5) -> float:
    """Measured bytes a second that one device reads and writes together; the median of some repeats.

    Args:
        size: bytes of the array; None for what no cache holds.
        repeats: timed ones, after one that is not.
    """
    if size is None:
        size = 2**27 if jax.default_backend() == "cpu" else 2**31
    x = jnp.ones(size // 4, jnp.float32)
    scaled = jax.jit(lambda y: y * 1.5)
    scaled(x).block_until_ready()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        scaled(x).block_until_ready()
        seconds.append(time.perf_counter() - began)
    return 2 * size / statistics.median(seconds)


def forget_programs(share: float = 0.5) -> bool:
    """Drop compiled programs from memory, if they hold more than a share of the memory maps that a process may have.

    Each program of a CPU takes hundreds of maps, of which Linux allows 65,530: a sweep over many corpora would end
    with "Cannot allocate memory" though most of the memory is free. What is needed again comes from the cache on disk.

    Args:
        share: of the maps allowed, 0 to 1, up to which programs are kept.

    Returns:
        Whether they were dropped; False where the system doesn't say how many there are.
    """
    try:
        held = Path("/proc/self/maps").read_bytes().count(b"\n")
        allowed = int(Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    if held <= share * allowed:
        return False
    jax.clear_caches()
    return True


def peak_bytes() -> tuple[int, str]:
    """The most memory used so far, and what it is of.

    Returns:
        Bytes: of the first accelerator as its allocator tells, otherwise of the process as the kernel does.
    """
    stats = jax.local_devices()[0].memory_stats() if jax.default_backend() != "cpu" else None
    if stats and "peak_bytes_in_use" in stats:
        return stats["peak_bytes_in_use"], "device"
    peak = _status("VmHWM")
    return peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "process"


def available_memory() -> int | None:
    """Bytes that can still be used on all local devices together, as the least of them has; None where unknown."""
    if jax.default_backend() != "cpu":
        stats = [device.memory_stats() or {} for device in jax.local_devices()]
        if not all("bytes_limit" in one for one in stats):
            return None
        return len(stats) * min(one["bytes_limit"] - one["bytes_in_use"] for one in stats)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    free = [1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return min([*free, *_left_in_groups(Path("/sys/fs/cgroup"))], default=None)


def _left_in_groups(root: Path) -> list[int]:
    """Bytes that each control group of this process, as of a container or a batch job, may still take."""
    try:
        group = Path("/proc/self/cgroup").read_text(encoding="utf-8").rsplit("::", 1)[-1].strip().strip("/")
    except OSError:
        return []
    left = []
    for folder in (root / group, *(root / group).parents):
        try:
            bound = int((folder / "memory.max").read_text(encoding="ascii"))
            left.append(bound - int((folder / "memory.current").read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such group, or "max"
            continue
    return left


def forget_peak() -> int:
    """Give freed memory back and let the kernel count the process's peak anew, where it can.

    Returns:
        Bytes that the process has now.
    """
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError):
        pass
    return _status("VmRSS") or peak_bytes()[0]


def _status(name: str) -> int:
    """A line of /proc/self/status in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
