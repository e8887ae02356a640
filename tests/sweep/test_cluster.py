"""A run on Ray's nodes: the bits of one machine, whatever dies on the way; what is wrong is one line."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.runs import SIZES, rows_without_times

# Ray's Cluster leaves processes and sockets to the collector, which finds them in the midst of whatever test is next.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

EPOCHS = 200
MODELS = 6  # an STM, a teacher of the students and one of the tuning, two weights to choose from, a student
CHOSEN = """
from kd_jax.experiment import Experiment, Grid, Student

EXPERIMENT = Experiment("chosen", "Students of a chosen weight", students=(Student("SM", Grid(0.5, 0.8), beta=0.5),))
"""


@dataclass
class Runs:
    """Runs of one experiment, in processes of their own."""

    data: Path
    experiment: Path
    folder: Path

    def start(self, workdir, *flags):
        command = [sys.executable, "-m", "kd_jax.main", f"--data_dir={self.data}", f"--workdir={workdir}"]
        command += [f"--experiment={self.experiment}", "--targets=First", "--seeds=1", f"--epochs={EPOCHS}"]
        command += [
            f"--set={size}" for size in (*SIZES, "lanes.at_once=1", "saving.minutes=1e6", "saving.every_epochs=10")
        ]
        names = (self.folder / f"{workdir.name}.{name}" for name in ("out", "err"))
        with next(names).open("w") as out, next(names).open("w") as err:
            return subprocess.Popen([*command, *flags], stdout=out, stderr=err)

    def finish(self, process, workdir, status=0):
        assert process.wait() == status, self.said(workdir)
        return self.said(workdir)

    def said(self, workdir):
        return tuple((self.folder / f"{workdir.name}.{name}").read_text() for name in ("out", "err"))


@pytest.fixture(scope="module")
def runs(corpora, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "chosen.py").write_text(CHOSEN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_NUM_CPU_DEVICES", "2")
        patch.setenv("JAX_ENABLE_COMPILATION_CACHE", "true")  # programs are compiled once for all runs
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(folder / "compiled"))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        yield Runs(corpora, folder / "chosen.py", folder)


@pytest.fixture(scope="module")
def whole(runs):
    """The work folder of an undisturbed run on one machine."""
    workdir = runs.folder / "whole"
    runs.finish(runs.start(workdir), workdir)
    return workdir


@pytest.fixture
def nodes(runs):
    """Two nodes with one core each, beside a head that computes nothing."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def sums(workdir):
    models = [
        path for where in ("teachers/*", "tuning/*/*", "students/*/*") for path in workdir.glob(f"{where}/model.json")
    ]
    return {str(path.relative_to(workdir)): json.loads(path.read_text())["params_sha256"] for path in models}


def settings(workdir):
    """What settings.json says, but for the command, which names work folder and cluster."""
    return json.loads((workdir / "settings.json").read_text()) | {"command": ""}


def lines(workdir):
    """What metrics.jsonl says of every lane and epoch, but for times."""
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return {(r["corpus"], r["label"], r["seed"], r["epoch"], r["step"], r["loss"]) for r in records}


def assert_equal(workdir, whole):
    assert sums(workdir) == sums(whole)
    assert rows_without_times(workdir) == rows_without_times(whole)
    assert (workdir / "types.csv").read_bytes() == (whole / "types.csv").read_bytes()
    assert not (workdir / ".cluster").exists()


def wait_for(condition, process=None):
    until = time.monotonic() + 1800
    while not (found := condition()):
        assert process is None or process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def workers(node):
    """Processes of a node that run a unit."""
    raylet = node.all_processes["raylet"][0].process.pid
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == raylet and (folder / "cmdline").read_bytes().startswith(b"ray::work"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def in_the_middle(workdir):
    """Whether some unit has a checkpoint, and trains on."""
    with suppress(OSError):  # it comes and goes while it is looked at
        return any(folder.name.isdigit() for folder in workdir.glob("checkpoints/*/*"))
    return False


@pytest.mark.slow
def test_two_nodes_give_the_bits_of_one_machine(runs, whole, nodes):
    workdir = runs.folder / "two"
    out, err = runs.finish(runs.start(workdir, f"--cluster={nodes.address}"), workdir)
    assert err == ""
    assert "2 nodes, a unit of work takes 1 CPU cores: 2 x cpu" in out
    assert len(sums(workdir)) == MODELS
    assert_equal(workdir, whole)
    assert lines(workdir) == lines(whole)
    assert settings(workdir) == settings(whole)
    assert {p.relative_to(workdir) for p in workdir.rglob("card.md")} == {
        p.relative_to(whole) for p in whole.rglob("card.md")
    }
    out, err = runs.finish(runs.start(workdir, f"--cluster={nodes.address}"), workdir)
    assert "nothing to train" in out
    assert_equal(workdir, whole)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(runs, whole, nodes):
    workdir = runs.folder / "worker"
    process = runs.start(workdir, f"--cluster={nodes.address}")
    wait_for(lambda: in_the_middle(workdir), process)
    killed = [pid for node in nodes.worker_nodes for pid in workers(node)]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    out, err = runs.finish(process, workdir)
    assert err == ""
    assert out.count("its worker or node died (WorkerCrashedError); another one goes on with it") == len(killed) > 0
    assert "resuming after epoch" in out
    assert_equal(workdir, whole)
    assert lines(workdir) == lines(whole)


@pytest.mark.slow
def test_a_node_that_dies_is_done_without(runs, whole, nodes):
    workdir = runs.folder / "node"
    process = runs.start(workdir, f"--cluster={nodes.address}")
    wait_for(lambda: in_the_middle(workdir), process)
    nodes.remove_node(wait_for(lambda: [n for n in nodes.worker_nodes if workers(n)], process)[0], allow_graceful=False)
    out, err = runs.finish(process, workdir)
    assert err == ""
    assert "its worker or node died (" in out
    assert_equal(workdir, whole)
    assert lines(workdir) == lines(whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_driver_that_ends_goes_on_where_it_was(runs, whole, nodes, number):
    """Killed, or asked to end: what was finished stays as it is, what was begun goes on from its last checkpoint."""
    workdir = runs.folder / f"driver-{number.name}"
    process = runs.start(workdir, f"--cluster={nodes.address}")
    wait_for(lambda: sums(workdir) and in_the_middle(workdir), process)
    process.send_signal(number)
    assert process.wait() == (-number if number == signal.SIGKILL else 128 + number)
    if number == signal.SIGTERM:
        assert runs.said(workdir)[1] == "stopped by SIGTERM; everything is saved: the same command goes on\n"
        assert in_the_middle(workdir)
    wait_for(lambda: not any(workers(node) for node in nodes.worker_nodes))
    finished = {workdir / path: (workdir / path).stat().st_mtime_ns for path in sums(workdir)}
    assert 0 < len(finished) < MODELS
    out, err = runs.finish(runs.start(workdir, f"--cluster={nodes.address}"), workdir)
    assert err == ""
    assert "resuming after epoch" in out
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert_equal(workdir, whole)


@pytest.mark.slow
def test_a_unit_that_fails_for_a_reason_of_its_own_is_one_line(runs, nodes):
    """A teacher that diverged has nothing to teach, on whatever node; the run does not try again."""
    workdir = runs.folder / "refused"
    flags = ("--set=train.learning_rate=1e30", "--set=train.clip_norm=1e30", f"--cluster={nodes.address}")
    out, err = runs.finish(runs.start(workdir, *flags), workdir, status=2)
    assert "was not finite at step" in out
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert "so it has nothing to teach" in err


@pytest.mark.slow
def test_units_side_by_side_on_this_machine(runs, whole):
    pytest.importorskip("ray")
    workdir = runs.folder / "local"
    out, err = runs.finish(runs.start(workdir, "--cluster=local:2"), workdir)
    assert err == ""
    assert "1 node, a unit of work takes 1 place: 2 x cpu" in out
    assert_equal(workdir, whole)
