"""Work folders of made-up results, and what the report command says of them."""

import csv
import io
import json

import numpy as np
from rich.console import Console

from kd_jax.evaluation import results
from kd_jax.evaluation.results import TypeRow
from kd_jax.report import command as reporting

CORPORA = ("NCBI", "CRAFT", "ExPTM")


def made_workdir(folder, rows, better=0.0):
    results.append(folder / "results.csv", rows, results.Row)
    draw = np.random.default_rng(5)
    gold = draw.integers(0, 4, 250)
    for row in rows:
        correct = draw.binomial(gold, min(1, row.f1 / 100 + better))
        results.write_counts(folder, row, np.stack([correct, gold, gold], 1))
    results.append(folder / "types.csv", [
        TypeRow(row.experiment, "CRAFT", row.label, row.head, row.seed, "test", row.protocol, kind, 50, 50, 50.5, 80)
        for row in rows if row.corpus == "CRAFT" for kind in ("Gene", "Species")
    ], results.TypeRow)  # fmt: skip
    with (folder / "metrics.jsonl").open("w") as file:
        for row in rows:
            for epoch in (1, 2, 3):
                point = {"experiment": row.experiment, "corpus": row.corpus, "label": row.label, "seed": row.seed}
                file.write(json.dumps(point | {"epoch": epoch, "loss": 1 / epoch, "devel_f1": None}) + "\n")
    about = {
        "command": "kd-jax train --seeds=3",
        "experiment": {"name": "logits"},
        "corpora": {"NCBI": {"hash": "f" * 64}},
        "device": "1 x cpu",
    }
    (folder / "settings.json").write_text(json.dumps(about))
    return folder


def reported(*workdirs, of_paper=False, output=None, alpha=0.05, method="nemenyi"):
    console = Console(width=100, file=io.StringIO(), color_system=None)
    reporting.report(list(workdirs), of_paper=of_paper, output=output, alpha=alpha, method=method, console=console)
    return console.file.getvalue()


def records(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
