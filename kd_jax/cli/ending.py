"""How a command ends: its exit status, errors of one line, Ctrl-C, and standard streams that fail or are closed."""

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from types import FrameType
from typing import Any, NoReturn, TextIO

from kd_jax import end_at_once
from kd_jax.errors import InputError, InterruptedRunError

_INSTALL = "is this the environment that kd_jax was installed into? (pip install -e . in a checkout)"
_ADDRESS_SPACE = 3 << 30
_ON = {"1", "true", "yes", "on", "t", "y"}
_NO_MOVES = {"disallow", "disallow_explicit"}
_WITHOUT = {
    "JAX_ENABLE_X64": (_ON, "0", "models are float32"),
    "JAX_NUMPY_DTYPE_PROMOTION": ({"strict"}, "standard", "masks are multiplied as numbers"),
} | {
    f"JAX_TRANSFER_GUARD{of}": (_NO_MOVES, "allow", "text is moved to the device, and scores from it")
    for of in ("", "_HOST_TO_DEVICE", "_DEVICE_TO_DEVICE", "_DEVICE_TO_HOST")
}
"""Variables of JAX's with values that its users carry around and models can't have, what is set instead, and why."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}  # what writing to an open file may meet


def leave(work: Callable[[], int | None], interrupted: str = "interrupted") -> NoReturn:
    """Do some work and end the process: what is wrong with the input is one line, and so is Ctrl-C.

    Exit status: the work's own; 2 for an `InputError`, 130 for Ctrl-C, even while modules are imported. A reader of
    standard output that has seen enough ends it quietly. Standard streams that are closed are read as empty, and what
    is written there goes nowhere.
    """
    # `end_at_once` has answered since kd_jax was imported, where the process is one of our commands.
    for before in (signal.default_int_handler, end_at_once):
        _answer_interrupts(before, _on_interrupt)
    _open_streams()
    _settle_environment()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a display that can't show a sign is no reason to fail
    try:
        status = work() or 0
        sys.stdout.flush()
    except InputError as fault:
        status = _say(f"error: {fault}", 2)
    except InterruptedRunError as stopped:
        status = _say(str(stopped), stopped.exit_status)
    except KeyboardInterrupt:
        # As shells have it: 128 and the signal's number, 2.
        status = _say(interrupted, 130)
    except BrokenPipeError:
        status = 0
    except Exception as fault:
        if (line := _explained(fault)) is None:
            raise
        status = _say(f"error: {line}", 2)
    if not _writes(sys.stdout):  # so that it is not tried again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _answer_interrupts(_on_interrupt, _end_at_once)  # threads that are waited for are no traceback
    sys.exit(status)


def _settle_environment() -> None:
    """Leave out what the environment asks of JAX and models can't have, and say so; to be called before it is imported.

    JAX hangs where its threads get no address space, which is said too.
    """
    for name, (values, instead, why) in _WITHOUT.items():
        if os.environ.get(name, "").lower() in values:
            os.environ[name] = instead
            _warn(f"{name} is left out: {why}")
    os.environ["MPLBACKEND"] = "agg"  # pictures go to files; a display that is not there can't be imported
    os.environ.setdefault("JAX_TRACEBACK_FILTERING", "off")  # whose fault it is, is seen in the frames
    bound = resource.getrlimit(resource.RLIMIT_AS)[0]
    if bound != resource.RLIM_INFINITY and bound < _ADDRESS_SPACE:
        _warn(
            f"ulimit -v allows {bound / 2**30:.1f} GiB of addresses; JAX may wait for ever with less than"
            f" {_ADDRESS_SPACE >> 30} (ulimit -v unlimited)"
        )


def _explained(fault: Exception) -> str | None:
    """What the machine or the environment lacks, in a line; None where the fault is one of the program's."""
    if isinstance(fault, ModuleNotFoundError) and (fault.name or "kd_jax").partition(".")[0] != "kd_jax":
        return f"{fault.name} is not installed here; {_INSTALL}"
    if isinstance(fault, OSError) and fault.filename is None and fault.errno in _FULL:
        return f"the output can't be written: {fault.strerror}"
    if isinstance(fault, FileNotFoundError) and not _stands_somewhere():
        return "the current folder is not there any more; change to another one (cd)"
    trace, places = fault.__traceback__, [""]
    while trace is not None:
        places.append(trace.tb_frame.f_code.co_filename)
        trace = trace.tb_next
    # Where JAX reads its variables and looks for devices; its exceptions there are of several kinds, so the place
    # tells.
    if places[-1].endswith(("jax/_src/xla_bridge.py", "jax/_src/config.py")):
        asked = ", ".join(
            f"{name}={value}" for name, value in os.environ.items() if name.startswith("JAX_") and "TRACE" not in name
        )
        why = " ".join(str(fault).split()) or "no such device here"
        return f"JAX does not start: {why} (set: {asked or 'nothing'}); unset what is wrong, or see kd-jax doctor"
    return None


def _stands_somewhere() -> bool:
    """Whether the current folder is still there."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def _warn(line: str) -> None:
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr)


def _open_streams() -> None:
    """Open standard streams that are closed, or the next file that is opened would take their place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _writes(stream: TextIO) -> bool:
    """Whether what a stream holds can be written."""
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def _answer_interrupts(before: Callable[..., Any], now: Callable[..., Any]) -> None:
    """Change how Ctrl-C is answered; not where it is ignored, as under nohup, nor outside of the main thread."""
    if signal.getsignal(signal.SIGINT) is before:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, now)


def _end_at_once(*_: Any) -> NoReturn:
    os._exit(130)


def _on_interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but end at once within an import.

    Extension modules turn a KeyboardInterrupt of their import into other errors, or drop it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with suppress(OSError):
                os.write(2, b"interrupted\n")
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def _say(line: str, status: int) -> int:
    _answer_interrupts(_on_interrupt, _end_at_once)
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(" ".join(line.splitlines()), file=sys.stderr, flush=True)
    return status
