"""Two processes over loopback give what one gives, and a run that loses one goes on to the same bits."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from loopback import free_port
from test_run import SIZES, ask, corpora, rows_without_times  # noqa: F401 - corpora is a fixture

pytestmark = pytest.mark.slow
CHOSEN = """
from kd_jax.experiment import Experiment, Grid, Student

EXPERIMENT = Experiment("chosen", "Students of a chosen weight", students=(Student("SM", Grid(0.5, 0.8), beta=0.5),))
"""


def start(corpora, workdir, index, port, flags=(), environment=None):  # noqa: F811
    where = "auto" if environment else f"127.0.0.1:{port},2,{index}"
    command = [sys.executable, "-m", "kd_jax.main", f"--data_dir={corpora}", f"--workdir={workdir}"]
    command += [f"--distributed={where}", *(f"--set={size}" for size in SIZES), *flags]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(processes):
    said = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return [out for out, _ in said]


def sums(workdir):
    models = workdir.rglob("model.json")
    return {str(path.relative_to(workdir)): json.loads(path.read_text())["params_sha256"] for path in models}


def lines(workdir):
    """What metrics.jsonl says of every lane and epoch, but for times."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return sorted((r["corpus"], r["label"], r["seed"], r["epoch"], r["step"], r["loss"]) for r in records)


def of_slurm(index, port):
    job = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2", "SLURM_LOCALID": str(index)}
    return os.environ | job | {"SLURM_PROCID": str(index), "JAX_COORDINATOR_PORT": str(port)}


@pytest.mark.timeout(900)
def test_two_give_what_one_gives(corpora, tmp_path):  # noqa: F811
    """Every stage there is, each with work for both; the hosts are found as SLURM tells them."""
    (tmp_path / "chosen.py").write_text(CHOSEN)
    flags = [f"--experiment={tmp_path / 'chosen.py'}", "--targets=First", "--seeds=2", "--epochs=1"]
    flags += ["--set=lanes.at_once=1"]
    port = free_port()
    two = [start(corpora, tmp_path / "two", i, port, flags, of_slurm(i, port)) for i in range(2)]
    out, other = finished(two)
    assert "scores: " in out
    assert "scores: " not in other
    assert all(line.startswith("host 1: ") for line in other.splitlines())
    common = {"targets": ("First",), "seeds": "2", "assignments": (*SIZES, "lanes.at_once=1")}
    ask(corpora, tmp_path / "one", experiment=str(tmp_path / "chosen.py"), **common)
    assert len(sums(tmp_path / "one")) == 8
    assert sums(tmp_path / "two") == sums(tmp_path / "one")
    assert rows_without_times(tmp_path / "two") == rows_without_times(tmp_path / "one")
    assert (tmp_path / "two" / "types.csv").read_bytes() == (tmp_path / "one" / "types.csv").read_bytes()
    assert lines(tmp_path / "two") == lines(tmp_path / "one")
    assert not (tmp_path / "two" / "hosts").exists()
    assert not (tmp_path / "two" / ".hosts").exists()
    again = [start(corpora, tmp_path / "two", i, port, flags) for i in range(2)]
    assert "nothing to train" in finished(again)[0]
    assert sums(tmp_path / "two") == sums(tmp_path / "one")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_host_ends_the_run_and_the_same_command_goes_on(corpora, tmp_path, killed):  # noqa: F811
    (tmp_path / "alone.py").write_text(
        "from kd_jax.experiment import Experiment\nEXPERIMENT = Experiment('alone', 'STM alone', multi=())\n"
    )
    flags = [f"--experiment={tmp_path / 'alone.py'}", "--seeds=1", "--epochs=20", "--set=saving.minutes=0"]
    port = free_port()
    both = [start(corpora, tmp_path / "w", i, port, flags) for i in range(2)]
    told = [tmp_path / "w" / "metrics.jsonl", tmp_path / "w" / "hosts" / "1" / "metrics.jsonl"]
    while not all(path.exists() for path in told):
        assert all(process.poll() is None for process in both)
        time.sleep(0.05)
    both[killed].send_signal(signal.SIGKILL)
    _, err = both[1 - killed].communicate(timeout=120)
    both[killed].communicate()
    assert both[1 - killed].returncode == 1, err
    assert err.splitlines() == [line for line in err.splitlines() if line.startswith(f"host {killed}")]
    assert len(err.splitlines()) == 1
    assert "is gone; the same command on every host goes on" in err
    assert len(sums(tmp_path / "w")) < 2
    finished([start(corpora, tmp_path / "w", i, port, flags) for i in range(2)])
    settings = (*SIZES, "saving.minutes=0")
    common = {"experiment": str(tmp_path / "alone.py"), "seeds": "1", "epochs": 20, "assignments": settings}
    ask(corpora, tmp_path / "whole", **common)
    assert sums(tmp_path / "w") == sums(tmp_path / "whole")
    assert rows_without_times(tmp_path / "w") == rows_without_times(tmp_path / "whole")
    assert set(lines(tmp_path / "w")) == set(lines(tmp_path / "whole"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wrong", [0, 1])
def test_what_is_wrong_on_one_host_is_one_line_on_each(corpora, tmp_path, wrong):  # noqa: F811
    port = free_port()
    data = [tmp_path / "nothing here" if i == wrong else corpora for i in range(2)]
    both = [start(data[i], tmp_path / "w", i, port, ["--seeds=1", "--epochs=1"]) for i in range(2)]
    said = [process.communicate(timeout=200)[1] for process in both]
    assert [process.returncode for process in both] == [2, 2], said
    assert said[wrong].startswith("error: ")
    assert said[1 - wrong].startswith(f"host {wrong} (")
    assert all("nothing here" in err and len(err.splitlines()) == 1 for err in said)
