"""Hosts meet, share units of work, and end together: over loopback, without training anything."""

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain

import pytest
from loopback import free_port

from kd_jax.errors import InputError
from kd_jax.hosts import board, host, meeting
from kd_jax.hosts.board import Board
from kd_jax.hosts.meeting import TOKEN, _found, meet
from kd_jax.interrupt import InterruptedRunError

SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "node[03-05],login", "SLURM_NTASKS": "3", "SLURM_PROCID": "2"}
OTHER = textwrap.dedent("""
    import sys, time
    from pathlib import Path
    from kd_jax.hosts.meeting import meet
    with meet(sys.argv[1], Path(sys.argv[2])) as host:
        print("here", flush=True)
        time.sleep(600)
    """)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(host, "BEAT", 0.05)
    monkeypatch.setattr(meeting, "BEAT", 0.05)


def together(count, workdir, work):
    """What each of some hosts gives, or the exception that ended it; each is a thread with a connection of its own."""
    address = f"127.0.0.1:{free_port()}"

    def one(index):
        try:
            with meet(f"{address},{count},{index}", workdir) as me:
                return work(me)
        except (InputError, InterruptedRunError, ZeroDivisionError) as fault:
            return fault

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def until_it_ends(me):
    while True:
        me.wait(["never finished"])


def test_every_unit_is_taken_once_and_all_wait_for_all(tmp_path):
    units, done = [str(n) for n in range(200)], []

    def work(me):
        mine = []
        for unit in units:
            if me.take(unit):
                mine.append(unit)
                done.append(unit)
                me.finish(unit)
        me.wait(units)
        assert sorted(done) == sorted(units)
        return mine

    taken = together(3, tmp_path, work)
    assert sorted(chain.from_iterable(taken)) == sorted(units)
    assert not (tmp_path / TOKEN).exists()


def test_the_secret_is_only_the_users(tmp_path):
    modes = together(1, tmp_path, lambda _: (tmp_path / TOKEN).stat().st_mode & 0o777)
    assert modes == [0o600]


def test_a_host_alone_needs_no_board_and_leaves_the_folder_alone(tmp_path):
    with meet(None, tmp_path / "w") as me:
        assert me.first
        assert me.take("a")
        me.finish("a")
        me.wait(["a"], [tmp_path / "not looked for"])
        me.see_off()
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("fault", "said", "status"),
    [
        (InputError("no such corpus"), "no such corpus", 2),
        (InterruptedRunError("stopped by SIGTERM", 143), "stopped by SIGTERM", 143),
        (ZeroDivisionError("by zero"), "ZeroDivisionError by zero", 1),
    ],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_fault_on_one_host_ends_all(tmp_path, fault, said, status, at):
    def work(me):
        me.finish(f"host {me.index} is here")
        me.wait(["host 0 is here", "host 1 is here"])
        if me.index == at:
            raise fault
        until_it_ends(me)

    ends = together(2, tmp_path, work)
    assert ends[at] is fault
    assert isinstance(ends[1 - at], InterruptedRunError)
    assert str(ends[1 - at]).endswith(f"ended the run: {said}")
    assert str(ends[1 - at]).startswith(f"host {at} (")
    assert ends[1 - at].exit_status == status


def test_hosts_that_were_asked_for_different_things_do_not_run(tmp_path):
    def work(me):
        me.agree(f"host {me.index} asks")
        until_it_ends(me)

    ends = together(2, tmp_path, work)
    assert {type(end) for end in ends} == {InputError, InterruptedRunError}
    assert all("same flags, corpora and versions" in str(end) for end in ends)


@contextmanager
def process(index, port, workdir):
    command = [sys.executable, "-c", OTHER, f"127.0.0.1:{port},2,{index}", str(workdir)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def run_beside(victim, number, where, workdir):
    """Meet the other host, send it a signal, and wait until the run ends."""
    with meet(where, workdir) as me:
        assert victim.stdout.readline() == "here\n"
        os.kill(victim.pid, number)
        until_it_ends(me)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_host_that_is_killed_ends_the_other(tmp_path, killed):
    port = free_port()
    with process(killed, port, tmp_path) as victim, pytest.raises(InterruptedRunError) as end:
        run_beside(victim, signal.SIGKILL, f"127.0.0.1:{port},2,{1 - killed}", tmp_path)
    assert str(end.value).startswith(f"host {killed}")
    assert str(end.value).endswith("is gone; the same command on every host goes on")
    assert end.value.exit_status == 1


@pytest.mark.parametrize("silent", [0, 1])
def test_a_host_that_falls_silent_ends_the_other(tmp_path, monkeypatch, silent):
    """Stopped, its connection stays open, as where a machine loses power or a network is cut."""
    monkeypatch.setattr(board, "PATIENCE", 1.0)
    monkeypatch.setattr(meeting, "PATIENCE", 1.0)
    port = free_port()
    with (
        process(silent, port, tmp_path) as victim,
        pytest.raises(InterruptedRunError, match=f"host {silent}.* is gone"),
    ):
        run_beside(victim, signal.SIGSTOP, f"127.0.0.1:{port},2,{1 - silent}", tmp_path)


def test_a_host_that_does_not_come_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "MEETING", 0.5)
    with pytest.raises(InterruptedRunError, match="host 1 has not come"), meet(f"x:{free_port()},2,0", tmp_path) as me:
        until_it_ends(me)


def test_hosts_that_do_not_meet_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(meeting, "MEETING", 0.2)
    port = free_port()

    def refusal(where, workdir):
        with pytest.raises(InputError) as refused, meet(where, workdir):
            pass
        return str(refused.value)

    with meet(f"127.0.0.1:{port},2,0", tmp_path / "a"):
        told = refusal(f"127.0.0.1:{port},2,1", tmp_path / "b")
        assert "b/.hosts" in told
        assert told.endswith("is on a file system that all hosts share")
        assert "host 0 was told of 2 hosts, this one of 3" in refusal(f"127.0.0.1:{port},3,1", tmp_path / "a")
        assert f"port {port}: can't be used" in refusal(f"127.0.0.1:{port},2,0", tmp_path / "c")
        with meet(f"127.0.0.1:{port},2,1", tmp_path / "a"):
            assert "is there already" in refusal(f"127.0.0.1:{port},2,1", tmp_path / "a")


def test_a_runtime_that_spans_hosts_is_refused(tmp_path, monkeypatch):
    """Orbax's arrays would then be written by the first process alone."""
    monkeypatch.setattr(meeting.jax, "process_count", lambda: 4)
    with pytest.raises(InputError, match="spans 4 processes here; give every process its own devices"):
        meet("node1:7711,2,0", tmp_path / "w").__enter__()
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("where", ["", "here", "node1,2,0", "node1:7711,2,2", "node1:7711,0,0", "node1:7711,2,-1"])
def test_what_is_no_place_to_meet(where):
    with pytest.raises(InputError, match="write auto, or COORDINATOR:PORT"):
        _found(where)


def test_jax_finds_the_cluster(monkeypatch):
    for name, value in (SLURM | {"SLURM_LOCALID": "0"}).items():
        monkeypatch.setenv(name, value)
    (name, port), count, index = _found("auto")
    assert (name, count, index) == ("node03", 3, 2)
    assert port > 1024


def test_no_cluster_is_one_line():
    with pytest.raises(InputError, match=r"--distributed=auto: JAX .*write COORDINATOR:PORT,PROCESSES,PROCESS_ID"):
        _found("auto")


def test_the_board_hears_the_first_ending_and_tells_everyone():
    one = Board(3)
    for index in range(3):
        assert one.ask(index, "greet", "node", 3) is None
    assert one.ask(1, "beat", 5) == (None, 0)
    assert one.ask(2, "beat", 7) == (None, 5)
    one.ask(1, "end", "first", 2)
    one.ask(2, "lose")
    ending, elsewhere = one.ask(0, "beat", 1)
    assert ending == ("host 1 (node) ended the run: first", 2)
    assert elsewhere == 12
    assert one.ask(0, "alone")
