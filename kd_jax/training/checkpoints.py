"""Lanes in the middle of their training, saved so that a run that was killed resumes bit for bit.

A checkpoint is everything the lanes are: parameters, moments, step, key and weights, the best epoch's parameters, and
the position in the data. A step's randomness and an epoch's batches are functions of (seed, position), so nothing else
is needed. It is written beside the running training, atomically, and says which models it is of; the newest that is
whole is used.
"""

import json
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import absl.logging
import jax
import numpy as np
import optax
import orbax.checkpoint as ocp

from kd_jax.errors import InputError
from kd_jax.models.execution import Recurrence
from kd_jax.runtime.device import kind
from kd_jax.runtime.files import digest, read_json, replace_file
from kd_jax.structs import LossWeights
from kd_jax.training.loop import Position
from kd_jax.training.saved_model import digest_arrays
from kd_jax.training.state import TrainState

FORMAT = 3


class Saved(NamedTuple):
    """Lanes as they were saved.

    Attributes:
        position: in the data.
        state: host arrays, [L, ...].
        best: F1 on devel and epoch of each lane's best epoch, and its parameters, [L, ...]; None where not tracked.
        seconds: that the training took so far.
        recurrence: the form that it ran in; None where that was on another kind of device, which may not have it.
    """

    position: Position
    state: TrainState
    best: tuple[list[float], list[int], Any] | None
    seconds: float = 0.0
    recurrence: Recurrence | None = "scan"


def started_together(folder: Path, lanes: Sequence[str], missing: Sequence[str]) -> list[str]:
    """The lanes to train so that those that are missing get the same bits as in a run that was never interrupted.

    A lane's last bits depend on the lanes beside it, whose batches decide the shapes of its program. So lanes that were
    begun together are finished together, although a kill between two saved models may have left some of them behind.

    Args:
        folder: of the lane group's checkpoints; says in lanes.json what was begun.
        lanes: identities of all models of the lane group.
        missing: of these the ones that are not there yet.

    Raises:
        InputError: where the disk refuses.
    """
    record = folder / "lanes.json"
    with suppress(OSError, ValueError, TypeError):
        begun = read_json(record)
        if isinstance(begun, list) and set(missing) <= set(begun) <= set(lanes) and len(begun) == len(set(begun)):
            return begun
    replace_file(record, json.dumps(list(missing)).encode())
    return list(missing)


def silence_writer() -> None:
    """Keep what the writer logs off the terminal; faults of a save are raised, and told in a line."""
    absl.logging.set_verbosity(absl.logging.FATAL)  # Orbax logs every step of a save, and errors that it raises, too
    # Of several arrays that a full disk refuses one is raised, and asyncio logs the others when they are collected.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)


class Checkpoints:
    """Checkpoints of one lane group's lanes.

    Args:
        folder: of the lane group; made when first needed.
        lanes: identity of each lane's model.
        keep: how many checkpoints stay.
        log: called with a line about each damaged one.
    """

    def __init__(self, folder: Path, lanes: Sequence[str], keep: int, log: Callable[[str], None]) -> None:
        self._folder, self._lanes, self._keep, self._log = folder.absolute(), list(lanes), keep, log
        self._writer: ocp.CheckpointManager | None = None

    def save(self, saved: Saved, number: int) -> None:
        """Begin to write a checkpoint; the arrays are copied before this returns.

        Args:
            saved: the lanes; arrays may be on a device.
            number: rising from call to call.

        Raises:
            InputError: where the disk refuses, now or for the checkpoint before.
        """
        content = {"state": saved.state._asdict() | {"opt_state": saved.state.opt_state[1]._asdict()}}
        content["state"]["weights"] = saved.state.weights._asdict()
        about: dict[str, Any] = {"format": FORMAT, "lanes": self._lanes, "position": _plain(saved.position)}
        about["seconds"], about["recurrence"], about["device"] = saved.seconds, saved.recurrence, kind()
        if saved.best is not None:
            f1, epochs, params = saved.best
            content["best"] = params
            about["best"] = {"f1": f1, "epoch": epochs}
        # Copied now: the device's memory is reused by the next chunk while the writer is still at work.
        content = jax.tree.map(np.array, content)
        about["digest"] = digest_arrays(content)
        about["shapes"] = jax.tree.map(lambda x: [str(x.dtype), *x.shape], content)
        about["sum"] = digest(about)
        try:
            if self._writer is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                options = ocp.CheckpointManagerOptions(max_to_keep=self._keep, create=True)
                self._writer = ocp.CheckpointManager(self._folder, options=options)
            parts = ocp.args.Composite(arrays=ocp.args.StandardSave(content), about=ocp.args.JsonSave(about))
            self._writer.save(number, args=parts, force=True)
        except (OSError, ValueError) as fault:
            raise InputError(_refused(self._folder, fault)) from None

    def wait(self) -> None:
        """Wait until what was begun is written.

        Raises:
            InputError: where the disk refuses.
        """
        try:
            if self._writer is not None:
                self._writer.wait_until_finished()
        except (OSError, ValueError) as fault:
            raise InputError(_refused(self._folder, fault)) from None

    def newest(self) -> Saved | None:
        """The newest whole checkpoint of these lanes, or None; damaged ones are logged and ignored.

        What a writer that was stopped left half-written is removed.
        """
        # Orbax writes under this name and renames when done.
        for half in self._folder.glob("*.orbax-checkpoint-tmp"):
            shutil.rmtree(half, ignore_errors=True)
        for number in sorted((int(p.name) for p in self._folder.glob("[0-9]*") if p.name.isdigit()), reverse=True):
            place = self._folder / str(number)
            try:
                return self._read(place)
            except (OSError, ValueError, KeyError, TypeError, IndexError) as fault:
                reason = str(fault).splitlines()[0][:120] if str(fault) else type(fault).__name__
                self._log(f"{place}: can't be used ({reason}); going on from an earlier checkpoint, or from the start")
                shutil.rmtree(place, ignore_errors=True)
        return None

    def _read(self, place: Path) -> Saved:
        about = read_json(place / "about" / "metadata")
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this version writes {FORMAT}")
        # Checked before the arrays are: their digest and shapes are in what this sum covers.
        if about.pop("sum") != digest(about):
            raise ValueError("damaged, the checksum of what it says differs")
        # By name and not by place: the lanes that are left may be fewer than were saved.
        chosen = np.array([about["lanes"].index(lane) for lane in self._lanes])
        shapes = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(tuple(leaf[1:]), leaf[0]),
            about["shapes"],
            is_leaf=lambda x: isinstance(x, list),
        )
        with ocp.StandardCheckpointer() as reader:
            content = jax.tree.map(np.asarray, reader.restore(place / "arrays", shapes))
        if digest_arrays(content) != about["digest"]:
            raise ValueError("damaged, the checksum differs")
        content = jax.tree.map(lambda x: x[chosen], content)
        raw = content["state"]
        state = TrainState(**raw)._replace(
            opt_state=(optax.EmptyState(), optax.ScaleByAdamState(**raw["opt_state"])),  # clipping has no state
            weights=LossWeights(**raw["weights"]),
        )
        position = about["position"]
        best = None
        if "best" in about:
            best = (
                [about["best"]["f1"][i] for i in chosen],
                [about["best"]["epoch"][i] for i in chosen],
                content["best"],
            )
        sums = [np.array(position[name])[chosen] for name in ("loss", "tokens", "trained")]
        at = Position(position["epoch"], position["chunk"], *sums)
        form = about["recurrence"] if about.get("device") == kind() else None
        return Saved(at, state, best, about["seconds"], form)

    def remove(self) -> None:
        """Throw the checkpoints away, since the models they led to are saved."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Wait until what was begun is written, and let go of the writer.

        Raises:
            InputError: where the disk refuses.
        """
        writer, self._writer = self._writer, None
        try:
            if writer is not None:
                writer.close()
        except (OSError, ValueError) as fault:
            raise InputError(_refused(self._folder, fault)) from None


def _plain(position: Position) -> dict[str, Any]:
    return {
        "epoch": position.epoch,
        "chunk": position.chunk,
        "loss": [float(x) for x in position.loss],
        "tokens": [float(x) for x in position.tokens],
        "trained": [float(x) for x in position.trained],
    }


def _refused(folder: Path, fault: Exception) -> str:
    full = "No space left on device" in str(fault)
    reason = "No space left on device" if full else " ".join(str(fault).split())[:200]
    return f"{folder}: checkpoint can't be written ({reason}); make room, then run the same command again to go on"
