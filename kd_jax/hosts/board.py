"""What the hosts of a run know of each other: who takes what, what is finished, who is alive."""

import json
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

PATIENCE = 60.0  # seconds of silence after which a host is taken for gone
MEETING = 300  # seconds that hosts wait for each other at the start
GO_ON = "the same command on every host goes on"


class Ending(NamedTuple):
    """Why a run ends.

    Attributes:
        why: for people, with the host whose doing it is.
        status: with which the processes exit.
    """

    why: str
    status: int


def say(connection: Connection, what: Any) -> None:
    """Send lists, numbers, words or nothing, as JSON: a connection's own pickles are never read."""
    connection.send_bytes(json.dumps(what, default=list).encode())


def hear(connection: Connection) -> Any:
    """What the other end has said; sets and tuples come as lists."""
    return json.loads(connection.recv_bytes())


class Board:
    """What the hosts of a run know of each other; host 0 has it, the others ask.

    Args:
        hosts: how many there are.
    """

    def __init__(self, hosts: int) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._finished: set[str] = set()
        self._request: str | None = None
        self._names = dict.fromkeys(range(hosts), "")
        self._heard = dict.fromkeys(range(hosts), time.monotonic())
        self._trained = dict.fromkeys(range(hosts), 0)
        self._left: set[int] = set()
        self._told: set[int] = set()
        self._ending: Ending | None = None

    def ask(self, host: int, question: str, *about: Any) -> Any:
        """The answer of the method of that name to a host."""
        with self._lock:
            self._heard[host] = time.monotonic()
            return getattr(self, question)(host, *about)

    def serve(self, connection: Connection) -> None:
        """Answer a host until its connection ends."""
        host = None
        with connection, suppress(EOFError, OSError):
            asking, *about = hear(connection)
            refusal = self.ask(asking, "greet", *about)
            host = asking if refusal is None else None
            say(connection, refusal)
            while host is not None:
                say(connection, self.ask(host, *hear(connection)))
        if host is not None:
            self.ask(host, "lose")

    def greet(self, host: int, name: str, hosts: int) -> str | None:
        """A host comes and says its name, and how many it was told of; why it can't join, or None."""
        if hosts != len(self._names):
            return f"host 0 was told of {len(self._names)} hosts, this one of {hosts}"
        if self._names[host]:
            return f"{self._called(host)} is there already"
        self._names[host] = name
        return None

    def agree(self, _: int, request: str) -> bool:
        """Whether a host asks for the same as whoever said it first."""
        self._request = self._request or request
        return request == self._request

    def take(self, _: int, unit: str) -> bool:
        """Whether a unit of work is the host's now: each is one host's only."""
        free = unit not in self._taken
        self._taken.add(unit)
        return free

    def finish(self, _: int, unit: str) -> None:
        """A unit of work is finished."""
        self._finished.add(unit)

    def unfinished(self, _: int, units: Iterable[str]) -> set[str]:
        """Those of some units that are not finished."""
        return set(units) - self._finished

    def beat(self, host: int, trained: int) -> tuple[Ending | None, int]:
        """A sign of life with the lane-tokens trained on; why the run ends, and the lane-tokens of the others."""
        self._trained[host] = trained
        now = time.monotonic()
        for other, heard in self._heard.items():
            if now - heard > (PATIENCE if self._names[other] else MEETING):
                self.lose(other)
        if self._ending is not None:
            self._told.add(host)
        return self._ending, sum(self._trained.values()) - trained

    def end(self, host: int, reason: str, status: int) -> None:
        """A host ends the run; the first to do so is heard."""
        self._ending = self._ending or Ending(f"{self._called(host)} ended the run: {reason}", status)
        self._left.add(host)

    def leave(self, host: int) -> None:
        """A host has nothing left to do."""
        self._left.add(host)

    def lose(self, host: int) -> None:
        """A host that has not left is gone."""
        if host not in self._left:
            how = "is gone" if self._names[host] else f"has not come within {MEETING} seconds"
            self._ending = self._ending or Ending(f"{self._called(host)} {how}; {GO_ON}", 1)
            self._left.add(host)

    def alone(self, host: int) -> bool:
        """Whether every other host has left, or knows that the run ends."""
        return self._left | self._told | {host} >= self._names.keys()

    def _called(self, host: int) -> str:
        return f"host {host} ({self._names[host]})" if self._names[host] else f"host {host}"
