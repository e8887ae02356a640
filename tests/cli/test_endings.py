"""How commands end: exit statuses, faults of the machine, closed streams, Ctrl-C."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.commands import ended

import kd_jax
from kd_jax import cli
from kd_jax.errors import InputError, InterruptedRunError


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        (InputError("a\nb: wrong"), 2, "error: a b: wrong\n"),
        (InterruptedRunError("stopped by SIGTERM", 143), 143, "stopped by SIGTERM\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_ends_a_command_is_a_line_and_a_status(capsys, fault, status, says):
    def work():
        raise fault

    assert ended(cli.leave, work) == status
    assert capsys.readouterr().err == says


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: the output can't be written: No space left"),
        (ModuleNotFoundError("no", name="absl.flags"), "error: absl.flags is not installed here; is this the"),
    ],
)
def test_what_the_machine_lacks_is_a_line(capsys, fault, says):
    def work():
        raise fault

    assert ended(cli.leave, work) == 2
    assert capsys.readouterr().err.startswith(says)


@pytest.mark.parametrize("fault", [OSError(errno.ENOENT, "no", "a/file"), ModuleNotFoundError("no", name="kd_jax.x")])
def test_faults_of_ours_are_not_hidden(fault):
    def work():
        raise fault

    with pytest.raises(type(fault)):
        cli.leave(work)


def test_what_jax_refuses_to_start_with_is_a_line():
    program = "from kd_jax import cli\ndef work():\n    import jax\n    jax.numpy.ones(1)\ncli.leave(work)\n"
    for name, value, says in (
        ("JAX_PLATFORMS", "nonsense", "error: JAX does not start: Unable to initialize backend 'nonsense'"),
        ("JAX_ENABLE_COMPILATION_CACHE", "perhaps", "error: JAX does not start: invalid truth value 'perhaps'"),
    ):
        call = [sys.executable, "-c", program]
        done = subprocess.run(call, check=False, capture_output=True, text=True, env=os.environ | {name: value})
        assert done.returncode == 2
        assert done.stderr.startswith(says)
        assert f"{name}={value}" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value", "instead", "why"),
    [
        ("JAX_ENABLE_X64", "True", "0", "models are float32"),
        ("JAX_NUMPY_DTYPE_PROMOTION", "strict", "standard", "masks are multiplied as numbers"),
        ("JAX_TRANSFER_GUARD", "disallow", "allow", "text is moved to the device, and scores from it"),
    ],
)
def test_what_models_can_not_have_is_left_out_and_said(monkeypatch, capsys, name, value, instead, why):
    monkeypatch.setenv(name, value)
    assert ended(cli.leave, lambda: print(os.environ[name])) == 0
    assert capsys.readouterr() == (f"{instead}\n", f"{name} is left out: {why}\n")


def test_too_few_addresses_for_jax_are_said_before_it_is_started():
    program = "from kd_jax import cli\ncli.leave(lambda: print('done'))"
    call = ["sh", "-c", 'ulimit -v 2097152; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "done\n", 1)
    assert done.stderr.startswith("ulimit -v allows 2.0 GiB of addresses; JAX may wait for ever with less than 3")


def test_a_window_for_pictures_that_is_not_here_is_no_fault():
    program = "from kd_jax import cli\ndef work():\n    import matplotlib\n    print('drawn')\ncli.leave(work)\n"
    call = [sys.executable, "-c", program]
    environment = os.environ | {"MPLBACKEND": "nonsense"}
    done = subprocess.run(call, check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "drawn\n", "")


def test_a_current_folder_that_is_gone_is_a_line(tmp_path):
    (tmp_path / "gone").mkdir()
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom kd_jax import cli\nos.chdir(sys.argv[1])\n"
        "os.rmdir(sys.argv[1])\ncli.leave(lambda: print(Path('w').resolve()))\n"
    )
    call = [sys.executable, "-c", program, str(tmp_path / "gone")]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the current folder is not there any more; change to another one (cd)\n"


def test_a_full_disk_under_the_output_is_a_line():
    program = "import sys\nfrom kd_jax import cli\ncli.leave(lambda: print('x' * int(sys.argv[1])))"
    for size in ("10", "1000000"):
        with open("/dev/full", "w") as full:
            call = [sys.executable, "-c", program, size]
            done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (2, "error: the output can't be written: No space left on device\n")


def test_closed_streams_are_empty_and_nobody_elses(tmp_path):
    program = (
        "import sys\nfrom kd_jax import cli\n"
        "def work():\n    with open(sys.argv[1], 'w') as file:\n        print(sys.stdin.read() + 'out')\n"
        "        print('err', file=sys.stderr)\n        file.write('mine')\ncli.leave(work)\n"
    )
    for closed in ("<&- >&- 2>&-", ">&-", "2>&-", "<&-"):
        call = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program, str(tmp_path / "file")]
        done = subprocess.run(call, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0
        assert (tmp_path / "file").read_text() == "mine"
        streams = ("" if " >" in f" {closed}" else "out\n", "" if "2>" in closed else "err\n")
        assert (done.stdout, done.stderr) == streams


def test_the_works_own_status_is_the_commands(capsys):
    assert [ended(cli.leave, lambda status=status: status) for status in (None, 0, 1)] == [0, 0, 1]


@pytest.mark.parametrize("module", ["jax", "textwrap"])
@pytest.mark.parametrize("command", [["-m", "kd_jax.main"], ["-m", "kd_jax", "tag", "--model=m", "--text=a"]])
def test_ctrl_c_while_modules_are_imported(tmp_path, command, module):
    """An import begins, then Ctrl-C is pressed; an import that swallows it changes nothing."""
    (tmp_path / f"{module}.py").write_text(
        "import time\nprint('importing', flush=True)\ntry:\n    time.sleep(60)\n"
        "except BaseException as fault:\n    raise ImportError('swallowed') from fault\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(kd_jax.__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    ) as process_:  # fmt: skip
        assert process_.stdout.readline() == "importing\n"
        process_.send_signal(signal.SIGINT)
        _, told = process_.communicate(timeout=300)
    assert (process_.returncode, told) == (130, "interrupted\n")


def test_ctrl_c_in_mid_work_cleans_up_and_is_one_line(tmp_path):
    program = (
        "import sys, time\nfrom kd_jax import cli\n"
        "def work():\n    try:\n        print('working', flush=True)\n        time.sleep(60)\n"
        "    finally:\n        open(sys.argv[1], 'w').close()\ncli.leave(work)\n"
    )
    call = [sys.executable, "-c", program, str(tmp_path / "cleaned")]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process_:
        assert process_.stdout.readline() == "working\n"
        process_.send_signal(signal.SIGINT)
        _, told = process_.communicate(timeout=300)
    assert (process_.returncode, told) == (130, "interrupted\n")
    assert (tmp_path / "cleaned").exists()


def test_ctrl_c_that_is_ignored_stays_ignored():
    program = (
        "import os, signal\nfrom kd_jax import cli\n"
        "cli.leave(lambda: os.kill(os.getpid(), signal.SIGINT) or print('done'))\n"
    )
    call = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_reader_that_has_seen_enough_ends_it_quietly():
    call = [sys.executable, "-c", "from kd_jax import cli\ncli.leave(lambda: print('x' * 10**6))"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process_:
        process_.stdout.close()
        told = process_.stderr.read()
    assert (process_.wait(), told) == (0, b"")
