"""What all tests share: strict broadcasting, several devices, and where the real corpora are."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jax
import pytest

from kd_jax.corpora.registry import load
from kd_jax.structs import Corpus

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"  # tests leave nothing in the home folder
jax.config.update("jax_enable_compilation_cache", False)


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """The folder of real corpora that KD_JAX_CORPORA names; tests that want it are skipped without."""
    folder = os.environ.get("KD_JAX_CORPORA")
    if not folder:
        pytest.skip("KD_JAX_CORPORA names no folder of real corpora")
    return Path(folder)


@pytest.fixture(scope="session")
def loaded(real_corpora: Path) -> dict[str, Corpus]:
    """The real corpora, read once for all tests of the readers."""
    return {corpus.name: corpus for corpus in load(real_corpora)}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny softmax model of the corpus Tiny."""
    from made_model import made

    path = tmp_path_factory.mktemp("model") / "student"
    made(path)
    return path


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of 1 MiB, or of the size that is asked for."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', '1m')}", "tmpfs", disk],
        check=False,
        capture_output=True,
    )
    if done.returncode:
        pytest.skip("needs to mount a tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """A context in which the process is one whom file modes bind, and a folder that it may enter."""
    before = os.geteuid()

    @contextmanager
    def enter() -> Iterator[None]:
        if before == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(before)

    return enter


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that everybody may enter; those of pytest are their owner's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
