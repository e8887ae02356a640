"""Progress of a run: a live line on a terminal, plain lines elsewhere, one JSON object an epoch in metrics.jsonl."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from kd_jax.errors import InputError
from kd_jax.runtime.curves import Curves

PLAIN_EVERY = 20.0  # seconds between plain lines


class Meter(Protocol):
    """Receives progress, wherever that is shown; methods as of `ProgressMeter`."""

    def begin(self, what: str) -> None:
        """Show what is done now, before there is any progress in it."""

    def advance(self, what: str, lane_tokens: int, seconds: float, loss: float) -> None:
        """Count a chunk of steps."""

    def skip(self, lane_tokens: int) -> None:
        """Count lane-tokens that were trained on before this run."""

    def log(self, line: str) -> None:
        """A line that stays."""

    def record(self, **fields: Any) -> None:
        """One JSON object in metrics.jsonl."""


class ProgressMeter:
    """Counts lane-tokens against a plan and shows how far a run is.

    Args:
        total: lane-tokens that the run will train on.
        metrics: file that gets one JSON object an epoch.
        console: where lines go.
        curves: are told of every record, too; None for none.
    """

    def __init__(self, total: int, metrics: Path, console: Console, curves: Curves | None = None) -> None:
        self._total, self._metrics, self._console, self._curves = total, metrics, console, curves
        self._done = self._skipped = 0
        self._began = time.monotonic()
        self._told = self._began
        self._rate = 0.0
        # FORCE_COLOR alone, as in Jupyter, is no terminal.
        self._live = console.is_terminal and console.file.isatty()
        self._bar = Progress(
            # On a narrow terminal this column is cut, and the others stay.
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(bar_width=max(8, min(24, console.width // 8))),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=False),
            console=console,
            expand=True,
            transient=True,
            disable=not self._live,
            speed_estimate_period=600,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        """Start the display."""
        self._bar.start()
        self._task = self._bar.add_task("reading", total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the display."""
        self._bar.stop()
        if self._curves is not None:
            self._curves.close()

    def begin(self, what: str) -> None:
        """Show what is done now, before there is any progress in it: a program is compiled, a teacher asked.

        Args:
            what: for people.
        """
        if self._task is not None:
            self._bar.update(self._task, description=what)

    def advance(self, what: str, lane_tokens: int, seconds: float, loss: float) -> None:
        """Count a chunk of steps.

        Args:
            what: stage, cell and epoch, for people.
            lane_tokens: real tokens of all lanes in the chunk.
            seconds: it took.
            loss: mean over the lanes of the epoch so far.
        """
        self._done += lane_tokens
        now = lane_tokens / max(seconds, 1e-9)
        self._rate = now if not self._rate else 0.7 * self._rate + 0.3 * now
        self._show(f"{what}  loss {loss:.4f}  {self._rate:,.0f} lane-tokens/s")

    def _show(self, line: str) -> None:
        done = self._done
        if self._task is not None:
            self._bar.update(self._task, description=line, completed=done)
        elapsed = time.monotonic() - self._began
        if not self._live and time.monotonic() - self._told > PLAIN_EVERY:
            self._told = time.monotonic()
            left = elapsed * max(self._total - done, 0) / max(done - self._skipped, 1)
            self.log(f"{done / max(self._total, 1):4.0%}  {line}  ETA {clock(left)}")

    def skip(self, lane_tokens: int) -> None:
        """Count lane-tokens that were trained on before this run."""
        self._done += lane_tokens
        self._skipped += lane_tokens

    def log(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)
        self._console.file.flush()

    def record(self, **fields: Any) -> None:
        """One JSON object in metrics.jsonl, and a point of the curves where there are any.

        Raises:
            InputError: where the disk refuses.
        """
        if self._curves is not None:
            self._curves.add(fields)
        _append(self._metrics, (json.dumps({"time": round(time.time(), 3), **fields}) + "\n").encode())


@contextmanager
def counting(console: Console, total: int, what: str, units: str) -> Iterator[Callable[[int], None]]:
    """A bar with ETA on a terminal, plain lines elsewhere, for work that is no training.

    Args:
        console: where it is shown.
        total: how many units there are.
        what: is done, such as "encoding".
        units: for people, such as "words".

    Yields:
        A function to call with how many more are done.
    """
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"))
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    live = console.is_terminal and console.file.isatty()
    began = last_line = time.monotonic()
    done = 0
    with Progress(*columns, *times, console=console, transient=True, disable=not live) as bar:
        task = bar.add_task(what, total=total)

        def advance(count: int) -> None:
            nonlocal done, last_line
            done += count
            bar.advance(task, count)
            now = time.monotonic()
            if not live and now - last_line > PLAIN_EVERY:
                last_line = now
                left = clock((now - began) * (total - done) / max(done, 1))
                console.print(f"{done / max(total, 1):4.0%}  {done:,} of {total:,} {units}  ETA {left}")

        yield advance


def _append(metrics: Path, lines: bytes) -> None:
    try:
        with metrics.open("ab+") as file:
            if file.tell() > 0:
                file.seek(-1, os.SEEK_END)
                lines = lines if file.read(1) == b"\n" else b"\n" + lines  # a writer was stopped in mid-line
            file.write(lines)
    except OSError as fault:
        raise InputError(
            f"{metrics}: can't be written ({fault.strerror}); make room, then run the same command again"
        ) from None


def clock(seconds: float) -> str:
    """Seconds as 1:02:03 or 2:03."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def counted(number: int, what: str) -> str:
    """A number of things in words: "1 lane", "2 lanes"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
