"""SIGINT, SIGTERM and SIGHUP as requests: the step under way is finished and saved before the program ends."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

from kd_jax.errors import InterruptedRunError


class Stop(Protocol):
    """Knows whether a run is to end."""

    @property
    def end(self) -> InterruptedRunError | None:
        """Why the run is to end after this step; None as long as it goes on."""


class Interrupt:
    """While it is entered, the first SIGINT, SIGTERM or SIGHUP is kept as a request; a second SIGINT ends at once.

    SIGHUP is what a terminal that is closed sends; where it is ignored, as under nohup, it stays so.
    """

    def __init__(self) -> None:
        self.asked_by: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def end(self) -> InterruptedRunError | None:
        """Why the run is to end after this step; None as long as no signal came."""
        if self.asked_by is None:
            return None
        name = signal.Signals(self.asked_by).name
        return InterruptedRunError(
            f"stopped by {name}; everything is saved: the same command goes on", 128 + self.asked_by
        )

    def __enter__(self) -> Self:
        """Take over the signals."""
        asking = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            asking.append(signal.SIGHUP)
        if threading.current_thread() is not threading.main_thread():
            asking = []  # only the main thread hears of signals
        for number in asking:
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _: FrameType | None) -> None:
        if self.asked_by is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked_by = number
