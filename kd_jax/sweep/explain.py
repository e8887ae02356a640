"""What can be asked for: the experiments and the settings, a line each; needs no JAX."""

import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from kd_jax import experiment


def catalogue() -> list[str]:
    """The experiments that come along, a line each: name, table of the paper, title."""
    experiments = [experiment.load_experiment(name) for name in experiment.experiments()]
    table = {e.name: f"table {e.table}" if e.table else "" for e in experiments}
    width = max(map(len, table))
    return [f"{e.name:<{width}}  {table[e.name]:<7}  {e.title}" for e in experiments]


def explain(settings: Any, presets: Mapping[str, Any]) -> Iterator[str]:
    """What `--set=help` prints: every setting with its type, default and sentence.

    Args:
        settings: nested dataclasses whose docstrings have a line for each field under "Attributes:".
        presets: other values of the same, by what they are for; their defaults are named where they differ.
    """
    for name, kind, value, sentence in each_setting(settings):
        others = [
            f"{what}: {other}"
            for what, preset in presets.items()
            for of_preset, _, other, _ in each_setting(preset)
            if of_preset == name and other != value
        ]
        yield f"{name}={kind}  (default: {'; '.join([str(value) if value != '' else 'none', *others])})"
        yield from textwrap.wrap(sentence, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)


def each_setting(node: Any, prefix: str = "") -> Iterator[tuple[str, str, Any, str]]:
    """Name, type, default and sentence of each setting of nested dataclasses; no sentence under python -OO."""
    hints, sentences = typing.get_type_hints(type(node)), attributes(type(node))
    for field in dataclasses.fields(node):
        value = getattr(node, field.name)
        if dataclasses.is_dataclass(value):
            yield from each_setting(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", _kind(hints[field.name]), value, sentences.get(field.name, "")


def _kind(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "|".join(typing.get_args(hint))
    if several := typing.get_args(hint):  # a number, or a word
        return "|".join(map(_kind, several))
    return {int: "WHOLE NUMBER", float: "NUMBER", bool: "true|false", str: "TEXT"}[hint]


def attributes(kind: type) -> dict[str, str]:
    """The sentence of each attribute in a class's docstring, however far it is indented."""
    _, _, listed = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")
    lines_of: dict[str, list[str]] = {}
    for line in listed.splitlines():
        if start := re.match(r"    (\w+): (.*)", line):
            lines_of[start[1]] = [start[2]]
        elif lines_of and line.strip():
            lines_of[[*lines_of][-1]].append(line.strip())
    return {name: " ".join(lines) for name, lines in lines_of.items()}
