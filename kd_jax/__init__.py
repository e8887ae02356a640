"""Knowledge distillation from multi-task teachers for biomedical named entity recognition."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from kd_jax.experiment import Experiment
    from kd_jax.export.found import FoundModel
    from kd_jax.sweep.notebook import Results
    from kd_jax.tagging.tagger import TextTagger


def end_at_once(*_: Any) -> NoReturn:
    """Answer Ctrl-C with a line while a command is being imported, which a KeyboardInterrupt would tear anywhere."""
    os.write(2, b"interrupted\n")
    os._exit(130)


def _is_command(words: Sequence[str]) -> bool:
    """Whether Python was started for a command of ours: python -m kd_jax.main ..., or python .../kd-jax ..."""
    rest = iter(words)
    for word in rest:
        if word in {"-X", "-W"}:
            next(rest, None)
        elif word == "-m":
            return next(rest, "").split(".")[0] == __name__
        elif not word.startswith("-"):
            return os.path.basename(word) == "kd-jax"
    return False


if _is_command(sys.orig_argv[1:]) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)  # until kd_jax.cli.leave has taken over

__version__ = "0.2.0"
__all__ = ["find_models", "load", "train"]


def load(
    model: "str | Path | Sequence[str | Path]",
    *,
    corpus: "str | Sequence[str] | None" = None,
    label: str | None = None,
    best: bool = False,
    task: "str | Sequence[str] | None" = None,
    constrained: bool | None = None,
    min_score: float = 0.0,
) -> "TextTagger":
    """A tagger from a model's folder, or from a work folder; see `kd_jax.export.load.load`."""
    from kd_jax.export.load import load as open_models  # noqa: PLC0415 - `import kd_jax` needs no JAX

    return open_models(
        model, corpus=corpus, label=label, best=best, task=task, constrained=constrained, min_score=min_score
    )


def find_models(place: "str | Path") -> "list[FoundModel]":
    """The finished models below a folder, with their corpora, labels, F1 and paths; see `kd_jax.export.found`."""
    from kd_jax.export.found import find_models as found_below  # noqa: PLC0415

    return found_below(place)


def train(experiment: "str | Experiment" = "recommended", **arguments: Any) -> "Results":
    """Train what is missing of an experiment and give its results; arguments as of `kd_jax.sweep.notebook.train`.

    >>> results = kd_jax.train("logits", seeds=2, workdir="runs/sample")  # doctest: +SKIP
    >>> results.table, results.models, results.load("SampleGene")("p53 and BRCA1")  # doctest: +SKIP
    """
    from kd_jax.sweep.notebook import train as run  # noqa: PLC0415 - `import kd_jax` needs no JAX

    return run(experiment, **arguments)
