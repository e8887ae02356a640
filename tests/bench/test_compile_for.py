"""Compiling for devices that are not here: what is refused in a line, what is asked of a process, what it says."""

import importlib.metadata
import io
import json
from dataclasses import asdict, fields, replace
from types import SimpleNamespace

import pytest
from jax.errors import JaxRuntimeError
from rich.console import Console

from kd_jax.bench import compile_for as process
from kd_jax.bench import programs as of_bench
from kd_jax.bench.compile_for import compile_one, too_large
from kd_jax.cost import ahead, targets
from kd_jax.cost.ahead import CompileRequest, compile_for, compile_table, costliest_table
from kd_jax.cost.compiled import CompiledCost, Traced
from kd_jax.errors import InputError

COST = {
    "device": "v5e", "program": "train", "lanes": 15, "compile_s": 30.0, "argument_bytes": 10**9,
    "temporary_bytes": 10**9, "device_bytes": 16 * 2**30, "predicted_bytes": 21 * 10**8,
    "flops": 10**11, "bytes_moved": 10**9, "kernels": 700,
    "cycles": 6_000_000, "kernels_a_time_step": None,
    "unestimated": [{"name": "gather.1", "from": "x", "times": 2, "at_most_cycles": 9}],
    "costliest": [{"from": "kd_jax/models/features.py:62 gather", "cost": 5, "operations": 1}],
}  # fmt: skip


def request(device):
    return CompileRequest(device, (15,), "bfloat16", "softmax", "", (), "", (), "")


@pytest.fixture
def installed(monkeypatch):
    """Distributions that seem to be installed; none to begin with."""
    names = []
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [SimpleNamespace(name=name) for name in names])
    return names


@pytest.mark.parametrize(
    ("device", "extra"), [("v5e", "aot-tpu"), ("v6e", "aot-tpu"), ("h100", "aot-cuda"), ("t4", "aot-cuda")]
)
def test_a_missing_compiler_is_one_line_that_names_the_extra(installed, device, extra):
    with pytest.raises(InputError, match=rf"^--compile_for={device}: needs its compiler, pip install '.*\[{extra}\]'$"):
        compile_for([request(device)], print)


@pytest.mark.parametrize("device", ["v5", "h100:2x2", "v5e:", "v5e:2x0", "v5e:two"])
def test_an_unknown_device_is_refused_before_anything_runs(installed, device):
    installed += ["libtpu", "jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cuda-nvcc-cu12"]
    with pytest.raises(InputError, match=f"^--compile_for={device}: "):
        compile_for([request("v5e"), request(device)], print)


def test_a_topology_names_its_chips(installed):
    installed.append("libtpu")
    assert [targets.target_named(name).chips for name in ("v5e", "v5e:2x2", "v5e:2x4", "v4:2x2x2")] == [1, 4, 8, 8]


def a_process(monkeypatch, code):
    """The compiling process is one that runs this code."""
    monkeypatch.setattr(targets, "EXTRAS", {"tpu": ("aot-tpu", ())})
    popen = ahead.subprocess.Popen
    monkeypatch.setattr(
        ahead.subprocess, "Popen", lambda command, **how: popen([command[0], "-c", code, command[-1]], **how)
    )


def test_programs_are_collected_whatever_else_a_compiler_writes(monkeypatch):
    noise = "import sys, json; sys.stderr.write('x' * 300_000); print('noise'); "
    a_process(monkeypatch, noise + f"print({json.dumps(COST)!r}); assert json.loads(sys.argv[1])['lanes'] == [15]")
    said = []
    assert compile_for([request("v5e")], said.append) == [COST]
    assert said == ["compiling for v5e", "v5e: train, 15 lanes in 30 s"]
    console = Console(width=200, file=io.StringIO())
    console.print(compile_table([COST]))
    console.print(costliest_table(COST))
    shown = console.file.getvalue()
    assert "compiled for v5e, 17 GB a device" in shown
    assert ["train", "15", "30", "s", "2.00", "2.10", "100", "1.00", "6.0", "4.0"] in [
        line.split() for line in shown.splitlines()
    ]
    assert "kd_jax/models/features.py:62" in shown


@pytest.mark.parametrize(
    ("said", "told"),
    [("error: --set rows: no such setting", "--set rows: no such setting"), ("out of memory", "out of memory")],
)
def test_what_a_process_fails_with_is_its_line(monkeypatch, said, told):
    a_process(monkeypatch, f"import sys; sys.stderr.write({said!r}); sys.exit(2)")
    with pytest.raises(InputError, match=f"^--compile_for=v5e: {told}$"):
        compile_for([request("v5e")], print)


def test_a_program_that_does_not_fit_is_a_row_and_the_others_go_on(monkeypatch):
    text = "the total memory required for HLO temporaries (24.63G) exceeds available HBM (15.75G)."
    assert too_large(text) == "does not fit: needs 24.63G of 15.75G"
    assert too_large("RESOURCE_EXHAUSTED") == "does not fit"
    large = {"device": "v5e", "program": "teacher", "lanes": 15, "fault": too_large(text)}
    a_process(monkeypatch, f"print({json.dumps(large)!r}); print({json.dumps(COST)!r})")
    told = []
    found = compile_for([request("v5e")], told.append)
    assert found == [large, COST]
    assert "v5e: teacher, 15 lanes does not fit: needs 24.63G of 15.75G" in told
    table = compile_table(found)
    assert table.row_count == 1
    assert "teacher, 15 lanes: does not fit: needs 24.63G of 15.75G" in str(table.caption)


@pytest.mark.parametrize("device", ["v5e", "h100"])
def test_tables_are_whole_at_80_columns(monkeypatch, device):
    monkeypatch.setattr(targets, "EXTRAS", {"tpu": ("aot-tpu", ()), "cuda": ("aot-cuda", ())})
    large = {
        "device": device, "program": "knowledge", "compile_s": 156.2, "argument_bytes": 12 * 10**9,
        "predicted_bytes": 163 * 10**8, "flops": 445 * 10**9, "bytes_moved": 29 * 10**9, "kernels": 4535,
        "cycles": 873 * 10**6 if device == "v5e" else None, "kernels_a_time_step": 9,
    }  # fmt: skip
    console = Console(width=80, file=io.StringIO())
    console.print(compile_table([COST | large]))
    shown = console.file.getvalue()
    assert "…" not in shown
    assert [line for line in shown.splitlines() if "knowledge" in line and "156 s" in line and "13.00" in line]


def fake_programs(monkeypatch, *faulty):
    """Programs that take no time to compile, and those that do not fit."""

    def compile_one_program(target, program, _, keep):
        if program.name in faulty:
            raise JaxRuntimeError("RESOURCE_EXHAUSTED: (24.63G) exceeds available HBM (15.75G)")
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{program.name}-{target.name}.txt").write_text(f"{program.lanes} lanes")
        return SimpleNamespace(as_dict=lambda: COST | {"program": program.name, "lanes": program.lanes})

    def some(request):
        for lanes in request.lanes:
            yield Traced("train", lanes, 20, 17, None, 128)
            yield Traced("knowledge", 1, 20, None, None, 128)

    monkeypatch.setattr(targets, "EXTRAS", {"tpu": ("aot-tpu", ())})
    monkeypatch.setattr(process, "compile_program", compile_one_program)
    monkeypatch.setattr(of_bench, "programs", some)


def printed(capsys, tmp_path, lanes):
    asked = replace(request("v5e"), lanes=lanes, hlo=str(tmp_path / "hlo"))
    compile_one(json.dumps(asdict(asked) | {"dump": str(tmp_path / "dump")}))
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_number_of_lanes_keeps_its_programs_and_none_is_compiled_twice(monkeypatch, capsys, tmp_path):
    fake_programs(monkeypatch)
    found = printed(capsys, tmp_path, (15, 90))
    assert [(one["program"], one["lanes"]) for one in found] == [("train", 15), ("knowledge", 1), ("train", 90)]
    kept = {str(path.relative_to(tmp_path / "hlo")): path.read_text() for path in (tmp_path / "hlo").rglob("*.txt")}
    assert kept == {
        "lanes-15/train-v5e.txt": "15 lanes",
        "lanes-90/train-v5e.txt": "90 lanes",
        "lanes-1/knowledge-v5e.txt": "1 lanes",
    }


def test_one_number_of_lanes_needs_no_folder_of_its_own(monkeypatch, capsys, tmp_path):
    fake_programs(monkeypatch)
    printed(capsys, tmp_path, (15,))
    assert {path.name for path in (tmp_path / "hlo").iterdir()} == {"train-v5e.txt", "knowledge-v5e.txt"}


def test_a_program_that_does_not_fit_has_every_key_of_one_that_does(monkeypatch, capsys, tmp_path):
    fake_programs(monkeypatch, "train")
    one, knowledge = printed(capsys, tmp_path, (15,))
    assert knowledge["program"] == "knowledge"
    assert one.keys() == {"fault", *(part.name for part in fields(CompiledCost))}
    assert {name: value for name, value in one.items() if value is not None} == {
        "device": "v5e", "program": "train", "lanes": 15, "device_bytes": 16 * 2**30, "predicted_bytes": 17,
        "fault": "does not fit: needs 24.63G of 15.75G",
    }  # fmt: skip
