"""Training from Python, for notebooks: an experiment in, its results as a table and its models out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from statistics import mean
from typing import Any

from kd_jax import cli
from kd_jax.evaluation.results import Row, read
from kd_jax.experiment import Experiment, load_experiment
from kd_jax.export.found import FoundModel, find_models
from kd_jax.export.load import load
from kd_jax.runtime.display import standard_console
from kd_jax.sweep.request import Request, execute
from kd_jax.tagging.tagger import TextTagger

SHOWN = ("experiment", "corpus", "label", "head", "seed", "split", "precision", "recall", "f1", "status", "path")


@dataclass(frozen=True, repr=False)
class Results:
    """What a run gave.

    Attributes:
        workdir: its work folder.
        rows: of its experiment in results.csv.
    """

    workdir: Path
    rows: tuple[Row, ...]

    @property
    def table(self) -> Any:
        """A row for every model and corpus: a pandas.DataFrame where pandas is installed, otherwise a list of dicts."""
        rows = [{name: getattr(row, name) for name in SHOWN} for row in self.rows]
        # Asked for by name, since nothing here needs it: notebooks have it, and servers that train may not.
        return import_module("pandas").DataFrame(rows, columns=list(SHOWN)) if find_spec("pandas") else rows

    @property
    def models(self) -> list[FoundModel]:
        """The models of the rows."""
        mine = {(row.path, row.corpus) for row in self.rows}
        of_folder = find_models(self.workdir)
        return [m for m in of_folder if (m.path.relative_to(self.workdir).as_posix(), m.corpus) in mine]

    def load(self, corpus: str | Sequence[str] | None = None, label: str | None = None, **how: Any) -> TextTagger:
        """A tagger from the best model of a corpus; arguments as of `kd_jax.export.load.load`."""
        return load(self.workdir, corpus=corpus, label=label, **({"best": True} | how))

    def __repr__(self) -> str:
        """Mean F1 of every column on every corpus."""
        labels = list(dict.fromkeys(row.label for row in self.rows))
        lines = [["corpus", *labels]]
        for corpus in dict.fromkeys(row.corpus for row in self.rows):
            of = [
                [r.f1 for r in self.rows if (r.corpus, r.label) == (corpus, name) and r.f1 is not None]
                for name in labels
            ]
            lines.append([corpus, *(f"{mean(f1):.2f}" if f1 else "-" for f1 in of)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in lines
        ]
        return "\n".join([*table, f"mean F1 over seeds; {len(self.rows)} rows, models in {self.workdir}"])


def train(
    experiment: str | Experiment = "recommended",
    *,
    seeds: int | Sequence[int] = 5,
    datasets: Sequence[str] = (),
    targets: Sequence[str] = (),
    data_dir: str | PathLike[str] | None = None,
    workdir: str | PathLike[str] | None = None,
    epochs: int | None = None,
    protocol: str = "train+devel",
    settings: Mapping[str, Any] | Sequence[str] = (),
    quiet: bool = False,
) -> Results:
    """Train what is missing of an experiment, as `kd-jax train` does, and give its results.

    Args:
        experiment: a name of `--experiment=list`, the path of a file, or an `Experiment` made on the spot.
        seeds: how many, or which.
        datasets: corpora; all in data_dir where none is named.
        targets: those that get single-task models and students; all where none is named.
        data_dir: folder of corpora; None for the bundled sample and small sizes.
        workdir: where models and results go; finished models there are not trained again.
        epochs: passes over the training text.
        protocol: as of `--protocol`.
        settings: as of `--set`: {"learning_rate": 0.004} or ["learning_rate=0.004"].
        quiet: whether neither plan, progress nor tables are shown.

    Returns:
        The results of this experiment and protocol that are in the work folder.

    Raises:
        InputError: for whatever is wrong with what is asked for, the corpora or the disk.
        InterruptedRunError: where a signal asked for the end; everything is saved, and the same call goes on.
    """
    pairs = [f"{name}={value}" for name, value in settings.items()] if isinstance(settings, Mapping) else settings
    request = Request(
        experiment=experiment,
        seeds=str(seeds) if isinstance(seeds, int) else "".join(f"{seed}," for seed in seeds),
        datasets=_names(datasets),
        targets=_names(targets),
        data_dir=None if data_dir is None else cli.path(str(data_dir), "folder", "data_dir="),
        workdir=None if workdir is None else cli.path(str(workdir), "folder", "workdir="),
        epochs=epochs,
        protocol=protocol,
        assignments=tuple(pairs),
    )
    execute(request, standard_console(quiet=quiet))
    experiment_run = experiment if isinstance(experiment, Experiment) else load_experiment(experiment)
    names = set(experiment_run.parts or [experiment_run.name])
    rows = [row for row in read(request.place / "results.csv") if row.experiment in names and row.protocol == protocol]
    return Results(request.place, tuple(rows))


def _names(names: Sequence[str]) -> Sequence[str]:
    """Names, of which one may be given alone."""
    return [names] if isinstance(names, str) else names
