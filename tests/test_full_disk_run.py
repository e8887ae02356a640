"""A whole run on a disk that is full again and again: one line each time, and the same command goes on."""

import json
import os
import subprocess
import sys

import pytest
from helpers.full_disk import fill
from helpers.runs import SIZES, rows_without_times

COMMAND = [
    *(
        sys.executable,
        "-m",
        "kd_jax.main",
        "--datasets=SampleChem",
        "--seeds=1",
        "--epochs=2",
        "--set=saving.minutes=0",
    ),
    *(f"--set={size}" for size in SIZES),
]


def started(workdir, cache):
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "JAX_ENABLE_COMPILATION_CACHE": "true"}
    call = [*COMMAND, f"--workdir={workdir}"]
    return subprocess.run(call, env=environment, check=False, capture_output=True, text=True)


def sums(workdir):
    return {p.parent.name: json.loads(p.read_text())["params_sha256"] for p in workdir.rglob("model.json")}


@pytest.mark.slow
@pytest.mark.parametrize("small_disk", ["16m"], indirect=True)
def test_on_a_full_disk_a_run_ends_in_one_line_and_goes_on_when_there_is_room(tmp_path, small_disk):
    whole = started(tmp_path / "whole", tmp_path / "cache")
    assert whole.returncode == 0, whole.stderr
    room, refused = 1 << 12, []
    while True:
        fill(small_disk)
        filler = small_disk / "filler"
        os.truncate(filler, max(0, filler.stat().st_size - room))
        done = started(small_disk / "w", tmp_path / "cache")
        filler.unlink()
        if done.returncode == 0:
            break
        assert done.returncode == 2, done.stderr
        *foretold, line = done.stderr.splitlines()
        assert line.startswith("error: "), done.stderr
        assert all("this run writes about" in said for said in foretold)
        assert len(foretold) <= 1
        assert "No space left on device" in line
        assert str(small_disk) in line
        refused.append(line)
        room = room * 3 // 2
    assert len(set(refused)) > 2
    assert sums(small_disk / "w") == sums(tmp_path / "whole")
    assert rows_without_times(small_disk / "w") == rows_without_times(tmp_path / "whole")
    assert not [p for p in (small_disk / "w").rglob("*") if p.name.endswith(".partial") or "-tmp" in p.name]
