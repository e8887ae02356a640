"""Models on a tagged file of a user's: scores, errors by kind, seen against unseen, side by side with a test."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from kd_jax.corpora.conll import read_split
from kd_jax.data.vocab import UNKNOWN, normalise
from kd_jax.errors import InputError
from kd_jax.evaluation.breakdown import KINDS, Breakdown, break_down, entities_of, seen_parts
from kd_jax.evaluation.scores import MODE, SCHEME, entities
from kd_jax.evaluation.significance import compare_runs, holm
from kd_jax.export.found import FoundModel, choose, find_models, is_model
from kd_jax.export.load import load
from kd_jax.export.measures import tagging
from kd_jax.runtime.files import read_json, replace_file
from kd_jax.structs import Sentence
from kd_jax.tagging.model import TextModel

Say = Callable[[str], object]


@dataclass(frozen=True)
class JudgeRequest:
    """What to judge, unchecked; fields as the flags."""

    model: Sequence[Path] = ()
    test: Path | None = None
    train: Sequence[Path] = ()
    corpus: str | None = None
    label: str | None = None
    best: bool = False
    constrained: bool | None = None
    scheme: str | None = None
    entity_type: str | None = None
    errors: Path | None = None
    json: Path | None = None


@dataclass(frozen=True)
class Judged:
    """The models of one column, of one or several seeds, on a file.

    Attributes:
        name: of the column, and of its folder where two are called alike.
        models: of each seed.
        tags: that each gave, [S][N][n].
        breakdowns: what each got right and wrong.
    """

    name: str
    models: tuple[FoundModel, ...]
    tags: tuple[list[list[str]], ...]
    breakdowns: tuple[Breakdown, ...]


def judge(request: JudgeRequest, console: Console, say: Say) -> None:
    """Tag a file with some models and show, and where asked for write, how well they did.

    Raises:
        InputError: for whatever is wrong with the models, the files or the place of what is written.
    """
    if not request.model or request.test is None:
        raise InputError("--model=FOLDER and --test=FILE are needed: models or a work folder, and a tagged CoNLL file")
    to_judge = _models(request, say)
    kinds = {kind for model in to_judge for kind in _types(model)}
    bare = request.entity_type or (kinds.pop() if len(kinds) == 1 else None)
    sentences = read_split(request.test, request.scheme, bare)
    trained = None
    if request.train:
        trained = set().union(*(entities_of(read_split(path, request.scheme, bare)) for path in request.train))
    of_file = {tag[2:] for sentence in sentences for tag in sentence.tags if tag != "O"}
    if strange := sorted(of_file - {kind for model in to_judge for kind in _types(model)}):
        say(f"{request.test}: no model here finds entities of type {', '.join(strange)}: all of them are missed")
    judged = [
        _judged(name, models, sentences, trained, request.constrained) for name, models in _columns(to_judge).items()
    ]
    gold = sum(len(entities(sentence.tags)) for sentence in sentences)
    console.print(f"{request.test}: {len(sentences):,} sentences, {gold:,} entities ({MODE}, {SCHEME})", soft_wrap=True)
    for table in _tables(judged):
        console.print(table)
    for line in compared(judged):
        console.print(line, soft_wrap=True, highlight=False)
    if not request.train:
        console.print("seen and unseen entities: name the training text with --train=FILE", soft_wrap=True)
    if request.errors is not None:
        replace_file(request.errors, errors_text(judged, sentences).encode())
        console.print(f"sentences with errors: {request.errors}", soft_wrap=True, highlight=False)
    if request.json is not None:
        content = [_plain(column) for column in judged]
        replace_file(request.json, json.dumps(content, indent=1).encode())


def _models(request: JudgeRequest, say: Say) -> list[FoundModel]:
    """The models to judge: those that are named, and of the folders above models those of the tables."""
    models: list[FoundModel] = []
    for place in request.model:
        below = find_models(place, say)
        if request.best or not below:
            models.append(choose(below, place, request.corpus, request.label, best=True))
            continue
        corpora = sorted({model.corpus for model in below})
        if len(corpora) > 1 and request.corpus is None:
            raise InputError(f"{place}: has models of {', '.join(corpora)}; say which with --corpus={corpora[0]}")
        corpus = request.corpus or corpora[0]
        choose(below, place, corpus, request.label, best=True)  # refuses a name that none has
        some = [m for m in below if m.corpus == corpus and m.status == "ok" and request.label in (None, *m.labels)]
        if not is_model(place):
            some = [model for model in some if not (model.shipped or (model.tuning and request.label is None))] or some
        models += some
    return list({(model.path.resolve(), model.corpus): model for model in models}.values())


def _types(model: FoundModel) -> set[str]:
    about = read_json(model.path / "model.json")
    labels = about["labels"] if model.shipped else about["labels"][about["tasks"].index(model.corpus)]
    return {label[2:] for label in labels if label != "O"}


def _columns(to_judge: Sequence[FoundModel]) -> dict[str, list[FoundModel]]:
    """Models that differ in their seeds only, by the names of their columns."""
    parted: dict[tuple[Any, ...], list[FoundModel]] = {}
    for model in to_judge:
        place = model.path.parent.resolve()
        key = model.label, model.head, model.protocol, model.shipped, place, model.made
        parted.setdefault(key, []).append(model)
    columns: dict[str, list[FoundModel]] = {}
    for (label, head, protocol, shipped, place, _), models in parted.items():
        name = f"{label}{' shipped' if shipped else ''}"
        # Columns of one label are told apart by their experiments, or by head, protocol and folder.
        experiments = dict.fromkeys(experiment for model in models for experiment, _ in model.columns)
        for more in (", ".join(experiments), f"{head}, {protocol}, {place}"):
            if name in columns and more:
                name = f"{label} ({more})"
        while name in columns:
            name += "'"
        columns[name] = models
    return columns


def _judged(
    name: str,
    models: Sequence[FoundModel],
    sentences: Sequence[Sentence],
    trained: set[tuple[str, ...]] | None,
    constrained: bool | None,
) -> Judged:
    tags, breakdowns = [], []
    for model in models:
        (opened,) = load(model.path, task=model.corpus, constrained=constrained).models
        tags.append(tagging(opened, sentences).tags)
        breakdowns.append(break_down(sentences, tags[-1], seen_parts(_knows(opened), trained)))
    return Judged(name, tuple(models), tuple(tags), tuple(breakdowns))


def _knows(model: TextModel) -> Callable[[str], bool]:
    known = model.vocabulary.word_ids
    return lambda word: known.get(normalise(word, model.words), UNKNOWN) != UNKNOWN


def _percent(values: Sequence[float], *, spread: bool = False) -> str:
    """The mean over seeds, and the standard deviation where it is asked for and there are several."""
    return f"{mean(values):.1f}" + (f" ±{stdev(values):.1f}" if spread and len(values) > 1 else "")


def _row(of_seeds: Sequence[Any]) -> tuple[str, str, str]:
    """Precision, recall and F1."""
    precision, recall, f1 = ([getattr(s, name) for s in of_seeds] for name in ("precision", "recall", "f1"))
    return _percent(precision), _percent(recall), _percent(f1, spread=True)


def _tables(judged: Sequence[Judged]) -> Iterator[Table]:
    titles = (
        "Entities in percent; partial: overlapping one of its type",
        "What became of the gold entities; spurious: predicted, and touching none",
        "By what was seen in training",
    )
    # On a narrow terminal a name is broken and not cut, or two of one beginning would look alike.
    scores, errors, parts = (Table(Column("model", overflow="fold"), title=title) for title in titles)
    for table, what in ((scores, "type"), (parts, "entities with")):
        table.add_column(what)
        for column in ("precision", "recall", "F1"):
            table.add_column(column, justify="right", no_wrap=True)
    scores.add_column("partial F1", justify="right", no_wrap=True)
    for kind in KINDS:
        errors.add_column(kind, justify="right")
    for table in (scores, parts):
        table.add_column("entities", justify="right")
    for one in judged:
        breakdowns = one.breakdowns
        seeds = f" ({len(one.models)} seeds)" if len(one.models) > 1 else ""
        partial = _percent([f.partial[""].f1 for f in breakdowns], spread=True)
        support = f"{breakdowns[0].partial[''].support:,}"
        scores.add_row(f"{one.name}{seeds}", "all", *_row([f.strict for f in breakdowns]), partial, support)
        types = sorted(set().union(*(f.strict.types for f in breakdowns)))
        for kind in types if len(types) > 1 else ():
            with_type = [f for f in breakdowns if kind in f.strict.types]
            partial = _percent([f.partial[kind].f1 for f in with_type], spread=True)
            support = f"{with_type[0].strict.types[kind].support:,}"
            scores.add_row("", kind, *_row([f.strict.types[kind] for f in with_type]), partial, support)
        errors.add_row(
            one.name, *(f"{mean(f.kinds[kind] for f in breakdowns):,.1f}".removesuffix(".0") for kind in KINDS)
        )
        for name in breakdowns[0].parts:
            of_part = [f.parts[name] for f in breakdowns]
            first = one.name if name == next(iter(breakdowns[0].parts)) else ""
            parts.add_row(first, name, *_row(of_part), f"{of_part[0].support:,}")
        for table in (scores, parts):
            table.add_section()
    yield from (scores, errors, parts)


def compared(judged: Sequence[Judged]) -> list[str]:
    """For each pair of columns the difference of F1, its limits and p after Holm, by the test of the runs."""
    pairs = list(combinations(judged, 2))
    counts = {one.name: np.stack([np.asarray(f.strict.counts) for f in one.breakdowns]) for one in judged}
    tests = [compare_runs(counts[one.name], counts[other.name]) for one, other in pairs]
    known = [test.p for test in tests if test.p is not None]
    adjusted = iter(holm(np.array(known))) if known else iter(())
    lines = []
    for (one, other), test in zip(pairs, tests, strict=True):
        difference = f"{one.name} - {other.name}: {test.difference:+.2f} points of F1"
        if test.p is None:
            lines.append(f"{difference}; {test.problem}")
        else:
            p = float(next(adjusted))
            lines.append(f"{difference}, 95 % limits {test.low:+.2f} to {test.high:+.2f}, p = {p:.3g} (Holm)")
    return lines


def errors_text(judged: Sequence[Judged], sentences: Sequence[Sentence]) -> str:
    """The sentences with errors, to be read: the text, gold entities, and what each model said instead."""
    out = StringIO()
    for number, sentence in enumerate(sentences):
        wrong = [
            (f"{one.name} seed {model.seed}", tags[number], breakdown.wrong[number])
            for one in judged
            for model, tags, breakdown in zip(one.models, one.tags, one.breakdowns, strict=True)
            if breakdown.wrong[number]
        ]
        if wrong:
            out.write(
                f"sentence {number + 1}: {' '.join(sentence.tokens)}\n  gold: {_listed(sentence, sentence.tags)}\n"
            )
            for name, tags, kinds in wrong:
                what = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
                out.write(f"  {name} ({what}): {_listed(sentence, tags)}\n")
            out.write("\n")
    return out.getvalue()


def _listed(sentence: Sentence, tags: Sequence[str]) -> str:
    spans = sorted(entities(tags), key=lambda span: span[1:])
    return "; ".join(f"{kind}: {' '.join(sentence.tokens[a:b])}" for kind, a, b in spans) or "none"


def _plain(column: Judged) -> Mapping[str, Any]:
    """A column's figures in plain JSON types, a list of its models."""
    return {
        "name": column.name,
        "models": [
            {
                "path": str(model.path),
                "seed": model.seed,
                "strict": breakdown.strict.to_json(),
                "partial": {kind or "all": score._asdict() for kind, score in breakdown.partial.items()},
                "kinds": dict(breakdown.kinds),
                "parts": {name: part._asdict() for name, part in breakdown.parts.items()},
            }
            for model, breakdown in zip(column.models, column.breakdowns, strict=True)
        ],
    }
