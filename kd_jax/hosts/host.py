"""A host of a run, alone or among others."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from kd_jax.errors import InputError
from kd_jax.hosts.board import GO_ON, Board
from kd_jax.interrupt import InterruptedRunError

BEAT = 1.0  # seconds between two signs of life
VISIBLE = 120.0  # seconds that a network file system may take to show one host's file to another


class Host:
    """This host among those of a run.

    Args:
        index: which it is; host 0 writes the run's tables and talks to people.
        count: of how many.
        ask: puts a question to the board; None for a host that is alone.

    Attributes:
        end: why the run is to end after this step; None as long as it goes on.
        trained: lane-tokens that this host has trained on.
        elsewhere: lane-tokens that the others have trained on.
    """

    def __init__(self, index: int = 0, count: int = 1, ask: Callable[..., Any] | None = None) -> None:
        self.index, self.count = index, count
        self.end: InterruptedRunError | None = None
        self.trained = self.elsewhere = 0
        self._cut_off: InterruptedRunError | None = None
        board = Board(1)
        self._board = ask or (lambda *question: board.ask(0, *question))
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        if count > 1:
            self._watcher.start()

    @property
    def first(self) -> bool:
        """Whether this is host 0."""
        return self.index == 0

    def folder(self, workdir: Path) -> Path:
        """Where this host keeps what it tells of the run, until host 0 has gathered it."""
        return workdir if self.first else workdir / "hosts" / str(self.index)

    def agree(self, request: str) -> None:
        """See that every host was asked for the same.

        Args:
            request: all that decides what is trained.

        Raises:
            InputError: where it was not.
        """
        if not self._ask("agree", request):
            raise InputError(
                "this host was asked for something else than the others: give every host the same flags, corpora and"
                " versions of kd_jax and jax"
            )

    def take(self, unit: str) -> bool:
        """Whether a unit of work is this host's: each is one host's only."""
        return bool(self._ask("take", unit))

    def finish(self, unit: str) -> None:
        """Say that a unit of work is finished and its files are written."""
        self._ask("finish", unit)

    def wait(self, units: Iterable[str], files: Iterable[Path] = (), idle: Callable[[], None] = lambda: None) -> None:
        """Wait until units of work are finished and their files can be seen here.

        Args:
            units: their names.
            files: that are there then.
            idle: called again and again.

        Raises:
            InterruptedRunError: where the run ends meanwhile.
            InputError: where a file does not appear.
        """
        left = set(units)
        while left := self._ask("unfinished", left):
            self._pause()
            idle()
        deadline = time.monotonic() + VISIBLE
        for file in files:
            while self.count > 1 and not file.exists():
                if time.monotonic() > deadline:
                    raise InputError(f"{file}: written by another host, and not to be seen here: is the folder shared?")
                self._pause()

    def see_off(self, seconds: float = float("inf")) -> None:
        """On host 0 wait until the others have left or know that the run ends, but no longer than so many seconds."""
        deadline = time.monotonic() + seconds
        while self.first and not self._ask("alone") and time.monotonic() < deadline:
            time.sleep(BEAT / 10)

    def leave(self, fault: BaseException | None) -> None:
        """Leave the run, and say why where it is for a fault that the others don't know of."""
        with suppress(InterruptedRunError):
            if fault is None or fault is self.end:
                self._ask("leave")
                self.see_off()
            else:
                self._ask("end", *_told(fault))
                self.see_off(5 * BEAT)
        self._closing.set()

    def _pause(self) -> None:
        if self.end is not None:
            raise self.end
        time.sleep(BEAT / 10)

    def _ask(self, question: str, *about: Any) -> Any:
        if self._cut_off is not None:
            raise self._cut_off
        try:
            return self._board(question, *about)
        except (EOFError, OSError):
            self._cut_off = self.end = self.end or InterruptedRunError(f"host 0 is gone; {GO_ON}", 1)
            raise self._cut_off from None

    def _watch(self) -> None:
        with suppress(InterruptedRunError):
            while not self._closing.wait(BEAT):
                ending, self.elsewhere = self._ask("beat", self.trained)
                if ending is not None and self.end is None:
                    self.end = InterruptedRunError(*ending)


def _told(fault: BaseException) -> tuple[str, int]:
    """What the other hosts are told of a fault, and the status that they exit with."""
    if isinstance(fault, InterruptedRunError):
        return str(fault), fault.exit_status
    if isinstance(fault, InputError):
        return str(fault), 2
    return f"{type(fault).__name__} {' '.join(str(fault).split())[:200]}".strip(), 1
