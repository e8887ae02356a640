"""Check, time and profile kd_jax on a GPU in a few minutes. Installs nothing.

    python benchmarks/gpu.py --data_dir DIR --datasets NCBI --out gpu_report
    python benchmarks/gpu.py --small --out trial            # the same on a CPU in two minutes, to see that it runs

It writes OUT/bench.json and OUT/peer.json (`python -m kd_jax.bench`), OUT/recurrence.json (the scan over time and the
fused kernels in turn), OUT/profile.json and the profiler's trace, and prints a summary. A part that fails is named at
the end, with exit status 1; the other parts are done all the same.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import jax

from kd_jax.bench.synthetic import synthetic_corpus
from kd_jax.corpora.registry import load
from kd_jax.cost import flops as floor
from kd_jax.cost.timing import StepTimer, timing_job, usual_batch
from kd_jax.runtime import device
from kd_jax.settings import Settings, override
from kd_jax.training.execution import choose
from kd_jax.training.loop import Job
from kd_jax.training.mesh import lane_mesh, use_all_cores

SMALL = ("words.dim=50", "shared_units=48", "task_units=48", "hidden_units=48", "rows=6", "row_length=32")
SHOWN = 12  # kernels
FORMS = ("scan", "fused")


def make_job(args: argparse.Namespace, lanes: int, steps: int, extra: Sequence[str] = ()) -> Job:
    corpora = load(args.data_dir, args.datasets.split(",")) if args.data_dir else [synthetic_corpus(2000)]
    settings = override(Settings(), [*(SMALL if args.small else ()), *args.set, *extra])
    # As a run chooses it: a job that was told nothing takes the scan.
    chosen = choose(settings, lanes, lane_mesh(lanes))
    if chosen.why:
        print(chosen.why)
    return replace(timing_job(corpora, settings, lanes, steps), recurrence=chosen.recurrence)


def check(args: argparse.Namespace) -> None:
    """A lane among others is what it is alone, and its loss falls."""
    job = make_job(args, 4, 4, ["dropout=0", "unknown_rate=0"])
    together, alone = StepTimer(job), StepTimer(replace(job, lanes=job.lanes[1:2]))
    losses = []
    for _ in range(3):
        for timing in (together, alone):
            timing.epoch()
        losses.append((float(together.loss[1]), float(alone.loss[0])))
    difference = max(abs(a - b) / b for a, b in losses)
    print(f"a lane's loss among 4 and alone, by epoch: {losses}; relative difference at most {difference:.1e}")
    if not difference < 1e-2 or not losses[-1][0] < losses[0][0]:
        raise AssertionError("lanes are not what they are alone, or do not learn")


def bench(args: argparse.Namespace, name: str, *flags: str) -> dict[str, Any]:
    """Run kd_jax.bench as a process of its own."""
    target = args.out / f"{name}.json"
    where = [f"--data_dir={args.data_dir}", f"--datasets={args.datasets}"] if args.data_dir else []
    sizes = [f"--set={s}" for s in (*(SMALL if args.small else ()), *args.set)]
    command = [sys.executable, "-m", "kd_jax.bench", *where, *sizes, f"--steps={args.steps}", f"--json={target}"]
    subprocess.run([*command, f"--repeats={args.repeats}", *flags], check=True)
    return json.loads(target.read_text(encoding="utf-8"))


def recurrence(args: argparse.Namespace) -> None:
    """Whole train steps by the scan over time and by the fused kernels, in turn, whatever a run would choose."""
    if jax.default_backend() == "cpu":
        print("recurrence: not compared, a CPU has no fused kernels")
        return
    found = []
    for dtype, lanes in product(args.dtype.split(","), map(int, args.peer_lanes.split(","))):
        timings = {}
        for form in FORMS:
            extra = [f"runtime.recurrence={form}", f"model.compute={dtype}"]
            timings[form] = StepTimer(make_job(args, lanes, args.steps, extra))
            timings[form].epoch()  # compiles
        rates: dict[str, list[float]] = {form: [] for form in FORMS}
        for _ in range(args.repeats):
            for form, timing in timings.items():
                rates[form].append(timing.epoch())
        for timing in timings.values():
            timing.close()
        scan, fused = (statistics.median(rates[form]) for form in FORMS)
        found.append(
            {"lanes": lanes, "dtype": dtype, "lane_tokens_per_s_repeats": rates, "fused_over_scan": fused / scan}
        )
        print(
            f"recurrence, {lanes} lanes, {dtype}: scan {scan:,.0f}, fused {fused:,.0f} lane-tokens/s,"
            f" {fused / scan:.2f} times"
        )
    (args.out / "recurrence.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


def profile(args: argparse.Namespace) -> None:
    """Where the time of a step goes: kernels by name from the profiler's trace, and what is between them."""
    lanes = int(args.lanes.split(",")[-1])
    job = make_job(args, lanes, args.steps)
    timing = StepTimer(job)
    timing.epoch()
    rate = timing.epoch()
    began = time.perf_counter()
    with jax.profiler.trace(str(args.out / "trace"), create_perfetto_trace=False):
        timing.epoch()
    wall = time.perf_counter() - began
    batch = usual_batch(job)
    steps = max(1, round(sum(job.tokens.count(s) for s in job.sentences) / batch.real))
    kernels, counts = read_trace(args.out / "trace")
    busy = sum(kernels.values())
    layers = floor.layers(job.settings.model, job.alphabet, batch.places)
    operations = sum(layer.operations for layer in layers) * lanes
    at_best = sum(layer.activations + layer.weights for layer in layers) * lanes
    reread = sum(layer.recurrent for layer in layers) * lanes
    seconds = batch.real * lanes / rate  # of a step
    matmul = {dtype: device.matmul_rate(dtype) for dtype in ("float32", "bfloat16")}
    copied = device.copy_rate()
    found = {
        "device": device.describe(),
        "lanes": lanes,
        "lane_tokens_per_s": rate,
        "seconds_a_step": seconds,
        "kernels_a_step": sum(counts.values()) / steps,
        "busy_seconds_a_step": busy / steps,
        "wall_seconds_a_step_profiled": wall / steps,
        "microseconds_a_time_step": 1e6 * seconds / job.settings.train.row_length,
        "share_of_matmul_rate": {dtype: operations / seconds / r for dtype, r in matmul.items()},
        "share_of_bandwidth": {
            "recurrent weights held": at_best / seconds / copied,
            "recurrent weights read every time step": (at_best + reread) / seconds / copied,
        },
        "matmul_flops_per_s": matmul,
        "copy_bytes_per_s": copied,
        "kernels": [
            {"name": name, "microseconds_a_step": 1e6 * spent / steps, "calls_a_step": counts[name] / steps}
            for name, spent in kernels.most_common(SHOWN)
        ],
    }
    (args.out / "profile.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps({k: v for k, v in found.items() if k != "kernels"}, indent=1))
    for kernel in found["kernels"]:
        print(
            f"{kernel['microseconds_a_step']:12,.0f} us  {kernel['calls_a_step']:8,.0f} calls a step  {kernel['name']}"
        )


def read_trace(folder: Path) -> tuple[Counter[str], Counter[str]]:
    """Seconds and calls of every kernel in a trace; of XLA's operations where it ran on a CPU."""
    path = max(folder.rglob("*.trace.json.gz"), key=lambda p: p.stat().st_mtime)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e.get("name") == "process_name"}
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e.get("name") == "thread_name"}
    on_gpu = any("GPU" in name for name in processes.values())
    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in events:
        if event.get("ph") != "X":
            continue
        of, thread = processes.get(event["pid"], ""), threads.get((event["pid"], event["tid"]), "")
        wanted = "GPU" in of and "Stream" in thread if on_gpu else "hlo_op" in event.get("args", {})
        name = event["name"].rsplit(".", 1)[0]
        if wanted and not name.startswith(("while", "call", "conditional")):
            seconds[name] += event.get("dur", 0) / 1e6
            calls[name] += 1
    return seconds, calls


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", type=Path, help="folder of corpora; default: a synthetic corpus")
    parser.add_argument("--datasets", default="NCBI")
    parser.add_argument("--out", type=Path, default=Path("gpu_report"))
    parser.add_argument("--lanes", default="1,5,15,45")
    parser.add_argument("--peer_lanes", default="15")
    parser.add_argument("--dtype", default="float32,bfloat16")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="a setting, as key=value")
    parser.add_argument("--small", action="store_true", help="tiny sizes, for a trial on a CPU")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    use_all_cores()
    device.enable_compilation_cache()
    print(f"jax {jax.__version__} on {device.describe()}")
    if jax.default_backend() == "cpu" and not args.small:
        print("no GPU; --small tries the script on a CPU", file=sys.stderr)
        return 2
    no_starts = ["--nostarts"] if args.small else []
    parts: dict[str, Callable[[], Any]] = {
        "check": lambda: check(args),
        "bench": lambda: bench(args, "bench", f"--lanes={args.lanes}", f"--dtype={args.dtype}", *no_starts),
        "peer": lambda: bench(
            args, "peer", f"--lanes={args.peer_lanes}", f"--dtype={args.dtype}", "--peer", *no_starts
        ),
        "recurrence": lambda: recurrence(args),
        "profile": lambda: profile(args),
    }
    failed = []
    for name, part in parts.items():
        began = time.perf_counter()
        try:
            part()
        except Exception as fault:
            failed.append(name)
            print(f"{name} failed: {fault}", file=sys.stderr)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    print(f"failed: {', '.join(failed)}" if failed else f"all well; see {args.out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
