"""Finished models below a folder, as people name them: by corpus, by the column of a table, the best one."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_jax.errors import InputError, brief, nearest
from kd_jax.runtime.files import kind_of, read_json

SHIPPED = "kd_jax shipped model"
"""What a shipped model's model.json says that it is."""
_NOT_INSIDE = {"checkpoints", "knowledge", "counts", "report", "tensorboard"}  # no model is below these
_SHOWN = 3

Column = tuple[str, str]
"""An experiment and the label of a column of its table."""
Tables = dict[tuple[str, str], list[tuple[Column, str]]]
"""Columns of a work folder's tables that show a model, and how they say it was made, by its path there and corpus."""


@dataclass(frozen=True)
class FoundModel:
    """A finished model, read without its parameters.

    Attributes:
        path: of its folder.
        corpus: that it tags as; a model of several corpora is found once for each.
        label: the column that it was trained for, such as "SM a=0.5".
        columns: the columns that it is shown in, as (experiment, label), in the order of results.csv.
        kind: "STM", "MTM" or "SM".
        head: "softmax" or "crf".
        seed: of its training.
        protocol: what it was trained on.
        split: that it was scored on.
        f1: of entities there, in percent; None where it has no score.
        status: "ok", or "diverged at step N".
        tuning: whether it was trained to choose weights, and belongs to no table.
        shipped: whether it is what kd_jax.ship wrote.
        several: whether it is of several corpora.
        made: how it was made, alike for models that differ in their seeds alone; "" where no table says.
    """

    path: Path
    corpus: str
    label: str
    columns: tuple[Column, ...]
    kind: str
    head: str
    seed: int
    protocol: str
    split: str
    f1: float | None
    status: str
    tuning: bool
    shipped: bool
    several: bool
    made: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its columns, the one that it was trained for first."""
        return tuple(dict.fromkeys((self.label, *(label for _, label in self.columns))))

    @property
    def described(self) -> str:
        """For people: what it is, in a few words."""
        scored = "no score" if self.f1 is None else f"F1 {self.f1:.2f} on {self.split}"
        return f"{self.label} on {self.corpus}, seed {self.seed}, {scored}{', shipped' if self.shipped else ''}"


def find_models(place: str | Path, say: Callable[[str], object] = str) -> list[FoundModel]:
    """The finished models in a folder and in all folders below it.

    Args:
        place: a work folder, a folder of work folders, or any folder inside one.
        say: called with a line about what looks like a model and can't be read.

    Returns:
        By corpus, then tables before tuning, then label and seed; of several corpora once for each.

    Raises:
        InputError: where there is no such folder.
    """
    root = Path(place).expanduser()
    if kind_of(root) != "folder":
        raise InputError(f"{root}: no such folder; give a work folder, or the folder of a model")
    models: list[FoundModel] = []
    tables: dict[Path, Tables] = {}
    for folder in _folders(root):
        try:
            models += _read(folder, tables)
        except InputError as fault:
            say(str(fault))
    return sorted(models, key=lambda m: (m.corpus, m.tuning, m.several, m.label, m.head, m.seed, str(m.path)))


def is_model(folder: Path) -> bool:
    """Whether a folder is a model's own, rather than one that models are below."""
    return (folder / "model.json").is_file()


def choose(
    models: Sequence[FoundModel], place: Path, corpus: str | None, label: str | None, *, best: bool
) -> FoundModel:
    """The one model below a folder that is meant.

    A trained model goes before what was shipped of it, one of a corpus before one of several, and one of a table before
    one that chose weights: the last two are meant only by their labels, or where there is nothing else.

    Args:
        models: the models below the folder.
        place: the folder, for messages.
        corpus: that it is to tag as; None where all models are of one.
        label: of a column that it is in; None for any.
        best: whether, of several, the one of the highest F1 is meant.

    Raises:
        InputError: where there is none, or several and no word on which, with how to say it.
    """
    if not models:
        raise InputError(f"{place}: no model here, nor below it (no model.json); give a work folder or a model's own")
    corpora = sorted({model.corpus for model in models})
    if corpus is not None and corpus not in corpora:
        raise InputError(f"{place}: has no model of {corpus!r}; {nearest(corpus, corpora)}")
    some = [model for model in models if corpus in (None, model.corpus)]
    some = _first_of([[model for model in some if not model.shipped], some])
    if label is not None:
        labels = {name for model in some for name in model.labels}
        if label not in labels:
            raise InputError(f"{place}: has no model of column {label!r}; {nearest(label, labels)}")
        some = [model for model in some if label in model.labels]
    else:
        some = _first_of([[m for m in some if not m.tuning], some])
        some = _first_of([[m for m in some if not m.several], some])
    of = sorted({model.corpus for model in some})
    if len(of) > 1:
        raise InputError(
            f"{place}: has models of {', '.join(of)}; say which with --corpus={of[0]} --best, in Python with"
            f" kd_jax.load(..., corpus={of[0]!r}, best=True)"
        )
    if len(some) > 1 and not best:
        shown = "; ".join(f"{model.described}: {model.path}" for model in some[:_SHOWN])
        raise InputError(
            f"{place}: has {len(some)} models of {of[0]}; name one, or add --best for that of the highest F1, in Python"
            f" best=True (kd-jax models {place} lists them): {shown}{'; ...' if len(some) > _SHOWN else ''}"
        )
    scored = [model for model in some if model.f1 is not None] or [model for model in some if model.status == "ok"]
    if not scored:
        raise InputError(f"{some[0].path}: {some[0].status}, it has no score; name another model")
    # By F1 on test: the best of several seeds is there to be used, and its own F1 flatters it (docs/tagging.md).
    return max(scored, key=lambda model: model.f1 or 0.0)  # of equals the first


def open_place(
    place: Path, corpus: str | None, label: str | None, *, best: bool, say: Callable[[str], object] = str
) -> tuple[Path, str | None]:
    """The folder of the model that is meant, and of a model of several corpora the one that it is to tag as.

    A model's own folder is itself meant, without a word on its corpus where none is asked for; otherwise as `choose`.
    """
    if is_model(place) and not (corpus or label or best):
        return place, None
    chosen = choose(find_models(place, say), place, corpus, label, best=best)
    if chosen.path != place:
        say(f"{chosen.described}: {chosen.path}")
    return chosen.path, chosen.corpus


def _first_of(choices: Sequence[list[FoundModel]]) -> list[FoundModel]:
    return next((choice for choice in choices if choice), [])


def _folders(root: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(root, followlinks=False):
        if "model.json" in files:
            yield Path(name)
            # No model is below a model.
            folders.clear()
        # Of a work folder alone: elsewhere a folder of work folders may be called so.
        without = _NOT_INSIDE if {"settings.json", "results.csv"} & set(files) else set()
        folders[:] = sorted(inside for inside in folders if not inside.startswith(".") and inside not in without)


def _read(folder: Path, tables: dict[Path, Tables]) -> list[FoundModel]:
    try:
        raw = read_json(folder / "model.json")
    except (OSError, ValueError, RecursionError) as fault:
        raise InputError(f"{folder}/model.json: can't be read ({brief(fault)})") from None
    try:
        if isinstance(raw, dict) and "kind" in raw:
            return [_found(folder, raw["about"], raw["corpus"], None)] if raw["kind"] == SHIPPED else []
        from kd_jax.training.manifest import read_description  # noqa: PLC0415 - a shipped model does without

        about = read_description(folder) or {}
        several = len(tasks := about["tasks"]) > 1
        return [_found(folder, about["about"], name, _shown(folder, name, tables), several) for name in tasks]
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        raise InputError(f"{folder}/model.json: damaged at {brief(fault)}") from None


def _found(
    folder: Path,
    about: dict[str, Any],
    corpus: str,
    shown: Sequence[tuple[Column, str]] | None,
    several: bool = False,
) -> FoundModel:
    """What a manifest and the tables say; `shown` is None of a shipped model."""
    of_corpus = about.get("scores", {}).get(corpus)
    status = str(about.get("status", "ok"))
    return FoundModel(
        path=folder,
        corpus=str(corpus),
        label=str(about["label"]),
        columns=tuple(column for column, _ in shown or ()),
        kind=str(about["model"]),
        head=str(about["head"]),
        seed=int(about["seed"]),
        protocol=str(about["protocol"]),
        split=str(about.get("split", "test")),
        f1=float(of_corpus["f1"]) if of_corpus and status == "ok" else None,
        status=status,
        tuning=about.get("split") == "devel",
        shipped=shown is None,
        several=several,
        made=shown[0][1] if shown else "",
    )


def _shown(folder: Path, corpus: str, tables: dict[Path, Tables]) -> Sequence[tuple[Column, str]]:
    whole = folder.absolute()
    for workdir in list(whole.parents)[1:3]:  # W/teachers/NAME, W/students/CORPUS/NAME
        if workdir not in tables:
            tables[workdir] = _tables(workdir)
        if shown := tables[workdir].get((whole.relative_to(workdir).as_posix(), corpus)):
            return shown
    return ()


def _tables(workdir: Path) -> Tables:
    shown: Tables = {}
    try:
        with (workdir / "results.csv").open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                at = shown.setdefault((row.get("path") or "-", row.get("corpus") or "-"), [])
                column = row.get("experiment") or "-", row.get("label") or "-"
                at.append((column, row.get("settings") or ""))
    except (OSError, UnicodeDecodeError, csv.Error):
        pass  # models are found without it, and the report says what is wrong with it
    return shown
