"""What the bench measures and in which order: starts, compilation, steps, tagging, memory, and the peer in turn."""

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jax

from kd_jax.bench import peer
from kd_jax.bench import start as startup
from kd_jax.bench.synthetic import synthetic_corpus
from kd_jax.corpora.conll import write_split
from kd_jax.corpora.registry import load
from kd_jax.cost import flops as floor
from kd_jax.cost.timing import (
    StepTimer,
    compile_cost,
    in_form_of_device,
    operations_a_token,
    predicted_bytes,
    timing_job,
    usual_batch,
)
from kd_jax.errors import InputError, nearest
from kd_jax.runtime import device
from kd_jax.settings import Compute, Settings, override, to_dict
from kd_jax.structs import Corpus
from kd_jax.training.loop import Job

ROWS_TRIED = (1, 2, 4)  # times the rows of a batch, in search of our own best


@dataclass(frozen=True)
class BenchRequest:
    """What to measure, unchecked; fields as the flags of kd_jax.bench."""

    data_dir: Path | None = None
    datasets: Sequence[str] = ()
    scheme: str | None = None
    lanes: Sequence[str] = ("1",)
    dtypes: Sequence[str] = ("float32",)
    assignments: Sequence[str] = ()
    steps: int = 20
    repeats: int = 5
    starts: bool = True
    peer: bool = False


class Entrant:
    """One of our programs on its mark: a number of lanes, a dtype, a batch size.

    Args:
        job: what it trains.
        dtype: what it computes in.
    """

    def __init__(self, job: Job, dtype: str) -> None:
        job = in_form_of_device(job)
        self.job, self.dtype, self.lanes = job, dtype, len(job.lanes)
        self.cost = compile_cost(job)
        self.timing = StepTimer(job)
        self.timing.epoch()  # compiles what else there is
        self.timing.tagging()
        self.rates: list[float] = []
        self.tag_rates: list[float] = []

    def run(self) -> None:
        """One more repeat."""
        self.rates.append(self.timing.epoch())
        self.tag_rates.append(self.timing.tagging())

    @property
    def rate(self) -> float:
        """Median lane-tokens a second of the train step."""
        return statistics.median(self.rates)

    def account(self, matmul_rates: dict[str, float]) -> dict[str, Any]:
        """What was measured and counted, in plain JSON types."""
        job, batch = self.job, usual_batch(self.job)
        operations = operations_a_token(job, batch)
        tag_rate = statistics.median(self.tag_rates)
        return {
            "lanes": self.lanes,
            "dtype": self.dtype,
            "rows": job.settings.train.rows,
            "row_length": job.settings.train.row_length,
            "tokens_per_s": self.rate / self.lanes,
            "lane_tokens_per_s": self.rate,
            "lane_tokens_per_s_repeats": self.rates,
            "tag_tokens_per_s": tag_rate / self.lanes,
            "tag_lane_tokens_per_s": tag_rate,
            "tokens_a_step": batch.real,
            "real_share": batch.share,
            "compile_s": self.cost.seconds,
            "program_bytes": self.cost.bytes,
            "predicted_bytes": predicted_bytes(job),
            "flops_a_token": operations,
            "flops_per_s": operations * self.rate,
            "share_of_matmul_rate": operations * self.rate / matmul_rates[self.dtype],
        }


def settings_for(request: BenchRequest, dtype: str) -> Settings:
    """The run's settings, computing in a dtype.

    Raises:
        InputError: for what can't be set, or computed in.
    """
    if dtype not in get_args(Compute):
        raise InputError(f"--dtype={dtype}: {nearest(dtype, get_args(Compute))}")
    return override(Settings(), [*request.assignments, f"model.compute={dtype}"])


def read_corpora(request: BenchRequest) -> list[Corpus]:
    """The corpora to train on; a synthetic one where no folder is named."""
    if request.data_dir is None:
        if request.datasets:
            raise InputError(f"--datasets={request.datasets[0]}: needs --data_dir, the folder that it is in")
        return [synthetic_corpus()]
    return load(request.data_dir, request.datasets or None, request.scheme)


def lane_counts(texts: Sequence[str]) -> list[int]:
    """Numbers of lanes from the flag.

    Raises:
        InputError: for anything but whole numbers above 0.
    """
    if not texts or not all(text.strip().isdecimal() and int(text) for text in texts):
        raise InputError(f"--lanes={','.join(texts)}: give numbers of lanes such as 1,5,15")
    return list(dict.fromkeys(map(int, texts)))


def measure(request: BenchRequest, log: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything that was asked for.

    Args:
        request: the flags.
        log: called with what is going on.

    Returns:
        Plain JSON types: the device, one entry of "runs" for each number of lanes and dtype and, with the peer, its
        runs and "ratio_to_peer", the first run's.

    Raises:
        InputError: for whatever is wrong with the flags, the corpora or the peer.
    """
    lanes, dtypes = lane_counts(request.lanes), list(dict.fromkeys(request.dtypes))
    settings = {dtype: settings_for(request, dtype) for dtype in dtypes}
    corpora = read_corpora(request)
    _check(request, settings[dtypes[0]], corpora)
    rates = {dtype: device.matmul_rate(dtype) for dtype in dtypes}
    measured: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": device.describe(),
        "jax": jax.__version__,
        "corpora": [corpus.name for corpus in corpora],
        "settings": to_dict(settings[dtypes[0]]),
        "matmul_flops_per_s": rates,
        "copy_bytes_per_s": device.copy_rate(),
    }
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        starts: dict[tuple[int, str], startup.Started] = {}
        if request.starts:
            log("fresh starts, each a process of its own")
            # With an empty cache: this start compiles, and what it leaves makes the same start below a warm one.
            cold = _start(request, settings[dtypes[0]], lanes[0], room / "cache")
            starts = {
                (count, dtype): _start(request, settings[dtype], count, room / "cache")
                for dtype in dtypes
                for count in lanes
            }
            measured |= {"start_cold_s": cold.seconds, "start_warm_s": starts[lanes[0], dtypes[0]].seconds}
        entrants = []
        for dtype in dtypes:
            for count in lanes:
                log(f"compiling {count} lanes, {dtype}")
                entrants.append(Entrant(timing_job(corpora, settings[dtype], count, request.steps), dtype))
        measured |= _race(request, corpora, entrants, room, log)
    measured["layers"] = operations_by_layer(entrants[0].job)
    measured["runs"] = [entrant.account(rates) for entrant in entrants]
    for run in measured["runs"]:
        start = starts.get((run["lanes"], run["dtype"]))
        if start is not None:
            run.update(peak_bytes=start.grown, process_peak_bytes=start.peak)
        if request.peer:
            _compare(run, measured)
    if request.peer:
        measured |= {key: measured["runs"][0][key] for key in ("ratio_to_peer", "ratio_to_peer_best")}
    return measured


def _check(request: BenchRequest, settings: Settings, corpora: Sequence[Corpus]) -> None:
    """Refuse what can't be measured, before anything is."""
    if request.steps < 1 or request.repeats < 1:
        raise InputError("--steps and --repeats: must be 1 or more")
    if request.peer:
        peer.check_peer()
        peer_sizes(settings)
        if len(corpora) > 1:
            raise InputError(f"--peer: trains on one corpus; name it, as in --datasets={corpora[0].name}")


def _start(request: BenchRequest, settings: Settings, lanes: int, cache: Path) -> startup.Started:
    data_dir = "" if request.data_dir is None else str(request.data_dir)
    start = startup.Start(data_dir, tuple(request.datasets), request.scheme or "", to_dict(settings), lanes)
    return startup.measure(start, cache)


def _race(
    request: BenchRequest,
    corpora: Sequence[Corpus],
    entrants: Sequence[Entrant],
    room: Path,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Repeats of all in turn, so that a machine that drifts drifts for all.

    Returns:
        With the peer, its runs: "peer" with an entry for each dtype, and "best_rows", ours for each dtype.
    """
    if not request.peer:
        for number in range(request.repeats):
            log(f"repeat {number + 1} of {request.repeats}")
            for entrant in entrants:
                entrant.run()
        return {}
    folder = room / corpora[0].name
    folder.mkdir()
    write_split(folder / "train.tsv", corpora[0].splits["train"])
    peers, ours, layouts = {}, {}, {}
    for dtype in {entrant.dtype: None for entrant in entrants}:
        mine = [entrant for entrant in entrants if entrant.dtype == dtype]
        log(f"each one's best batch, {dtype}")
        peers[dtype] = peer.Peer(folder, peer_sizes(mine[0].job.settings), request.steps, peer_dtype(dtype))
        layouts[dtype] = max(
            peer.layouts(jax.default_backend()), key=lambda layout: peers[dtype].speed(layout)["tokens_per_s"]
        )
        ours[dtype] = _best_rows(request, corpora, mine[0])
    usual = peer.trained_as_usual(usual_batch(entrants[0].job).real)
    records: dict[str, dict[str, list[dict[str, Any]]]] = {dtype: {"usual": [], "best": []} for dtype in peers}
    for number in range(request.repeats):
        log(f"repeat {number + 1} of {request.repeats}: ours and the peer in turn")
        for entrant in entrants:
            entrant.run()
        for dtype, of_dtype in peers.items():
            records[dtype]["usual"].append(of_dtype.speed(usual))
            if ours[dtype] not in entrants:
                ours[dtype].run()
            records[dtype]["best"].append(of_dtype.speed(layouts[dtype]))
    return {
        "peer": {dtype: {kind: _summary(runs) for kind, runs in of.items()} for dtype, of in records.items()},
        "best": {
            dtype: {"rows": entrant.job.settings.train.rows, "lanes": entrant.lanes, "lane_tokens_per_s": entrant.rate}
            for dtype, entrant in ours.items()
        },
    }


def _best_rows(request: BenchRequest, corpora: Sequence[Corpus], usual: Entrant) -> Entrant:
    """Our fastest batch size for the lanes of an entrant, which is one of those tried."""
    settings = usual.job.settings
    best = usual
    best_rate = usual.timing.epoch()
    for factor in ROWS_TRIED[1:]:
        # Fewer steps of larger batches, so that each try has as many tokens.
        train = replace(settings.train, rows=factor * settings.train.rows)
        job = timing_job(corpora, replace(settings, train=train), usual.lanes, max(1, request.steps // factor))
        entrant = Entrant(job, usual.dtype)
        rate = entrant.timing.epoch()
        loser, best, best_rate = (best, entrant, rate) if rate > best_rate else (entrant, best, best_rate)
        if loser is not usual:
            loser.timing.close()
    return best


def peer_dtype(dtype: str) -> str:
    """JAX's float32 matmuls are TF32 on an NVIDIA GPU by default, so are the peer's then."""
    return "tf32" if dtype == "float32" and jax.default_backend() == "gpu" else dtype


def peer_sizes(settings: Settings) -> list[str]:
    """The peer's arguments for the sizes of ours.

    Raises:
        InputError: for sizes that it can't have.
    """
    model, train = settings.model, settings.train
    if model.shared_units != model.task_units or (model.chars.encoder, model.chars.width) != ("cnn", 3):
        raise InputError("--peer: has BiLSTMs of equal size and a character CNN of width 3; set the same here")
    sizes = {
        "word_dim": model.words.dim,
        "char_dim": model.chars.dim,
        "filters": model.chars.units,
        "longest": model.chars.longest,
        "units": model.shared_units,
        "hidden": model.hidden_units,
        "dropout": model.dropout,
        "learning_rate": train.learning_rate,
        "clip": train.clip_norm,
        "unknown_rate": train.unknown_rate,
    }
    return [part for name, value in sizes.items() for part in (f"--{name}", str(value))]


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The median of the peer's runs, and how they were made."""
    kept = {name: runs[0][name] for name in ("tokens_a_step", "device", "threads", "torch", "settings")}
    rates = [run["tokens_per_s"] for run in runs]
    tagging = statistics.median(run["tag_tokens_per_s"] for run in runs)
    return kept | {
        "tokens_per_s": statistics.median(rates),
        "tokens_per_s_repeats": rates,
        "tag_tokens_per_s": tagging,
    }


def _compare(run: dict[str, Any], measured: dict[str, Any]) -> None:
    """A run's lane-tokens a second against the peer's runs in turn, which have the rate of one however many they are.

    At each one's best batch size ours is the faster of this run's and, for as many lanes, the best that was found.
    """
    usual, best = (measured["peer"][run["dtype"]][kind]["tokens_per_s"] for kind in ("usual", "best"))
    best_rows = measured["best"][run["dtype"]]
    mine = max(run["lane_tokens_per_s"], best_rows["lane_tokens_per_s"] if best_rows["lanes"] == run["lanes"] else 0.0)
    run["ratio_to_peer"] = run["lane_tokens_per_s"] / usual
    # The peer's best batch won by one try of each; over all repeats its usual one may be faster.
    run["ratio_to_peer_best"] = mine / max(usual, best)
    run["tag_ratio_to_peer"] = (
        run["tag_lane_tokens_per_s"] / measured["peer"][run["dtype"]]["usual"]["tag_tokens_per_s"]
    )


def operations_by_layer(job: Job) -> list[dict[str, Any]]:
    """The floor of a job's train step, layer by layer, in plain JSON types."""
    model = job.settings.model
    width = 2 if model.compute == "bfloat16" else 4
    return [layer._asdict() for layer in floor.layers(model, job.alphabet, usual_batch(job).places, width)]
