"""A real run that is sent SIGTERM or SIGINT saves, says how to go on, and exits as shells expect; then it goes on."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import kd_jax
from kd_jax.runtime.interrupt import Interrupt

SIZES = ("words.dim=6", "chars.dim=4", "chars.units=4", "shared_units=4", "task_units=4", "hidden_units=4")
ALONE = "from kd_jax.experiment import Experiment\nEXPERIMENT = Experiment('alone', 'STM alone', multi=())\n"


def stopped(command, workdir, number):
    """Start a run, send it a signal once it has trained an epoch, and give what it said and its exit status."""
    metrics = workdir / "metrics.jsonl"
    before = metrics.stat().st_size if metrics.exists() else 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (metrics.exists() and metrics.stat().st_size > before):
            time.sleep(0.1)
        process.send_signal(number)
        out, err = process.communicate()
    return out, err, process.returncode


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_goes_on(tmp_path, number, status):
    (tmp_path / "alone.py").write_text(ALONE)
    command = [sys.executable, "-m", "kd_jax.main", "--datasets=SampleChem", "--seeds=1", "--epochs=5000"]
    command += [f"--experiment={tmp_path / 'alone.py'}", f"--workdir={tmp_path / 'w'}", *(f"--set={s}" for s in SIZES)]
    for again in (False, True):
        out, err, returned = stopped(command, tmp_path / "w", number)
        assert returned == status, out + err
        assert err.splitlines()[-1] == f"stopped by {number.name}; everything is saved: the same command goes on"
        assert "Traceback" not in err
        assert ("resuming after epoch" in out) == again
    assert not list((tmp_path / "w").rglob("model.json"))


def test_a_closed_terminal_asks_for_the_end_too():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # tests may run under nohup themselves
    try:
        with Interrupt() as stop:
            assert stop.end is None
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.end.exit_status == 129
            assert "stopped by SIGHUP; everything is saved" in str(stop.end)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_under_nohup_a_closed_terminal_changes_nothing():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupt() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.end is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_who_presses_ctrl_c_again_does_not_want_to_wait():
    with Interrupt() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.end.exit_status == 130
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_thread_that_hears_of_no_signals_runs_too():
    before, ends = signal.getsignal(signal.SIGTERM), []

    def run():
        with Interrupt() as stop:
            ends.append(stop.end)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ends == [None]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("words", "ours"), [
    (["-m", "kd_jax.main", "--seeds=2"], True),
    (["-u", "-X", "dev", "-m", "kd_jax", "train"], True),
    (["/venv/bin/kd-jax", "train"], True),
    (["/home/me/kd-jax/run.py"], False),
    (["run.py", "--out=/data/kd-jax/run", "-m", "kd_jax"], False),
    (["-m", "pytest", "kd_jax"], False),
    (["-c", "import kd_jax"], False),
    ([], False),
])  # fmt: skip
def test_ctrl_c_is_taken_from_nobody_but_our_own_commands(words, ours):
    assert kd_jax._is_command(words) == ours
