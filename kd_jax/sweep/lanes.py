"""How many lanes of a lane group train at the same time: as many as fit and pay, chosen once, recorded, and kept.

A lane group whose lanes do not all fit in memory trains them in parts, one after the other. What fits is known from
shapes before anything is compiled. On an accelerator a few steps are timed too: of as many lanes as fit, then of half
as many, for as long as fewer are no slower. On a CPU lanes run in turn, and more at a time are as fast as fewer.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax

from kd_jax.cost.timing import StepTimer, extent, shortened, taken
from kd_jax.errors import InputError, brief
from kd_jax.models.execution import Recurrence
from kd_jax.runtime import device
from kd_jax.runtime.files import digest, read_json, replace_file
from kd_jax.settings import to_dict
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.status import models_of
from kd_jax.training.loop import Job

FORMAT = 1
SAFE = 0.8  # share of the memory at hand that is used: what is predicted is held to 20 %
STEPS = 4  # of one timing
NO_SLOWER = 0.97  # of the rate of more lanes: within what a timing errs by


class Choice(NamedTuple):
    """How a lane group's lanes are trained.

    Attributes:
        at_once: lanes of one group.
        predicted: bytes of the arrays of a group, on all devices together.
        available: bytes that there were when it was chosen; None where the device does not tell.
        rates: lane-tokens a second of the numbers of lanes that were timed.
    """

    at_once: int
    predicted: int
    available: int | None
    rates: dict[str, float]


def split_lanes(group: LaneGroup, at_once: int) -> list[LaneGroup]:
    """A lane group's models, each once, in groups of nearly equal size that do not depend on which are finished."""
    models = models_of(group)
    if len(models) <= at_once:
        return [group]
    number = -(-len(models) // at_once)
    bounds = [len(models) * i // number for i in range(number + 1)]
    return [replace(group, specs=models[a:b]) for a, b in pairwise(bounds)]


def fitting(lanes: int, takes: Callable[[int], int], available: int | None) -> int:
    """The most lanes that are predicted to fit in memory; 1 where even one may not.

    Args:
        lanes: that there are.
        takes: bytes of so many lanes, rising.
        available: bytes that there are; None for no bound.
    """
    if available is None:
        return lanes
    return next((n for n in range(lanes, 1, -1) if takes(n) <= SAFE * available), 1)


def known_lanes(group: LaneGroup, workdir: Path, on: str) -> int | None:
    """How many of a lane group's lanes train at the same time, if it was chosen before on the same device.

    Args:
        group: all of it.
        workdir: its lanes.json tells what was chosen.
        on: the device, as `device.devices` says it.

    Raises:
        InputError: where lanes.json can't be used.
    """
    before = _read(workdir / "lanes.json").get(_key(group.specs))
    return before["at_once"] if before is not None and before["device"] == on else None


def timed_before(group: LaneGroup, workdir: Path, on: str) -> dict[str, float]:
    """Rates of the same program that lanes.json tells of another lane group, by the number of lanes."""
    program = _program(group, on)
    known = _read(workdir / "lanes.json").values()
    return next((entry["lane_tokens_per_s"] for entry in known if entry["program"] == program), {})


def choose_lanes(
    group: LaneGroup,
    job: Callable[[], Job],
    timed: dict[str, float],
    share: float = 1.0,
    form: Callable[[Job], Recurrence] | None = None,
) -> dict[str, Any]:
    """Choose how many of a lane group's lanes train at the same time on this device.

    Args:
        group: all of it.
        job: of all lanes.
        timed: rates that are known already.
        share: of the memory at hand that there is for it, where other units run beside it on the same cores.
        form: of a job's recurrence, chosen once for the run; None for that of the job, or the device's.

    Returns:
        The choice as lanes.json keeps it.

    Raises:
        InputError: where not even one lane fits.
    """
    available = device.available_memory()
    chosen = choose(job(), None if available is None else round(share * available), timed, group.title, form)
    return {
        "cell": group.title,
        "device": device.devices(),
        "program": _program(group, device.devices()),
        "lanes": len(models_of(group)),
        "at_once": chosen.at_once,
        "predicted_bytes": chosen.predicted,
        "bytes_at_hand": chosen.available,
        "lane_tokens_per_s": chosen.rates,
    }


def record_lanes(group: LaneGroup, workdir: Path, entry: dict[str, Any], log: Callable[[str], None]) -> int:
    """Keep a choice in lanes.json, say it in a line, and give the number of lanes.

    Raises:
        InputError: where lanes.json can't be used.
    """
    file = workdir / "lanes.json"
    _write(file, _read(file) | {_key(group.specs): entry})
    chosen = Choice(entry["at_once"], entry["predicted_bytes"], entry["bytes_at_hand"], entry["lane_tokens_per_s"])
    log(f"{group.title}: {describe(chosen, entry['lanes'])}")
    return chosen.at_once


def _program(group: LaneGroup, on: str) -> str:
    model, train = to_dict(group.settings.model), to_dict(group.settings.train)
    return digest([on, model, train, group.head, len(models_of(group))])


def choose(
    job: Job,
    available: int | None,
    timed: dict[str, float],
    title: str,
    form: Callable[[Job], Recurrence] | None = None,
) -> Choice:
    """Choose from memory and, on an accelerator, by timing.

    Args:
        job: of all lanes.
        available: bytes of memory; None where nobody knows.
        timed: rates of the same program that are known already, by the number of lanes.
        title: of the lane group, for people.
        form: as of `choose_lanes`.

    Raises:
        InputError: where not even one lane fits.
    """
    size = extent(job)

    def takes(n: int) -> int:
        return taken(job.settings, size, job.head, n)

    devices = 1 if jax.default_backend() == "cpu" else jax.local_device_count()
    if available is not None and takes(1) > available // devices:
        raise InputError(
            f"{title}: one lane takes about {takes(1) / 1e6:,.0f} MB and {available // devices / 1e6:,.0f} MB are free;"
            " make it smaller (--set train.rows=...), or try all the same with --set lanes.at_once=1"
        )
    best, rates = fitting(len(job.lanes), takes, available), dict(timed)
    while jax.default_backend() != "cpu" and best > jax.local_device_count():
        half = -(-best // 2)
        if form is not None and job.recurrence is None:  # of as many lanes as fit: what is compared must fit too
            job = replace(job, recurrence=form(replace(job, lanes=job.lanes[:best])))
        for n in (best, half):
            if str(n) not in rates:
                rates[str(n)] = rate(job, n)
        if rates[str(half)] < NO_SLOWER * rates[str(best)]:
            break
        best = half
    return Choice(best, takes(best), available, rates)


def rate(job: Job, lanes: int) -> float:
    """Lane-tokens a second of some steps of a job's first lanes, without knowledge."""
    timing = StepTimer(shortened(replace(job, lanes=job.lanes[:lanes], knowledge=None), STEPS))
    timing.epoch()
    measured = timing.epoch()
    timing.close()
    return measured


def describe(chosen: Choice, lanes: int) -> str:
    """The choice for people."""
    free = "" if chosen.available is None else f" of {chosen.available / 1e6:,.0f} MB at hand"
    timed = "".join(f"; {n} lanes {r:,.0f} lane-tokens/s" for n, r in chosen.rates.items())
    return f"{chosen.at_once} of {lanes} lanes at once, about {chosen.predicted / 1e6:,.0f} MB{free}{timed}"


def _key(specs: Sequence[ModelSpec]) -> str:
    return digest([spec.model_id for spec in specs])[:12]


def _write(file: Path, groups: dict[str, Any]) -> None:
    replace_file(file, json.dumps({"format": FORMAT, "cells": groups}, indent=1).encode())


def _read(file: Path) -> dict[str, Any]:
    try:
        return _cells(read_json(file))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as unreadable:
        fault = brief(unreadable)
    raise InputError(f"{file}: can't be used ({fault}); remove it, and the numbers of lanes are chosen again") from None


def _cells(description: Any) -> dict[str, Any]:
    """The entries of what lanes.json holds; ValueError where it is of another version, or an entry is not whole."""
    version = description.get("format") if isinstance(description, dict) else None
    if version != FORMAT:
        raise ValueError(f"format {version!s:.40}, this version writes {FORMAT}")
    groups = description.get("cells")
    broken = [key for key, entry in groups.items() if not _whole(entry)] if isinstance(groups, dict) else ["cells"]
    if broken:
        raise ValueError(f"damaged at {broken[0][:40]!r}")
    return dict(groups)


def _whole(entry: Any) -> bool:
    """Whether an entry has all that is read of it, in the right types."""
    if not isinstance(entry, dict) or not isinstance(rates := entry.get("lane_tokens_per_s"), dict):
        return False
    at_once = entry.get("at_once")
    return (
        all(isinstance(entry.get(name), str) for name in ("device", "program"))
        and type(at_once) is int
        and at_once > 0
        and all(type(rate) in {int, float} and 0 < rate < float("inf") for rate in rates.values())
    )
