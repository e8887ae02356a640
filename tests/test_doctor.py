import subprocess
import sys
from types import SimpleNamespace

import pytest

from kd_jax import doctor
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


@pytest.mark.parametrize(("platforms", "said"), [("", "or set JAX_PLATFORMS=cpu where there is none"), ("cpu", "")])
def test_a_gpu_is_missed_only_where_one_is_wanted(monkeypatch, platforms, said):
    """The plugin is there for compiling without a GPU too."""
    monkeypatch.setattr(doctor, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=lambda _: True)))
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    fault, _ = doctor._devices()
    assert fault.endswith(said)
    assert bool(fault) == bool(said)
