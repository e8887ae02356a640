"""List the finished models of work folders: corpus, column, seed, F1 and path.

  kd-jax models runs/sample
  kd-jax models runs --corpus=NCBI --best
  kd-jax models W --format=jsonl | jq -r .path

Of a model of several corpora each has a line. --best keeps that of the highest F1 of each corpus, which is what
`kd-jax tag --model=W --corpus=NCBI --best` tags with. Models that only chose weights are listed with --tuning.
"""

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kd_jax import cli
from kd_jax.errors import InputError

if TYPE_CHECKING:
    from kd_jax.export.found import FoundModel


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.words("corpus", [], "Those of these corpora; default: all.")
    cli.define_choice(flags)
    flags.yes("tuning", "Also those that were trained to choose weights.")
    flags.choice("format", "text", ("text", "jsonl"), "What is written: columns for people, or an object a line.")


def list_models(given: Any, words: list[str]) -> None:
    """List what the flags describe."""
    from kd_jax.corpora.registry import warn  # noqa: PLC0415 - `--help` needs little
    from kd_jax.export.found import choose, find_models  # noqa: PLC0415

    if not words:
        raise InputError("name a work folder, such as kd-jax models runs/sample")
    shown: list[FoundModel] = []
    for place in [cli.path(word, "folder") for word in words]:
        models = find_models(place, warn)
        if not models:
            warn(f"{place}: no model here, nor below it")
        corpora = sorted({model.corpus for model in models})
        if unknown := [name for name in given.corpus if name not in corpora]:
            choose(models, place, unknown[0], None, best=True)  # refuses it, with the nearest name
        if models and given.label is not None and not any(given.label in model.labels for model in models):
            choose(models, place, None, given.label, best=True)  # likewise
        for corpus in given.corpus or corpora:
            some = [model for model in models if model.corpus == corpus and given.label in (None, *model.labels)]
            if not given.best:
                shown += some
            elif scored := [model for model in some if model.status == "ok"]:
                shown.append(choose(scored, place, corpus, given.label, best=True))
            elif some:
                warn(f"{place}: no model of {corpus} has a score ({some[0].status})")
    shown = [model for model in shown if given.tuning or not model.tuning]
    for line in _objects(shown) if given.format == "jsonl" else _lines(shown):
        print(line)


def _objects(models: Sequence["FoundModel"]) -> list[str]:
    return [json.dumps(dataclasses.asdict(model) | {"path": str(model.path)}) for model in models]


def _lines(models: Sequence["FoundModel"]) -> list[str]:
    """A line each, columns as wide as they need to be, the path last, so that it can be copied or cut out."""
    rows = [("corpus", "column", "head", "seed", "F1", "path")]
    for model in models:
        f1 = (
            model.status
            if model.f1 is None and model.status != "ok"
            else "-"
            if model.f1 is None
            else f"{model.f1:.2f}"
        )
        path = f"{model.path}{' (shipped)' if model.shipped else ''}"
        rows.append((model.corpus, " = ".join(model.labels), model.head, str(model.seed), f1, path))
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return ["  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5])) for row in rows]


COMMAND = cli.Command(__doc__ or "", define, list_models, words="FOLDER ...")

if __name__ == "__main__":
    cli.run(COMMAND)
