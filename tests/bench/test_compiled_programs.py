"""Programs compiled for a TPU v5e and an H100 that are not here, held to what they took when tuned for them."""

import subprocess

import pytest

from kd_jax.cost.ahead import CompileRequest, compile_for
from kd_jax.cost.targets import assembler, target_named
from kd_jax.errors import InputError


def compiled(device, folder, *assignments, programs=("train", "teacher", "tag", "knowledge")):
    try:
        target_named(device)
    except InputError as missing:
        pytest.skip(str(missing))
    request = CompileRequest(device, (15,), "bfloat16", "softmax", "", (), "", assignments, str(folder), programs)
    found = {one["program"]: one for one in compile_for([request], print)}
    assert found.keys() == set(programs)
    assert {f"{name}-{device.replace(':', '-')}.txt" for name in found} <= {path.name for path in folder.iterdir()}
    return found


def assembled(kernel):
    """What NVIDIA's assembler says of an H100's kernel: its registers, and what of them it spilled."""
    command = [assembler() / "bin" / "ptxas", "-v", "--gpu-name=sm_90a", kernel, "-o", kernel.with_suffix(".cubin")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.slow
def test_a_v5e(tmp_path):
    found = compiled("v5e", tmp_path)
    step = found["train"]
    assert step["estimated_cycles"] <= step["cycles"] <= 8e6
    for one in (step, found["teacher"]):
        assert one["predicted_bytes"] == pytest.approx(one["argument_bytes"] + one["temporary_bytes"], rel=0.2)
        assert one["call_cycles"] <= 1e6  # parameters are not laid out anew
    for text in (path.read_text() for path in tmp_path.glob("*-v5e.txt")):
        assert not any(word in text for word in ("f64[", "callback"))
    assert len(list(tmp_path.glob("train-v5e-lstm_*.bundles"))) >= 2  # of a kernel that occurs twice one may be written


@pytest.mark.slow
def test_four_chips_share_the_lanes_and_exchange_nothing(tmp_path):
    step = compiled("v5e:2x2", tmp_path, programs=("train",))["train"]
    text = (tmp_path / "train-v5e-2x2.txt").read_text()
    assert not any(word in text for word in ("all-reduce", "all-gather", "f64[", "callback"))
    assert step["cycles"] <= 2.5e6


@pytest.mark.slow
def test_an_h100(tmp_path):
    found = compiled("h100", tmp_path)
    step = found["train"]
    assert step["kernels"] <= 200
    assert step["kernels_a_time_step"] is None  # no loop over time: the fused kernels run
    thunks = (tmp_path / "train-h100.thunks").read_text()
    assert thunks.count("kCommandBuffer") >= 2  # the steps' launches are recorded once
    kernels = list(tmp_path.glob("train-h100-lstm_*.ptx"))
    assert len(kernels) == 4
    for kernel in kernels:
        assert "0 bytes spill stores, 0 bytes spill loads" in assembled(kernel)
    for one in (step, found["teacher"]):
        assert one["predicted_bytes"] == pytest.approx(one["argument_bytes"] + one["temporary_bytes"], rel=0.2)


@pytest.mark.slow
def test_an_h100_without_kernels_of_its_own_launches_three_a_time_step(tmp_path):
    step = compiled("h100", tmp_path, "runtime.recurrence=scan", programs=("train",))["train"]
    assert step["kernels_a_time_step"] <= 3
    assert step["kernels"] <= 1700


@pytest.mark.slow
def test_a_t4_has_no_kernels_of_ours_and_runs_the_scan(tmp_path):
    step = compiled("t4", tmp_path, programs=("train",))["train"]
    assert 2 < step["kernels_a_time_step"] <= 3
    assert step["kernels"] <= 1600
