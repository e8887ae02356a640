"""Runs of tiny experiments in this process, and what of their rows does not depend on the clock."""

import csv
import io

import pytest
from rich.console import Console

from helpers.tiny import tiny_corpus
from kd_jax.corpora.conll import write_split
from kd_jax.evaluation.score_tables import ScoreTables
from kd_jax.runtime.device import devices
from kd_jax.runtime.interrupt import Interrupt
from kd_jax.runtime.progress import ProgressMeter
from kd_jax.sweep import runner
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.request import Request, execute, prepare
from kd_jax.sweep.runner import InProcess, Sweep
from kd_jax.sweep.status import Status

SIZES = ("words.dim=6", "chars.dim=4", "chars.units=4", "shared_units=4", "task_units=4", "hidden_units=4", "rows=3")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    for name, kinds in (("First", ("Gene",)), ("Second", ("Drug", "Gene"))):
        (folder / name).mkdir()
        for split, sentences in tiny_corpus(name, kinds).splits.items():
            write_split(folder / name / f"{split}.tsv", sentences)
    return folder


def request(corpora, workdir, **changes):
    settings = {"experiment": "logits", "data_dir": corpora, "workdir": workdir, "seeds": "2", "epochs": 1}
    settings |= {"assignments": SIZES} | changes
    return Request(**settings)


def ask(corpora, workdir, **changes):
    console = Console(width=200, file=io.StringIO())
    execute(request(corpora, workdir, **changes), console)
    return console.file.getvalue()


def rows_without_times(workdir):
    with (workdir / "results.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def carry_out(asked):
    """Train and score what is asked for, in a new work folder, without cards and report, which take longer."""
    (plan,), sweep_data = prepare(asked)
    plan.workdir.mkdir(exist_ok=True)  # an external teacher may be there already
    with (
        pytest.MonkeyPatch.context() as patch,
        ProgressMeter(1, plan.workdir / "metrics.jsonl", Console(file=io.StringIO())) as meter,
    ):
        patch.setattr(runner, "lacking_cards", lambda *_: {})
        context = RunContext(plan.workdir, meter, Interrupt(), Status(), devices())
        tables = ScoreTables(plan.workdir)
        Sweep(plan, sweep_data, context, tables, InProcess(sweep_data, context)).run()
    return tables
