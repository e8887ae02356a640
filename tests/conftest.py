"""What all tests share: signatures checked, strict broadcasting, several devices, no deadlines, where corpora are."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import jax
import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# What functions that work on arrays are given and give back is held against their signatures, shapes and dtypes
# included; outside of tests nothing is. In place before the first of these modules is imported. Modules that read
# files are not among them: tests hand those anything.
CHECKED = (
    *("data.dataset", "data.packing", "data.pieces", "data.pipeline", "data.vectors", "data.vocab", "models"),
    *(
        f"training.{name}"
        for name in [
            *(
                "execution",
                "initial",
                "known",
                "loop",
                "losses",
                "mesh",
                "objective",
                "parts",
                "projection",
                "state",
                "step",
            ),
            "structure",
        ]
    ),
    *(f"distill.{name}" for name in ["distilled_words", "encoder", "ensemble", "extract", "piece_fit", "scale"]),
    *("tagging.program", "tagging.rows", "tagging.spans", "evaluation.scores", "evaluation.significance"),
)
install_import_hook(
    [f"kd_jax.{name}" for name in CHECKED], "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)

from helpers.runs import corpora  # noqa: E402, F401 - a fixture

from kd_jax.corpora.registry import load  # noqa: E402
from kd_jax.runtime.device import forget_programs  # noqa: E402
from kd_jax.structs import Corpus  # noqa: E402

jax.config.update("jax_numpy_rank_promotion", "raise")
# Compiling is most of the work of these tests, and optimising machine code a third of that. LLVM alone is asked for
# less: XLA's own passes, the programs and what is counted in them stay those of every user.
if "xla_backend_optimization_level" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
jax.config.update("jax_num_cpu_devices", 2)
# Many tests compile the same tiny programs: one cache for all workers and the processes that tests start. It lives in
# a folder of its own, so that tests neither leave anything in the home folder nor depend on what is there.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="kd_jax_tests_")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

# A shell lets what it starts in the background ignore Ctrl-C, and so would the commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, not whether the property holds.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("any machine")


@pytest.fixture(scope="module", autouse=True)
def few_memory_maps() -> Iterator[None]:
    """Programs of one test file at a time: those of hundreds of tests hold more memory maps than a process may have."""
    yield
    forget_programs()


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
    from helpers.made_model import made

    path = tmp_path_factory.mktemp("model") / "student"
    made(path)
    return path


@pytest.fixture
def small_disk(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of 1 MiB, or of the size that is asked for.

    It isn't under pytest's own folder: what a killed run leaves mounted there can't be removed, and fails every run
    after it.
    """
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', '1m')}", "tmpfs", folder]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("needs to mount a tmpfs")
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


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
