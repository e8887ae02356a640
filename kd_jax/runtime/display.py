"""What a run shows people, which it does without where nobody can see it any more."""

import os
import sys
from contextlib import suppress
from typing import Any, TextIO, cast

from rich.console import Console

NARROWEST = 40


class Display:
    """A stream that people read: where it can't be written any more, what is done goes on without it.

    The first refusal (a reader that has seen enough, a full disk, a closed terminal) is said on standard error, unless
    it is a reader that went away. Everything else of the stream is as it was.

    Args:
        stream: to write to; None, as where the standard stream is closed, shows nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def isatty(self) -> bool:
        """Whether people see it at once."""
        with suppress(OSError, ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    def write(self, text: str) -> int:
        """Write, if that can be done."""
        self._try("write", text)
        return len(text)

    def flush(self) -> None:
        """Let it be seen, if that can be done."""
        self._try("flush")

    def _try(self, method: str, *given: str) -> None:
        if self._stream is None:
            return
        try:
            getattr(self._stream, method)(*given)
        except (OSError, ValueError) as fault:
            lost, self._stream = self._stream, None
            _forget(lost)
            if not isinstance(fault, BrokenPipeError):
                with suppress(OSError, ValueError):
                    why = getattr(fault, "strerror", None) or fault
                    print(f"standard output can't be written ({why}): going on without it", file=sys.stderr)


class Coloured(Console):
    """A console for what is asked for rather than shown beside it: a reader that went away ends the command."""

    def on_broken_pipe(self) -> None:
        """Let the command end as others do."""
        raise BrokenPipeError


def standard_console(*, quiet: bool = False) -> Console:
    """A console on standard output as a display; on a terminal too narrow for tables, as one of `NARROWEST` columns."""
    found = Console(file=cast(TextIO, Display(sys.stdout)), quiet=quiet)
    found.width = max(found.width, NARROWEST)
    return found


def _forget(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, so that it is not tried again when the process ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
