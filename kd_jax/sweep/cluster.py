"""Ray as the engine of a run: units of work are its tasks, on this machine or on many; the driver writes the tables.

What a unit is and on how many devices and threads it runs is settled before it is given to a node, so that its results
are those of one machine of the same kind. A unit whose worker or node dies is given to another, which goes on from the
last checkpoint.
"""

import logging
import os
import pickle
import secrets
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax

from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import digest, replace_file
from kd_jax.runtime.interrupt import InterruptedRunError
from kd_jax.sweep import remote
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData
from kd_jax.sweep.needs import Needs, needs_of, parse
from kd_jax.sweep.remote import Device, LostUnitError, Setup
from kd_jax.sweep.runner import Work, advance
from kd_jax.sweep.units import TrainLanes, Unit

POLL = 0.2  # seconds between looks at the mailbox
LOOK = 60.0  # seconds that a node has to see the work folder, and a finished model to be seen here
ATTEMPTS = 5  # of a unit that gets no further than before


class Cluster:
    """A Ray cluster that a run uses; while it is entered, this process is its driver.

    Attributes:
        device: what units run on.

    Args:
        where: as `parse` takes it.
        workdir: the work folder, which exists.
        log: called with what is waited for.

    Raises:
        InputError: where Ray is not installed, there is no such cluster, its nodes do not see the work folder or have
            other versions.
    """

    device: Device

    def __init__(self, where: str, workdir: Path, log: Callable[[str], None]) -> None:
        self._where, self._place, self._log = where, parse(where), log
        self._token = workdir.absolute() / remote.TOKEN
        try:
            import ray  # noqa: PLC0415 - the extra `cluster`
        except ImportError:
            raise InputError("--cluster needs Ray: pip install -e '.[cluster]'") from None
        self._ray: Any = ray
        # The driver computes nothing: an accelerator of this machine is for the units.
        jax.config.update("jax_platforms", "cpu")

    def __enter__(self) -> Self:
        """Connect, and see that all nodes can do what is asked of them."""
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        local = isinstance(self._place, int)
        place: dict[str, Any] = {"address": self._place}
        if local:
            place = {"address": "local", "num_cpus": self._place, "include_dashboard": False}
        try:
            # Starting its processes Ray forks, of which JAX warns; they become other programs at once.
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                self._ray.init(**place, **quiet)
        except Exception as fault:  # Ray raises the bare class, too
            raise InputError(
                f"--cluster={self._where}: no Ray cluster can be reached ({brief(fault)}); start one with"
                " `ray start --head`, or use --cluster=local:2"
            ) from None
        try:
            self._open(local=local)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the cluster; one that was started for this run ends."""
        self._token.unlink(missing_ok=True)
        self._ray.shutdown()

    def _open(self, *, local: bool) -> None:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        token = secrets.token_hex(8)
        replace_file(self._token, token.encode())
        setup = Setup(str(self._token.parent), token, remote.versions())
        totals = [node["Resources"] for node in nodes]
        self._needs = needs_of(totals, setup, jax.local_device_count(), _threads(), local=local)
        able = [node for node in nodes if self._needs.met_by(node["Resources"])]
        look = self._ray.remote(num_cpus=0, max_retries=0)(remote.fault_here)
        answers = [look.options(scheduling_strategy=self._on(node["NodeID"])).remote(setup) for node in able]
        for node, answer in zip(able, answers, strict=True):
            try:
                fault = self._ray.get(answer, timeout=LOOK)
            except self._ray.exceptions.RayError as unable:
                name = node["NodeManagerHostname"]
                raise InputError(f"--cluster: node {name} can't run kd_jax ({_why(unable)})") from None
            if fault is not None:
                raise InputError(fault)
        self.device = self._describe(len(able))
        box = self._ray.remote(num_cpus=0)(remote.Mailbox)
        here = self._ray.get_runtime_context().get_node_id()
        self._mailbox = box.options(scheduling_strategy=self._on(here)).remote()

    def _describe(self, able: int) -> Device:
        """What units run on, as the first node that is free tells."""
        needs = self._needs
        answer = self._ray.remote(**needs.options)(remote.describe_device).remote(needs.setup)
        if not self._ray.wait([answer], timeout=20)[0]:
            self._log(f"waiting for a node with {needs.words} to be free")
        try:
            device = Device(*self._ray.get(answer))
        except self._ray.exceptions.RayError as fault:
            raise InputError(f"--cluster: a unit can't start ({_why(fault)})") from None
        if device.platform == "cpu" and not needs.setup.on_cpu:
            raise InputError(
                f"--cluster: a node has {needs.words} that its JAX does not see; install the extra cuda or tpu there"
            )
        self._log(f"{able} {'node' if able == 1 else 'nodes'}, a unit of work takes {needs.words}: {device.name}")
        return device

    def _on(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

        return NodeAffinitySchedulingStrategy(node_id=node, soft=False)

    def engine(self, sweep_data: SweepData, context: RunContext) -> "RayEngine":
        """Runs units on the cluster.

        Args:
            sweep_data: what they work on; goes to the nodes, which need not see its files.
            context: of the driver.
        """
        plain = SweepData(
            dict(sweep_data.corpora), dict(sweep_data.hashes), dict(sweep_data.vectors), dict(sweep_data.text)
        )
        return RayEngine(self._ray, self._needs, self._mailbox, self._ray.put(plain), context)


def _threads() -> int:
    """Threads of this process's CPU devices together, as XLA counts them."""
    return int(os.environ.get("PJRT_NPROC") or os.environ.get("NPROC") or len(os.sched_getaffinity(0)))


def _why(fault: BaseException) -> str:
    """What a failed task's exception says, without Ray's traceback."""
    cause = getattr(fault, "cause", None)
    return brief(cause if isinstance(cause, BaseException) else fault)


@dataclass
class _Given:
    """A unit that was given to Ray, and how far it got: lane-tokens of this attempt, and the most of any."""

    unit: Unit
    name: str
    attempt: int = 0
    failures: int = 0
    done: int = 0
    furthest: int = 0


class RayEngine:
    """Runs units as Ray's tasks; those that do the same run once.

    Args:
        ray: the module.
        needs: of every unit.
        mailbox: between units and this process.
        data: reference of the corpora.
        context: of the driver.
    """

    side_by_side = True

    def __init__(self, ray: Any, needs: Needs, mailbox: Any, data: Any, context: RunContext) -> None:
        self._ray, self._setup, self._mailbox, self._data, self._context = ray, needs.setup, mailbox, data, context
        # Ray would retry without a word; a unit that is lost is given out again here, and said.
        self._task = ray.remote(**needs.options, max_retries=0)(remote.work)
        self._given: dict[Any, _Given] = {}
        self._results: dict[str, Any] = {}

    def run(self, works: Sequence[Work]) -> None:
        """Bring lane groups to their ends, side by side.

        Raises:
            InputError: where a unit was refused, or lost its worker again and again; the others are saved.
            InterruptedRunError: where a signal asked for the end; all are saved.
        """
        self._results = {}
        waiting: list[tuple[Work, list[str]]] = [(work, []) for work in works]
        begun: set[int] = set()
        try:
            while waiting:
                ready = [(work, names) for work, names in waiting if all(name in self._results for name in names)]
                waiting = [one for one in waiting if one not in ready]
                for work, names in ready:
                    results = [self._results[name] for name in names] if id(work) in begun else None
                    begun.add(id(work))
                    if (units := advance(work, results)) is not None:
                        waiting.append((work, [self._give(unit) for unit in units]))
                self._context.go_on()
                if not ready:
                    self._wait()
        except Exception as fault:
            self._stop(fault)
            raise

    def _give(self, unit: Unit) -> str:
        """Give a unit to Ray, unless one that does the same was given to it before; its name."""
        name = digest(unit.key)[:16]
        if name not in self._results and all(given.name != name for given in self._given.values()):
            self._submit(_Given(unit, name))
        return name

    def _submit(self, given: _Given) -> None:
        unit = pickle.dumps(given.unit)
        answer = self._task.remote(self._setup, [self._data], unit, given.name, given.attempt, self._mailbox)
        self._given[answer] = given

    def _wait(self) -> None:
        """Hear what units report, and see to those that ended."""
        ended, _ = self._ray.wait(list(self._given), timeout=POLL)
        self._hear()
        for answer in ended:
            given = self._given.pop(answer)
            try:
                kind, result = self._ray.get(answer)
            except self._ray.exceptions.RayTaskError:
                raise  # a fault of the program: with its traceback
            except self._ray.exceptions.RayError as lost:
                self._again(given, lost)
                continue
            if kind == "refused":
                raise InputError(result)
            if kind == "lost":  # it could not reach the mailbox, so that nobody knows how far it got
                self._again(given, LostUnitError())
                continue
            if isinstance(given.unit, TrainLanes):
                self._see(given.unit)
            self._results[given.name] = result

    def _again(self, given: _Given, lost: Exception) -> None:
        """Give a unit out once more whose worker or node died; to go on where it was is its own business."""
        given.failures = 1 if given.done > given.furthest else given.failures + 1
        given.furthest = max(given.furthest, given.done)
        kind = type(lost).__name__
        if given.failures >= ATTEMPTS:
            raise InputError(
                f"{given.unit.title}: lost its worker {ATTEMPTS} times without getting further ({kind}); Ray's logs say"
                " more, in /tmp/ray/session_latest/logs of its node"
            )
        self._context.meter.log(f"{given.unit.title}: its worker or node died ({kind}); another one goes on with it")
        self._context.meter.skip(-given.done)
        given.attempt, given.done = self._answer(self._mailbox.give_up.remote(given.name)), 0
        self._submit(given)

    def _see(self, unit: TrainLanes) -> None:
        """Wait until models that another machine saved are seen here: a network file system may take its time."""
        status, until = self._context.status, time.monotonic() + LOOK
        status.forget(unit.lanes.specs)
        while missing := status.missing(unit.lanes):
            if time.monotonic() > until:
                raise InputError(f"{missing[0].folder}: was saved on a node and is not seen here; is --workdir shared?")
            status.forget(missing)
            time.sleep(POLL)

    def _hear(self) -> None:
        meter, by_name = self._context.meter, {given.name: given for given in self._given.values()}
        for name, (kind, *report) in self._answer(self._mailbox.take.remote()):
            if kind == "log":
                meter.log(*report)
            elif kind == "record":
                meter.record(**report[0])
            elif (given := by_name.get(name)) is not None:
                given.done += report[0] if kind == "skip" else report[1]
                if kind == "skip":
                    meter.skip(*report)
                else:
                    what, lane_tokens, seconds, loss = report
                    training = sum(g.done > 0 for g in by_name.values())
                    meter.advance(what, lane_tokens, seconds / training, loss)

    def _answer(self, asked: Any) -> Any:
        """What the mailbox answers; InputError where it is gone: Ray ends processes of a node short of memory."""
        try:
            return self._ray.get(asked)
        except self._ray.exceptions.RayTaskError:
            raise  # a fault of the program: with its traceback
        except self._ray.exceptions.RayError as lost:
            raise InputError(
                f"--cluster: the process that units report to is gone ({type(lost).__name__}; where memory runs out,"
                " Ray ends processes); free some on this node, and the same command goes on"
            ) from None

    def _stop(self, fault: Exception) -> None:
        """Let units that have begun save what they have, and the others not begin."""
        why = (str(fault), fault.exit_status) if isinstance(fault, InterruptedRunError) else ("another unit failed", 1)
        with suppress(self._ray.exceptions.RayError, InputError):
            begun = self._ray.get(self._mailbox.stop.remote(*why))
            for answer, given in self._given.items():
                if given.name not in begun:
                    self._ray.cancel(answer)
            left = [answer for answer, given in self._given.items() if given.name in begun]
            while left:
                _, left = self._ray.wait(left, timeout=POLL)
                self._hear()
        self._given.clear()
