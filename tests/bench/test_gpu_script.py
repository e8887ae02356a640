"""What benchmarks/gpu.py times: the form of the recurrence that a run would choose, and both forms in turn."""

import importlib.util
import json
from pathlib import Path

import jax
import pytest
from helpers.tiny import tiny_corpus

from kd_jax.training.execution import Choice

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def args(gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "synthetic_corpus", lambda _: tiny_corpus("A"))
    return gpu.parse(["--small", f"--out={tmp_path}", "--dtype=bfloat16", "--peer_lanes=3", "--repeats=2"])


def test_its_jobs_have_the_form_that_a_run_would_choose(gpu, args, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(gpu, "choose", lambda *of: asked.append(of) or Choice("fused", "recurrence: fused kernels"))
    job = gpu.make_job(args, 3, 4)
    ((settings, lanes, _),) = asked
    assert (job.recurrence, len(job.lanes)) == ("fused", lanes)
    assert settings == job.settings
    assert capsys.readouterr().out == "recurrence: fused kernels\n"


def test_scan_and_fused_kernels_are_timed_in_turn(gpu, args, monkeypatch, capsys, tmp_path):
    ran = []

    class Timer:
        def __init__(self, job):
            assert job.settings.model.compute == "bfloat16"
            self.form = job.recurrence

        def epoch(self):
            ran.append(self.form)
            return {"scan": 100.0, "fused": 250.0}[self.form]

        def close(self):
            ran.append("closed")

    monkeypatch.setattr(gpu, "StepTimer", Timer)
    monkeypatch.setattr(gpu, "choose", lambda settings, *_: Choice(settings.runtime.recurrence))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    gpu.recurrence(args)
    assert ran == ["scan", "fused"] * 3 + ["closed"] * 2
    (found,) = json.loads((tmp_path / "recurrence.json").read_text())
    assert (found["lanes"], found["dtype"], found["fused_over_scan"]) == (3, "bfloat16", 2.5)
    assert "scan 100, fused 250 lane-tokens/s, 2.50 times" in capsys.readouterr().out


def test_a_cpu_has_nothing_to_compare(gpu, args, capsys, tmp_path):
    gpu.recurrence(args)
    assert capsys.readouterr().out == "recurrence: not compared, a CPU has no fused kernels\n"
    assert not list(tmp_path.iterdir())
