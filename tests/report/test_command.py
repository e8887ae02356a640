"""The report command as one types it: its answers, its status, and a report."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.made_results import made_rows

from kd_jax.evaluation import results
from kd_jax.report import build as report

# Ours are errors; what a plotting library of before uses of its own dependencies has been deprecated since.
WARNINGS = ("-W", "error", "-W", "ignore::DeprecationWarning")


def command(*flags, cwd):
    root = Path(report.__file__).parents[2]
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    return subprocess.run([sys.executable, *WARNINGS, "-m", "kd_jax.report", *flags], cwd=cwd, text=True,
                          env=os.environ | {"PYTHONPATH": path}, capture_output=True, check=False)  # fmt: skip


@pytest.mark.parametrize(("flag", "status", "said"), [
    ("--workdir=nowhere", 2, r"error: nowhere/results\.csv: no such file; .+\n"),
    ("--wrkdir=x", 2, r"error: --wrkdir: no such flag; did you mean 'workdir'\?\n"),
])  # fmt: skip
def test_the_command_answers_faults_with_a_line(tmp_path, flag, status, said):
    done = command(flag, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert re.fullmatch(said, done.stderr, re.DOTALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", ["--workdir=W", "W"])
def test_the_command_writes_a_report(tmp_path, flag):
    results.append(tmp_path / "W" / "results.csv", made_rows(7, ["NCBI"], seeds=(1,)), results.Row)
    done = command(flag, "--posthoc=conover", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "report: W/report/index.html" in done.stdout
    assert (tmp_path / "W" / "report" / "index.html").exists()
