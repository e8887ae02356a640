"""A real run killed by SIGKILL at random moments ends as one that nobody disturbed."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "kill_loop.py"


@pytest.mark.slow
def test_three_kills(tmp_path):
    call = [sys.executable, SCRIPT, "--kills=3", "--epochs=2", f"--folder={tmp_path}"]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kills in " in done.stdout
    assert "all identical" in done.stdout
