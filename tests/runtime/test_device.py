"""Where compiled programs are kept, and that JAX's own variables go first."""

import os
import subprocess
import sys
from pathlib import Path

import jax

from kd_jax.runtime import device

ASK = """
import jax
from kd_jax.runtime.device import enable_compilation_cache
enable_compilation_cache()
print(jax.config.jax_compilation_cache_dir)
"""


def told(tmp_path, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XDG_"))}
    environment = kept | {"HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"} | variables
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_programs_are_kept_in_the_users_cache(tmp_path):
    there = told(tmp_path)
    assert there.startswith(str(tmp_path / ".cache" / "kd_jax" / "compiled"))
    assert os.stat(there).st_mode & 0o077 == 0


def test_xdg_cache_home_is_respected(tmp_path):
    assert told(tmp_path, XDG_CACHE_HOME=str(tmp_path / "elsewhere")).startswith(str(tmp_path / "elsewhere" / "kd_jax"))


def test_jax_variables_go_first(tmp_path):
    assert told(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own")) == str(tmp_path / "own")
    assert told(tmp_path, JAX_ENABLE_COMPILATION_CACHE="false") == "None"
    assert not (tmp_path / ".cache").exists()


def test_a_folder_that_cannot_be_is_no_fault(tmp_path):
    (tmp_path / "file").write_text("")
    assert told(tmp_path, XDG_CACHE_HOME=str(tmp_path / "file")) == "None"


def test_rates_and_memory_are_measured():
    assert device.matmul_rate("float32", 64, 1) > 0
    assert device.copy_rate(4096, 1) > 0
    peak, of = device.peak_bytes()
    assert 0 < device.forget_peak() <= peak * 1.05
    assert of in {"process", "device"}


def test_programs_are_forgotten_only_where_they_hold_many_memory_maps():
    triple = jax.jit(lambda x: 3 * x)
    assert triple(2) == 6
    assert not device.forget_programs(share=1.0)
    assert triple._cache_size() == 1
    assert device.forget_programs(share=0.0) == Path("/proc/self/maps").exists()
    assert triple._cache_size() == (0 if Path("/proc/self/maps").exists() else 1)
    assert triple(2) == 6
