"""What comes along with the program: experiment files and the sample corpora, in a checkout and in a wheel alike."""

import runpy
from pathlib import Path

from kd_jax.errors import InputError, nearest
from kd_jax.experiment import Experiment

_PACKAGE = Path(__file__).resolve().parent


def _place(bundled: str, checkout: str) -> Path:
    inside = _PACKAGE / "_bundled" / bundled
    return inside if inside.is_dir() else _PACKAGE.parent / checkout


def sample_corpora() -> Path:
    """Folder of the bundled sample corpora."""
    return _place("sample", "data/sample")


def experiments() -> dict[str, Path]:
    """The experiment files that come along, by name."""
    return {path.stem: path for path in sorted(_place("experiments", "experiments").glob("[!_]*.py"))}


def load_experiment(name: str) -> Experiment:
    """The experiment of a name, or of a file of one's own.

    Args:
        name: such as "logits", or the path of a .py file that sets EXPERIMENT.

    Raises:
        InputError: for an unknown name, with the nearest ones, or a file without EXPERIMENT.
    """
    path = experiments().get(name, Path(name))
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"--experiment={name}: no such experiment; {nearest(name, experiments())}")
    try:
        found = runpy.run_path(str(path)).get("EXPERIMENT")
    except Exception as fault:
        raise InputError(f"{path}: can't be run ({type(fault).__name__}: {fault})") from fault
    if not isinstance(found, Experiment):
        raise InputError(
            f"{path}: sets no EXPERIMENT = Experiment(...); see {experiments()['logits']} for one that does"
        )
    return found
