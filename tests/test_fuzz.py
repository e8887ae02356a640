"""Damaged files of every kind are read or refused in one line: a few cases of the long run."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"


@pytest.mark.slow
def test_sixty_cases_of_every_reader(tmp_path):
    call = [sys.executable, SCRIPT, "--cases=60", "--seed=2", f"--folder={tmp_path}"]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| 60 |") == 8
    assert done.stdout.endswith("no failures\n")
