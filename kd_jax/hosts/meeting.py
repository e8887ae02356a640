"""Hosts meet: JAX tells the cluster, the work folder the secret, and everyone connects to host 0."""

import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

import jax

from kd_jax.errors import InputError
from kd_jax.files import locked
from kd_jax.hosts.board import MEETING, PATIENCE, Board, hear, say
from kd_jax.hosts.host import BEAT, Host

TOKEN = ".hosts"  # in the work folder, the secret of the run's connections
SAY_IT = "write COORDINATOR:PORT,PROCESSES,PROCESS_ID"


@contextmanager
def meet(where: str | None, workdir: Path) -> Iterator[Host]:
    """Meet the other hosts of a run, and leave them at its end.

    Args:
        where: "auto" for what JAX finds out about the cluster; "COORDINATOR:PORT,PROCESSES,PROCESS_ID" to say it; None
            for a run on this host alone.
        workdir: the work folder, on a file system that all hosts share. Host 0 locks it and leaves the secret of the
            run's connections there; without other hosts it is not touched.

    Yields:
        This host.

    Raises:
        InputError: where they do not meet.
    """
    if where is None:
        yield Host()
        return
    address, count, index = _found(where)
    if (processes := jax.process_count()) > 1:
        raise InputError(
            f"--distributed={where}: JAX's runtime spans {processes} processes here; give every process its own devices"
            " before it starts, on a TPU pod by TPU_PROCESS_BOUNDS=1,1,1 and TPU_CHIPS_PER_PROCESS_BOUNDS=2,2,1 (the"
            " chips of one host)"
        )
    with _hosting(address, count, workdir) if index == 0 else _visiting(address, count, index, workdir) as ask:
        host = Host(index, count, ask)
        try:
            yield host
        except BaseException as fault:
            host.leave(fault)
            raise
        host.leave(None)


@contextmanager
def _hosting(address: tuple[str, int], count: int, workdir: Path) -> Iterator[Callable[..., Any]]:
    """Questions to the board of host 0, which the other hosts may ask too."""
    token, key = workdir / TOKEN, secrets.token_bytes(32)
    with ExitStack() as held:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(workdir))
            listener = held.enter_context(Listener(("", address[1]), backlog=count, authkey=key))
            held.callback(token.unlink, missing_ok=True)
            token.unlink(missing_ok=True)
            with open(token, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(key)
        except OSError as fault:
            where = f"--workdir={workdir}: can't be written" if fault.filename else f"port {address[1]}: can't be used"
            raise InputError(f"{where} ({fault.strerror})") from None
        board = Board(count)
        board.ask(0, "greet", platform.node(), count)
        threading.Thread(target=_accept, args=(listener, board), daemon=True).start()
        yield lambda *question: board.ask(0, *question)


def _accept(listener: Listener, board: Board) -> None:
    """Answer whoever knows the secret, each in a thread of its own, until the listener is closed."""
    while True:
        try:
            threading.Thread(target=board.serve, args=(listener.accept(),), daemon=True).start()
        except (EOFError, ConnectionError, AuthenticationError):
            continue
        except OSError:
            return


@contextmanager
def _visiting(address: tuple[str, int], count: int, index: int, workdir: Path) -> Iterator[Callable[..., Any]]:
    """Questions to the board of host 0 from another host; its silence is an OSError."""
    lock = threading.Lock()

    def ask(*question: Any) -> Any:
        with lock:
            say(connection, question)
            if not connection.poll(PATIENCE):
                raise TimeoutError
            return hear(connection)

    with _reach(address, workdir / TOKEN) as connection:
        try:
            refusal = ask(index, platform.node(), count)
        except (EOFError, OSError):
            refusal = "host 0 is gone"
        if refusal is not None:
            raise InputError(f"--distributed: {refusal}")
        yield ask


def _reach(address: tuple[str, int], token: Path) -> Connection:
    """A connection to host 0, which may start later than this one."""
    deadline = time.monotonic() + MEETING
    while True:
        try:
            return Client(address, authkey=token.read_bytes())
        except (EOFError, OSError, AuthenticationError) as fault:
            if time.monotonic() > deadline:
                raise InputError(
                    f"host 0 is not to be met at {address[0]}:{address[1]} within {MEETING} seconds ({fault}): see what"
                    f" it says, and whether {token.parent} is on a file system that all hosts share"
                ) from None
        time.sleep(BEAT)


def _found(where: str) -> tuple[tuple[str, int], int, int]:
    """The coordinator's address and port, how many hosts there are, and which this is."""
    if where == "auto":
        address, count, index = _detected()
    else:
        found = re.fullmatch(r"([^,]+:\d+),(\d+),(\d+)", where)
        address, count, index = (found[1], int(found[2]), int(found[3])) if found else ("", 0, 0)
        if not index < count:
            raise InputError(
                f"--distributed={where}: write auto, or COORDINATOR:PORT,PROCESSES,PROCESS_ID with ids from 0, such as"
                " node1:7711,2,0"
            )
    name, _, port = address.rpartition(":")
    return (name, int(port)), count, index


def _detected() -> tuple[str, int, int]:
    """What JAX finds out about the cluster; where there is a process for each GPU, this one is given its own."""
    try:
        from jax._src.clusters import ClusterEnv  # noqa: PLC0415 - has no public name, and may move

        unknown = (None, None, None, None, None)
        address, count, index, gpus = ClusterEnv.auto_detect_unset_distributed_params(*unknown, MEETING)
    except Exception as fault:
        raise InputError(f"--distributed=auto: JAX can't tell the cluster ({fault}); {SAY_IT}") from None
    if address is None or count is None or index is None:
        raise InputError(f"--distributed=auto: JAX finds no SLURM, Open MPI, TPU pod or GKE here; {SAY_IT}")
    for kind in ("cuda", "rocm") if gpus else ():
        jax.config.update(f"jax_{kind}_visible_devices", ",".join(map(str, gpus or ())))
    return address, count, index
