"""What a cluster is asked for, and what goes between the driver and its units, without Ray."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from kd_jax.errors import InputError
from kd_jax.runtime.interrupt import InterruptedRunError
from kd_jax.sweep import remote
from kd_jax.sweep.cluster import RayEngine
from kd_jax.sweep.needs import needs_of, parse
from kd_jax.sweep.remote import LostUnitError, Mailbox, Reporter, Setup

SETUP = Setup("/work folder", "token", remote.versions())


@pytest.mark.parametrize(("where", "found"), [("auto", "auto"), ("node1:6379", "node1:6379"), ("local:3", 3)])
def test_where(where, found):
    assert parse(where) == found


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("local", "as --cluster=local:2"),
        ("local:0", "as --cluster=local:2"),
        ("local:many", "as --cluster=local:2"),
        ("ray://node1:10001", "on a node of the cluster, with --cluster=auto"),
        ("slurm", "neither auto nor local:N nor an address"),
        ("node1", "neither auto nor local:N nor an address"),
    ],
)
def test_a_place_that_is_none(where, message):
    with pytest.raises(InputError, match=message):
        parse(where)


def test_what_a_unit_takes():
    """Cores as a run here has, whatever the nodes have more of; one GPU; all chips of the smallest TPU host."""
    wide = needs_of([{"CPU": 64.0}, {"CPU": 8.0}, {}], SETUP, 4, 5, local=False)
    assert wide.options == {"num_cpus": 4}
    assert wide.setup == SETUP._replace(on_cpu=True, devices=4, threads=5, share=4 / 64)
    assert [wide.met_by(has) for has in ({"CPU": 8.0}, {"CPU": 3.0}, {})] == [True, False, False]
    narrow = needs_of([{"CPU": 2.0}], SETUP, 4, 4, local=False)
    assert (narrow.options, narrow.setup.devices, narrow.setup.share) == ({"num_cpus": 2}, 4, 1.0)
    here = needs_of([{"CPU": 3.0}], SETUP, 4, 4, local=True)
    assert (here.options, here.setup.devices, here.setup.share) == ({"num_cpus": 1}, 4, 1 / 3)
    gpu = needs_of([{"CPU": 64.0}, {"CPU": 8.0, "GPU": 4.0}], SETUP, 4, 4, local=False)
    assert (gpu.options, gpu.words, gpu.setup) == ({"num_cpus": 1, "num_gpus": 1, "max_calls": 1}, "1 GPU", SETUP)
    assert not gpu.met_by({"CPU": 64.0})
    tpu = needs_of([{"CPU": 8.0, "TPU": 4.0}, {"CPU": 8.0, "TPU": 8.0}], SETUP, 4, 4, local=False)
    assert (tpu.options["resources"], tpu.words) == ({"TPU": 4}, "4 TPU chips")
    assert dict(tpu.setup.environment)["TPU_PROCESS_BOUNDS"] == "1,1,1"
    assert not tpu.met_by({"CPU": 8.0, "GPU": 8.0})
    with pytest.raises(InputError, match="no node has CPU cores, a GPU or a TPU"):
        needs_of([{"CPU": 0.0}, {}], SETUP, 4, 4, local=False)


def test_a_node_must_see_the_work_folder_and_have_our_versions(tmp_path):
    setup = SETUP._replace(workdir=str(tmp_path))
    assert "does not see the work folder" in remote.fault_here(setup)
    (tmp_path / remote.TOKEN).write_text("of another run")
    assert "does not see the work folder" in remote.fault_here(setup)
    (tmp_path / remote.TOKEN).write_text("token")
    assert remote.fault_here(setup) is None
    other = setup._replace(versions=setup.versions | {"jax": "0.0.1"})
    assert "the driver 0.0.1; install the same everywhere" in remote.fault_here(other)


class Direct:
    """A mailbox as an actor's handle is used, in this process."""

    def __init__(self, box):
        self._box = box

    def __getattr__(self, name):
        return SimpleNamespace(remote=getattr(self._box, name))


@pytest.fixture
def box(monkeypatch):
    fake = SimpleNamespace(get=lambda answer: answer, exceptions=SimpleNamespace(RayError=OSError))
    monkeypatch.setitem(sys.modules, "ray", fake)
    return Mailbox()


def test_reports_arrive_once_and_in_order(box):
    report = Reporter(Direct(box), "u", 0)
    report.log("begins")
    report.record(epoch=1)
    assert report.end is None
    for seconds in (1.0, 2.0):
        report.advance("x", 10, seconds, 0.5)
    report.skip(7)
    report.flush()
    assert box.take() == [
        ("u", ("log", "begins")),
        ("u", ("record", {"epoch": 1})),
        ("u", ("advance", "x", 20, 3.0, 0.5)),
        ("u", ("skip", 7)),
    ]
    assert box.take() == []


def test_a_record_is_with_the_driver_before_a_checkpoint_is_begun(box, monkeypatch):
    """A unit asks whether to end before it saves; mere progress may wait, a record may not."""
    monkeypatch.setattr(remote, "REPORT_EVERY", 1e9)
    report = Reporter(Direct(box), "u", 0)
    report.advance("x", 10, 1.0, 0.5)
    assert report.end is None
    assert box.take() == []
    report.record(epoch=1)
    assert report.end is None
    assert [kind for _, (kind, *_) in box.take()] == ["advance", "record"]


def test_units_are_asked_to_stop_and_new_ones_do_not_begin(box):
    first = Reporter(Direct(box), "first", 0)
    assert box.stop("stopped by SIGTERM", 143) == {"first"}
    assert box.stop("another", 1) == {"first"}
    first.log("x")
    for report in (first, Reporter(Direct(box), "second", 0)):
        assert isinstance(report.end, InterruptedRunError)
        assert (str(report.end), report.end.exit_status) == ("stopped by SIGTERM", 143)
    assert box.stop("again", 1) == {"first"}


def test_a_worker_whose_unit_was_given_to_another_ends_without_a_word(box):
    late = Reporter(Direct(box), "u", 0)
    assert box.give_up("u") == 1
    again = Reporter(Direct(box), "u", 1)
    late.log("of no use")
    with pytest.raises(LostUnitError):
        _ = late.end
    with pytest.raises(LostUnitError):
        Reporter(Direct(box), "u", 0)
    again.log("here")
    assert again.end is None
    assert box.take() == [("u", ("log", "here"))]


def test_without_the_driver_a_unit_ends(box, monkeypatch):
    report = Reporter(Direct(box), "u", 0)

    def gone(*_):
        raise OSError("actor died")

    monkeypatch.setattr(sys.modules["ray"], "get", gone)
    report.log("x")
    with pytest.raises(LostUnitError):
        _ = report.end


def test_without_ray_the_flag_names_the_extra(tmp_path):
    code = (
        "import sys; sys.modules['ray'] = None; sys.argv = ['main', '--cluster=auto', f'--workdir={sys.argv[1]}'];"
        "from kd_jax import cli, main; cli.run(main.COMMAND)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "w")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: --cluster needs Ray: pip install -e '.[cluster]'\n"


def test_nothing_of_ray_is_imported_without_the_flag():
    code = "import sys, kd_jax.sweep.request; print([m for m in sys.modules if m in ('ray', 'kd_jax.sweep.cluster')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_mailbox_that_ray_ended_is_one_line():
    """Ray ends processes of a node that runs out of memory, this one too."""
    ray_error, of_task = type("RayError", (Exception,), {}), type("RayTaskError", (Exception,), {})
    out_of_memory = type("OutOfMemoryError", (ray_error,), {})

    def get(_):
        raise out_of_memory("a page of advice")

    ray = SimpleNamespace(
        get=get,
        wait=lambda answers, **_: ([], answers),
        remote=lambda **_: lambda function: function,
        exceptions=SimpleNamespace(RayError=ray_error, RayTaskError=of_task),
    )
    gone = SimpleNamespace(remote=lambda *_: None)
    mailbox = SimpleNamespace(take=gone, stop=gone)
    needs = needs_of([{"CPU": 1.0}], SETUP, 1, 1, local=True)
    engine = RayEngine(ray, needs, mailbox, None, SimpleNamespace(meter=None))
    with pytest.raises(InputError, match=r"^--cluster: .* is gone \(OutOfMemoryError; .*the same command goes on$"):
        engine._wait()
    engine._stop(InputError("another"))
