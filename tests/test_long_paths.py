"""Every command answers a path that the system refuses to look up in one line, on every version of Python."""

import subprocess
import sys

import pytest

LONG = "x" * 300
COMMANDS = [
    "corpora list {}",
    "corpora check {}",
    "corpora fetch . --from={}",
    "main --dry_run --data_dir={}",
    "main --dry_run --experiment={}.py",
    "main --dry_run --set=words.vectors={}",
    "report --workdir={}",
    "card --workdir={}",
    "ship --model={} --out=out",
    "tag --model=. {}",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_path_too_long_is_named(tmp_path, command):
    call = [sys.executable, "-m", *f"kd_jax.{command}".format(LONG).split()]
    done = subprocess.run(call, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert LONG[:20] in done.stderr
    assert "File name too long" in done.stderr or "longer than 255 bytes" in done.stderr
