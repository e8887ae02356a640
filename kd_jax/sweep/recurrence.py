"""Which form of the recurrence a run has: compared once on its device, recorded, and followed by all who work on it."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import get_args

from kd_jax.errors import InputError
from kd_jax.models.execution import Recurrence
from kd_jax.runtime import device
from kd_jax.runtime.files import digest, read_json, replace_file
from kd_jax.settings import RuntimeConfig, to_dict
from kd_jax.training import mesh as meshes
from kd_jax.training.execution import Choice, choose
from kd_jax.training.loop import Job


def recurrence_of(job: Job, saved: Recurrence | None, workdir: Path, log: Callable[[str], None]) -> Recurrence:
    """The form to run a job in.

    Args:
        job: what is trained.
        saved: the form of the checkpoint that it goes on from; None for none, and for one of another kind of device.
        workdir: whose recurrence folder tells what was chosen before, here or on another node, for whatever lanes.
        log: is told of a new choice.

    Raises:
        InputError: for fused kernels where there are none, or where the disk refuses.
    """
    lanes = max(1, len(job.lanes))  # a job that only reads has none, and reads with one
    mesh = meshes.lane_mesh(lanes)
    if job.settings.runtime.recurrence != "auto" or meshes.platform_of(mesh) == "cpu":
        return choose(job.settings, lanes, mesh).recurrence
    if saved is not None:
        return saved
    model, train = to_dict(job.settings.model), job.settings.train
    shapes = [device.kind(), model, train.rows, train.row_length]
    file = workdir / "recurrence" / f"{digest(shapes)[:12]}.json"
    if (known := _read(file)) is not None:
        return known
    found = choose(job.settings, lanes, mesh)
    first = _write_first(file, found)
    if first is None:
        log(found.why)
    return first or found.recurrence


def in_form_of_run(job: Job, runtime: RuntimeConfig, workdir: Path, log: Callable[[str], None]) -> Job:
    """A job that reads with a trained model, in the form that the run has on its device; arguments as above."""
    job = replace(job, settings=replace(job.settings, runtime=runtime))
    return replace(job, recurrence=recurrence_of(job, None, workdir, log))


def _read(file: Path) -> Recurrence | None:
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = read_json(file)["recurrence"]
        if found in get_args(Recurrence):
            form: Recurrence = found
            return form
    return None


def _write_first(file: Path, found: Choice) -> Recurrence | None:
    """Record a choice; where another node was faster, what it chose."""
    own, text = file.with_name(f"{file.stem}.{os.getpid()}"), json.dumps(found._asdict()).encode()
    try:
        file.parent.mkdir(exist_ok=True)
        replace_file(own, text)
        try:
            _name_first(own, file)
        except FileExistsError:
            return _read(file)
        finally:
            own.unlink()
    except OSError as fault:
        raise InputError(f"{file}: can't be written ({fault.strerror}); make room or another --workdir") from None
    return None


def _name_first(own: Path, file: Path) -> None:
    """Give a file a second name, unless there is one of that name: FileExistsError."""
    try:
        os.link(own, file)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: whoever meets half a file takes it for none, and compares too
        with file.open("xb") as copy:
            copy.write(own.read_bytes())
