"""Kill a real run at random moments, again and again, and see that it ends as if nothing had happened.

The bundled sample is trained once undisturbed. Then the same command is started in another work folder and killed by
SIGKILL at a random moment, over and over; whenever it comes to its end, every trained parameter, results.csv and
types.csv (but for times) and the counts by sentence are compared with the undisturbed run's, byte for byte, and the
next round begins in a fresh folder.

    python benchmarks/kill_loop.py --kills=50 --folder=DIR
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

COMMAND = [
    *(sys.executable, "-m", "kd_jax.main", "--datasets=SampleChem,SampleMix", "--targets=SampleMix", "--seeds=2"),
    *("--protocol=train", "--set", "saving.minutes=0"),
]


def start(workdir: Path, epochs: int, output: Path) -> subprocess.Popen[bytes]:
    """The run in a process of its own; compiled programs are kept beside the work folders."""
    command = [*COMMAND, f"--epochs={epochs}", f"--workdir={workdir}"]
    environment = os.environ | {"XDG_CACHE_HOME": str(output.parent / "cache")}
    with output.open("ab") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


def state_of(workdir: Path) -> str:
    """What a killed run was doing, as its work folder tells."""
    if list(workdir.glob("checkpoints/*/*-tmp*")):
        return "while a checkpoint was written"
    if list(workdir.rglob("*.partial")):
        return "while a model, knowledge or table was written"
    if list(workdir.glob("checkpoints/*/[0-9]*")):
        return "between checkpoints"
    models = len(list(workdir.rglob("model.json")))
    return "between cells" if models else "before the first checkpoint"


def outcome(workdir: Path) -> dict[str, Any]:
    """Everything of a finished run that must not depend on how it came about."""
    found: dict[str, Any] = {}
    for name in ("results.csv", "types.csv"):
        with (workdir / name).open(encoding="utf-8", newline="") as file:
            found[name] = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    for path in sorted(workdir.rglob("model.json")):
        found[str(path.relative_to(workdir))] = parameters(path.parent)
    for path in sorted(workdir.glob("counts/**/*.npy")):
        found[str(path.relative_to(workdir))] = np.load(path, allow_pickle=False).tobytes()
    return found


def parameters(folder: Path) -> str:
    """The checksum of a model's parameters, which reading them has confirmed."""
    from kd_jax.training.saved_model import load_model  # noqa: PLC0415 - only the finished runs need JAX

    load_model(folder)
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))["params_sha256"]


def compare(whole: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what differs."""
    return sorted(name for name in whole.keys() | other.keys() if whole.get(name) != other.get(name))


def leftovers(workdir: Path) -> list[str]:
    """Unfinished files that a finished run should have cleared away."""
    return [str(p.relative_to(workdir)) for p in workdir.rglob("*") if p.name.endswith(".partial") or "-tmp" in p.name]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--epochs", type=int, default=6)
    options.add_argument("--seed", type=int, default=1, help="of the moments")
    options.add_argument("--folder", type=Path, help="for the work folders; default: temporary")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        return run(asked.folder or Path(temporary), asked.kills, asked.epochs, random.Random(asked.seed))


def run(folder: Path, kills: int, epochs: int, moments: random.Random) -> int:
    """Kill, compare, and print the table; 1 where anything differed."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("whole", "killed"):
        shutil.rmtree(folder / stale, ignore_errors=True)
    began = time.monotonic()
    if start(folder / "whole", epochs, folder / "whole.log").wait():
        print(f"the undisturbed run failed, see {folder / 'whole.log'}")
        return 1
    seconds = time.monotonic() - began
    whole = outcome(folder / "whole")
    models = sum(name.endswith("model.json") for name in whole)
    print(f"undisturbed: {models} models in {seconds:.0f} s", flush=True)
    states: Counter[str] = Counter()
    rounds, faults = 0, list[str]()
    while states.total() < kills or (folder / "killed").exists():
        process = start(folder / "killed", epochs, folder / "killed.log")
        try:
            wait = moments.uniform(0, 0.5 * seconds) if states.total() < kills else None
            status = process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            states[state_of(folder / "killed")] += 1
            print(f"kill {states.total()} after {wait:.1f} s", flush=True)
            continue
        rounds += 1
        if status:
            print(f"the run failed with status {status}, see {folder / 'killed.log'}")
            return 1
        found = compare(whole, outcome(folder / "killed")) + leftovers(folder / "killed")
        faults += found
        print(f"round {rounds} after {states.total()} kills: {', '.join(found) or 'identical'}", flush=True)
        shutil.rmtree(folder / "killed")
    print("\n| killed | times |\n|---|---:|")
    for state, count in states.most_common():
        print(f"| {state} | {count} |")
    verdict = f"{len(faults)} differences" if faults else "all identical to the undisturbed run"
    print(f"\n{states.total()} kills in {rounds} rounds of {models} models: {verdict}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
