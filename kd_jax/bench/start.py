"""From nothing to the first finished steps: what the bench starts as a process of its own, and how it is asked.

python -m kd_jax.bench.start '{"data_dir": "DIR", "datasets": ["NCBI"], ...}'
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kd_jax.errors import InputError

STEPS = 2


@dataclass(frozen=True)
class Start:
    """What to start.

    Attributes:
        data_dir: folder of corpora; "" for a synthetic one.
        datasets: names; none for all.
        scheme: of the tags; "" for what the files say.
        settings: as `kd_jax.settings.to_dict` gives them.
        lanes: trained at the same time.
    """

    data_dir: str
    datasets: tuple[str, ...]
    scheme: str
    settings: Mapping[str, Any]
    lanes: int


@dataclass(frozen=True)
class Started:
    """What a start took.

    Attributes:
        seconds: from the process's beginning to the end of its first call, of 2 steps.
        peak: bytes in use at most, by the whole process or the accelerator.
        grown: bytes that came with the arrays when the same was trained once more; all of them on an accelerator.
    """

    seconds: float
    peak: int
    grown: int


def measure(start: Start, cache: Path) -> Started:
    """Start a process and wait until it has trained its first steps.

    Args:
        start: what it is to train.
        cache: folder of compiled programs; those that are missing are compiled and put there.

    Raises:
        InputError: where it fails, with the last line of what it said.
    """
    # The time of day, since it is the one clock that both processes have; Python's own start counts.
    output = fresh(["kd_jax.bench.start", json.dumps(asdict(start) | {"began": time.time()})], cache)
    return Started(**json.loads(output.splitlines()[-1]))


def fresh(module: Sequence[str], cache: Path) -> str:
    """Run a module as a process of its own and wait for its end.

    Args:
        module: its name and arguments.
        cache: folder of compiled programs; those that are missing are compiled and put there.

    Returns:
        What it printed.

    Raises:
        InputError: where it fails, with the last line of what it said.
    """
    environment = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_ENABLE_COMPILATION_CACHE": "true",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",  # JAX would keep programs of a second and more alone
    }
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)
    if done.returncode:
        raise InputError(f"a fresh start failed: {(done.stderr.strip() or 'it said nothing').splitlines()[-1]}")
    return done.stdout


def main(description: str) -> None:
    """Train two steps as asked for and print what that took as JSON."""
    import jax  # noqa: PLC0415 - importing is part of what is measured

    from kd_jax.bench.synthetic import synthetic_corpus  # noqa: PLC0415
    from kd_jax.corpora.registry import load  # noqa: PLC0415
    from kd_jax.cost.timing import StepTimer, timing_job  # noqa: PLC0415
    from kd_jax.runtime.device import enable_compilation_cache, forget_peak, peak_bytes  # noqa: PLC0415
    from kd_jax.settings import Settings, from_dict  # noqa: PLC0415
    from kd_jax.training.mesh import use_all_cores  # noqa: PLC0415

    wanted = json.loads(description)
    began = wanted.pop("began")
    start = Start(**wanted)
    use_all_cores()
    enable_compilation_cache()
    jax.local_devices()
    named = start.datasets or None
    corpora = load(Path(start.data_dir), named, start.scheme or None) if start.data_dir else [synthetic_corpus()]
    job = timing_job(corpora, from_dict(Settings, dict(start.settings)), start.lanes, STEPS)
    first = StepTimer(job)
    first.epoch()
    seconds = time.time() - began
    first.close()
    del first
    before = forget_peak()  # what is compiled stays; arrays are made anew
    StepTimer(job).epoch()
    peak, of = peak_bytes()
    print(json.dumps(asdict(Started(seconds, peak, peak if of == "device" else peak - before))))


if __name__ == "__main__":
    main(sys.argv[1])
