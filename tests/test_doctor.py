import subprocess
import sys

from kd_jax.doctor import _compile_check


def test_it_ends_with_a_verdict():
    done = subprocess.run([sys.executable, "-m", "kd_jax.doctor"], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[-1].startswith("verdict: OK")
    assert any(line.startswith("jax ") for line in lines)


def test_a_wrong_recurrence_is_noticed(monkeypatch):
    assert _compile_check() < 1e-5
    from kd_jax.models import bilstm

    right = bilstm.lstm
    monkeypatch.setattr(bilstm, "lstm", lambda p, u, k: right(p, u * 1.1, k))
    assert _compile_check() > 1e-3
