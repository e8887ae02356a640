"""How a command ends: its exit status, errors of one line, Ctrl-C, and standard streams that fail or are closed."""

import errno
import os
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
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}  # what writing to an open file may meet


def leave(work: Callable[[], int | None], interrupted: str = "interrupted") -> NoReturn:
    """Do some work and end the process: what is wrong with the input is one line, and so is Ctrl-C.

    Exit status: the work's own; 2 for an `InputError`, 130 for Ctrl-C, even while modules are imported. A reader of
    standard output that has seen enough ends it quietly. Standard streams that are closed are read as empty, and what
    is written there goes nowhere.
    """
    for before in (signal.default_int_handler, end_at_once):
        _answer_interrupts(before, _on_interrupt)
    _open_streams()
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
        status = _say(interrupted, 130)
    except BrokenPipeError:
        status = 0
    except ModuleNotFoundError as missing:
        if (missing.name or "kd_jax").partition(".")[0] == "kd_jax":
            raise
        status = _say(f"error: {missing.name} is not installed here; {_INSTALL}", 2)
    except OSError as fault:
        if fault.filename is not None or fault.errno not in _FULL:
            raise
        status = _say(f"error: the output can't be written: {fault.strerror}", 2)
    if not _writes(sys.stdout):  # so that it is not tried again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    _answer_interrupts(_on_interrupt, _end_at_once)  # threads that are waited for are no traceback
    sys.exit(status)


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
