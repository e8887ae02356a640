"""Where experiments are found: those that come along by name, others by the path of their file."""

import runpy

from kd_jax import cli
from kd_jax.errors import InputError, nearest
from kd_jax.experiment.bundled import experiments
from kd_jax.experiment.checks import check_experiment
from kd_jax.experiment.columns import Experiment
from kd_jax.runtime.files import kind_of


def load_experiment(name: str) -> Experiment:
    """The experiment of a name, or of a file of one's own.

    Args:
        name: such as "logits", or the path of a .py file that sets EXPERIMENT.

    Raises:
        InputError: for an unknown name, with the nearest ones, or a file without EXPERIMENT.
    """
    path = experiments().get(name)
    if path is None:
        path = cli.path(name, "any", "--experiment=")
    if path.suffix != ".py" or kind_of(path) != "file":
        raise InputError(f"--experiment={name}: no such experiment; {nearest(name, experiments())}")
    try:
        loaded = runpy.run_path(str(path)).get("EXPERIMENT")
    except (Exception, SystemExit) as fault:
        said = " ".join(str(fault).split())
        raise InputError(f"{path}: can't be run ({type(fault).__name__}: {said})") from fault
    if not isinstance(loaded, Experiment):
        raise InputError(
            f"{path}: sets no EXPERIMENT = Experiment(...); see {experiments()['logits']} for one that does"
        )
    check_experiment(loaded, str(path))
    for part in loaded.parts:
        if load_experiment(part).parts:
            raise InputError(f"{path}: parts has {part!r}, which is made of parts itself; name those")
    if path not in experiments().values():
        _check_free(loaded, str(path))
    return loaded


def check_own(experiment: Experiment) -> None:
    """Refuse an experiment made in Python that could not be run, or that takes the name of a built-in one.

    Raises:
        InputError: as of `check_experiment`.
    """
    check_experiment(experiment, "experiment")
    if experiment.name not in experiments() or experiment != load_experiment(experiment.name):
        _check_free(experiment, "experiment")


def _check_free(experiment: Experiment, where: str) -> None:
    built_in = {name.casefold() for name in experiments()}
    if experiment.name.casefold() in built_in:
        raise InputError(
            f"{where}: name={experiment.name!r} is a built-in experiment's; its rows would stand among that one's"
        )
