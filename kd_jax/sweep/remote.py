"""What runs in Ray's processes: units of work, what they report, and the mailbox that their reports go through.

Only the standard library is imported here at first: a process that Ray starts has to know its devices before JAX does.
"""

import os
import platform
import time
from pathlib import Path
from typing import Any, NamedTuple

from kd_jax.errors import InputError
from kd_jax.runtime.interrupt import InterruptedRunError

TOKEN = ".cluster"
REPORT_EVERY = 0.5  # seconds between reports of mere progress


class Setup(NamedTuple):
    """How units run, the same on every node.

    Attributes:
        workdir: the work folder, at a path that all nodes see.
        token: what its file .cluster holds while the run goes on.
        versions: of what has to be equal everywhere for equal results.
        on_cpu: whether they run on CPU cores.
        devices: CPU devices of a unit.
        threads: of a unit's CPU devices together: a matrix product that more threads share may be summed otherwise.
        share: of a node's memory that is for one unit on a CPU.
        environment: variables that have to be there before JAX is imported.
    """

    workdir: str
    token: str
    versions: dict[str, str]
    on_cpu: bool = False
    devices: int = 0
    threads: int = 0
    share: float = 1.0
    environment: tuple[tuple[str, str], ...] = ()


class Device(NamedTuple):
    """What units run on: its name, JAX's platform, and bytes of memory that a unit may use, None where unknown."""

    name: str
    platform: str
    memory: int | None


class LostUnitError(Exception):
    """The driver has given this unit to another worker, or is gone: what is done here is of no use."""


class Mailbox:
    """Between the driver and its units: reports go one way, the request to stop the other. Ray runs it as an actor."""

    def __init__(self) -> None:
        self._reports: list[tuple[str, tuple[Any, ...]]] = []
        self._attempts: dict[str, int] = {}
        self._running: set[str] = set()
        self._stop: tuple[str, int] | None = None

    def begin(self, unit: str, attempt: int) -> str | tuple[str, int] | None:
        """A unit begins; the answer is that of `put`."""
        if self._stop is None and attempt >= self._attempts.get(unit, 0):
            self._running.add(unit)
        return self.put(unit, attempt, [])

    def put(self, unit: str, attempt: int, reports: list[tuple[Any, ...]]) -> str | tuple[str, int] | None:
        """Take a unit's reports.

        Returns:
            None to go on; why to stop, with the exit status; "void" where the unit is another worker's by now.
        """
        if attempt < self._attempts.get(unit, 0):
            return "void"
        self._reports += [(unit, report) for report in reports]
        return self._stop

    def take(self) -> list[tuple[str, tuple[Any, ...]]]:
        """All reports since the last call, with the units that they are of."""
        taken, self._reports = self._reports, []
        return taken

    def give_up(self, unit: str) -> int:
        """Hear no more of a unit's worker, and give the number of the next attempt."""
        self._attempts[unit] = self._attempts.get(unit, 0) + 1
        self._running.discard(unit)
        return self._attempts[unit]

    def stop(self, why: str, exit_status: int) -> set[str]:
        """Ask all units to save and stop; those that have begun so far are returned, no other one begins."""
        if self._stop is None:
            self._stop = why, exit_status
        return set(self._running)


class Reporter:
    """A unit's meter, and its knowledge of whether to stop: both are the driver's, through the mailbox.

    Args:
        mailbox: the driver's.
        unit: name of the unit.
        attempt: its number, counted by the mailbox.
    """

    def __init__(self, mailbox: Any, unit: str, attempt: int) -> None:
        self._mailbox, self._unit, self._attempt = mailbox, unit, attempt
        self._reports: list[tuple[Any, ...]] = []
        self._told = 0.0
        self._stop: InterruptedRunError | None = None
        self._ask("begin")

    def begin(self, what: str) -> None:
        """Nothing: the driver shows what advances, of many units at the same time."""

    def advance(self, what: str, lane_tokens: int, seconds: float, loss: float) -> None:
        """Count a chunk of steps."""
        if self._reports and self._reports[-1][:2] == ("advance", what):
            _, _, before, of_before, _ = self._reports.pop()
            lane_tokens, seconds = lane_tokens + before, seconds + of_before
        self._reports.append(("advance", what, lane_tokens, seconds, loss))

    def skip(self, lane_tokens: int) -> None:
        """Count lane-tokens that were trained on before."""
        self._reports.append(("skip", lane_tokens))

    def log(self, line: str) -> None:
        """A line that stays."""
        self._reports.append(("log", line))

    def record(self, **fields: Any) -> None:
        """One JSON object in metrics.jsonl."""
        self._reports.append(("record", fields))

    @property
    def end(self) -> InterruptedRunError | None:
        """Why the unit is to stop after this step; None as long as it goes on.

        An epoch's record is with the driver before the checkpoint that has the epoch behind it is begun.

        Raises:
            LostUnitError: where another worker has the unit by now, or the driver is gone.
        """
        waiting = any(report[0] != "advance" for report in self._reports)
        if self._stop is None and (waiting or time.monotonic() - self._told >= REPORT_EVERY):
            self.flush()
        return self._stop

    def flush(self) -> None:
        """Send what there is to report; errors as of `end`."""
        reports, self._reports = self._reports, []
        self._ask("put", reports)

    def _ask(self, method: str, *arguments: Any) -> None:
        import ray  # noqa: PLC0415 - the extra `cluster`

        try:
            answer = ray.get(getattr(self._mailbox, method).remote(self._unit, self._attempt, *arguments))
        except ray.exceptions.RayError as gone:
            raise LostUnitError(str(gone)) from None
        self._told = time.monotonic()
        if answer == "void":
            raise LostUnitError(self._unit)
        if answer is not None:
            self._stop = InterruptedRunError(*answer)


_SHOP: dict[bytes, Any] = {}
"""The workshop of the latest run in this process, by what names its corpora."""


def _prepare(setup: Setup) -> None:
    """Let JAX see the devices that the plan says, before it is imported."""
    if setup.on_cpu:
        os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(setup.devices)}
        os.environ |= {"NPROC": str(setup.threads), "PJRT_NPROC": str(setup.threads)}
    os.environ |= dict(setup.environment)
    from kd_jax.runtime.device import enable_compilation_cache  # noqa: PLC0415
    from kd_jax.training.mesh import use_all_cores  # noqa: PLC0415
    from kd_jax.training.saved_model import silence_tensorstore_threads  # noqa: PLC0415

    silence_tensorstore_threads()
    use_all_cores()
    enable_compilation_cache()


def versions() -> dict[str, str]:
    """What has to be equal on all nodes for equal results."""
    from importlib.metadata import version  # noqa: PLC0415

    from kd_jax import __version__  # noqa: PLC0415

    return {"kd_jax": __version__, "jax": version("jax"), "jaxlib": version("jaxlib")}


def fault_here(setup: Setup) -> str | None:
    """Why units can't run on this node: it does not see the work folder, or has other versions; None where they can."""
    try:
        seen = (Path(setup.workdir) / TOKEN).read_text(encoding="utf-8") == setup.token
    except OSError:
        seen = False
    name = platform.node()
    if not seen:
        return (
            f"--cluster: node {name} does not see the work folder {setup.workdir}; name one on a file system that all"
            " nodes share with --workdir"
        )
    other = [f"{k} {v}, the driver {setup.versions[k]}" for k, v in versions().items() if v != setup.versions[k]]
    return f"--cluster: node {name} has {' and '.join(other)}; install the same everywhere" if other else None


def describe_device(setup: Setup) -> Device:
    """The device of units, as one of them finds it."""
    _prepare(setup)
    import jax  # noqa: PLC0415

    from kd_jax.runtime import device  # noqa: PLC0415

    memory = device.available_memory()
    if memory is not None and setup.on_cpu:
        memory = round(setup.share * memory)
    return Device(device.devices(), jax.default_backend(), memory)


def work(setup: Setup, data: list[Any], unit: Any, name: str, attempt: int, mailbox: Any) -> tuple[str, Any]:
    """Run a unit.

    Args:
        setup: how.
        data: a list with the reference of the corpora, which are fetched once a process.
        unit: what; one of `units.Unit`, pickled, since reading it back imports JAX.
        name: of the unit.
        attempt: its number.
        mailbox: of the driver.

    Returns:
        "done" and the unit's result; "refused" and a line where something is wrong with what the user gave; "stopped"
        where the driver asked for it and all is saved; "lost" where another worker has the unit.
    """
    if (fault := fault_here(setup)) is not None:
        return "refused", fault  # a node that joined since the run began
    _prepare(setup)
    import pickle  # noqa: PLC0415

    import ray  # noqa: PLC0415

    from kd_jax.runtime import device  # noqa: PLC0415
    from kd_jax.sweep.group import RunContext  # noqa: PLC0415
    from kd_jax.sweep.status import Status  # noqa: PLC0415
    from kd_jax.sweep.units import Workshop  # noqa: PLC0415

    try:
        report = Reporter(mailbox, name, attempt)
        context = RunContext(Path(setup.workdir), report, report, Status(), device.devices(), setup.share)
        context.go_on()
        key = data[0].binary()
        if key not in _SHOP:
            _SHOP.clear()
            _SHOP[key] = Workshop(ray.get(data[0]), context)
        shop = _SHOP[key]
        shop.context = context
        result = pickle.loads(unit).run(shop)
        report.flush()
    except InputError as refused:
        return "refused", str(refused)
    except InterruptedRunError:
        return "stopped", None
    except LostUnitError:
        return "lost", None
    return "done", result
