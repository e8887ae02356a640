"""Settings from text and to JSON: strict overrides, bounds, and the way back."""

import dataclasses
import json
import typing
from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter
from typing import Any, Literal, TypeVar

from kd_jax.errors import InputError, nearest
from kd_jax.settings.former import answer
from kd_jax.settings.schema import DistillConfig, Settings

T = TypeVar("T")


def _leaves(node: Any, prefix: str = "") -> dict[str, type]:
    hints = typing.get_type_hints(type(node))
    types: dict[str, type] = {}
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        name = f"{prefix}{f.name}"
        types.update(_leaves(value, name + ".") if dataclasses.is_dataclass(value) else {name: hints[f.name]})
    return types


def _parse(name: str, kind: Any, text: str) -> Any:
    if typing.get_origin(kind) is Literal:
        if text in typing.get_args(kind):
            return text
        raise InputError(f"--set {name}={text}: {nearest(text, typing.get_args(kind))}")
    if kind is bool:
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise InputError(f"--set {name}={text}: write true or false")
    if words := [part for part in typing.get_args(kind) if typing.get_origin(part) is Literal]:  # a number, or a word
        if text in typing.get_args(words[0]):
            return text
        kind = next(part for part in typing.get_args(kind) if part not in words)
    try:
        value = kind(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[kind]
        raise InputError(f"--set {name}={text}: write {wanted}") from None
    if kind in {int, float} and not 0 <= value < float("inf"):
        raise InputError(f"--set {name}={text}: write a finite number, 0 or more")
    return value


def _put(node: T, path: list[str], value: Any) -> T:
    head, *rest = path
    return replace(node, **{head: _put(getattr(node, head), rest, value) if rest else value})  # type: ignore[type-var]


def _full_name(key: str, leaves: Iterable[str]) -> str:
    """The one setting that a name, or the end of one, means."""
    candidates = [name for name in leaves if name == key or name.endswith("." + key)]
    if len(candidates) > 1:
        raise InputError(f"--set {key}: say which: {' or '.join(candidates)}")
    if not candidates:
        known = leaves if "." in key else {name.rsplit(".", 1)[-1] for name in leaves}
        raise InputError(f"--set {key}: no such setting; {nearest(key, known)}")
    return candidates[0]


def assigned(assignments: Iterable[str]) -> dict[str, str]:
    """What is assigned to which setting, as text by full name; the last word on each.

    Raises:
        InputError: for an unknown key.

    >>> assigned(["epochs=30", "dropout=0.3", "train.epochs=9"])
    {'train.epochs': '9', 'model.dropout': '0.3'}
    """
    leaves = _leaves(Settings())
    pairs = (assignment.partition("=") for assignment in assignments)
    return {_full_name(key, leaves): text for key, _, text in pairs}


def override(settings: Settings, assignments: Iterable[str]) -> Settings:
    """Settings with some leaves replaced.

    Args:
        settings: the ones to start from.
        assignments: texts such as "train.epochs=30"; the end of a name is enough where it is unique ("epochs=30").

    Returns:
        New settings.

    Raises:
        InputError: for an unknown key or a value of the wrong type, with the nearest names.

    >>> override(Settings(), ["epochs=30", "model.dropout=0.3"]).train.epochs
    30
    """
    leaves = _leaves(settings)
    given: set[str] = set()
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: write it as key=value")
        if message := answer(key, text):
            raise InputError(f"--set {assignment}: {message}")
        name = _full_name(key, leaves)
        given.add(name)
        settings = _put(settings, name.split("."), _parse(name, leaves[name], text))
    if given & _EPOCHS and not given & _UPDATES:  # a user who sets epochs means them
        settings = replace(settings, train=replace(settings.train, updates=0, teacher_updates=0))
    check(settings)
    return settings


_EPOCHS = {"train.epochs", "train.teacher_epochs", "train.tuning_epochs"}
_UPDATES = {"train.updates", "train.teacher_updates"}


_POSITIVE = (
    *("model.words.dim", "model.chars.dim", "model.chars.units", "model.chars.longest"),
    *("model.shared_units", "model.task_units", "model.hidden_units", "saving.keep"),
    *("train.epochs", "train.rows", "train.row_length", "train.learning_rate", "train.clip_norm"),
)


def check(settings: Settings) -> None:
    """Refuse settings that no run could use.

    Raises:
        InputError: naming the setting and its bounds.
    """
    model, words, train = settings.model, settings.model.words, settings.train
    for name in _POSITIVE:
        if (value := attrgetter(name)(settings)) <= 0:
            raise InputError(f"{name}={value}: must be more than 0")
    if not model.dropout < 1:
        raise InputError(f"model.dropout={model.dropout}: must be less than 1")
    if not 0 < train.own_share <= 1:
        raise InputError(f"train.own_share={train.own_share}: is a share of a batch, more than 0 and at most 1")
    if train.label_smoothing >= 1:
        raise InputError(f"train.label_smoothing={train.label_smoothing}: is a share, less than 1")
    if train.unknown_rate > 1:
        raise InputError(f"train.unknown_rate={train.unknown_rate}: is a rate, at most 1")
    if model.chars.width % 2 == 0:
        raise InputError(f"model.chars.width={model.chars.width}: must be odd, so that a filter has a middle")
    if model.chars.encoder == "bilstm" and model.chars.units % 2:
        raise InputError(f"model.chars.units={model.chars.units}: must be even for two directions")
    if model.chars.longest % 2:
        raise InputError(f"model.chars.longest={model.chars.longest}: must be even, for the two halves of a long word")
    epochs = min(epochs_set or train.epochs for epochs_set in (train.epochs, train.teacher_epochs, train.tuning_epochs))
    if words.train_after and (words.update == "frozen" or (not train.updates and words.train_after >= epochs)):
        why = "words.update is frozen" if words.update == "frozen" else f"there are {epochs} epochs"
        raise InputError(f"model.words.train_after={words.train_after}: {why}, so that words would never be trained")
    if words.least_coverage and (words.least_coverage > 1 or not words.vectors):
        why = "a share, at most 1" if words.vectors else "of no vectors; set words.vectors=FILE too"
        raise InputError(f"model.words.least_coverage={words.least_coverage}: {why}")
    _check_match(settings.distill)


def _check_match(how: DistillConfig) -> None:
    if how.equations == "printed" and (how.match not in {"mse", "soft"} or how.divergence != "kl"):
        raise InputError("distill.equations=printed: has only match=mse and match=soft, and no divergence but kl")
    known = {"mse": {"kl"}, "hard": {"kl"}, "structure": {"kl", "reverse-kl"}}
    if how.divergence not in known.get(how.match, {how.divergence}):
        raise InputError(f"distill.divergence={how.divergence}: not of match={how.match}; use match=soft or posteriors")


def to_dict(node: Any) -> dict[str, Any]:
    """A dataclass as plain JSON types; tuples of any kind as lists."""
    return json.loads(
        json.dumps(node, default=lambda part: {f.name: getattr(part, f.name) for f in dataclasses.fields(part)})
    )


def from_dict(kind: type[T], data: Any, prefix: str = "") -> T:
    """The dataclass that `to_dict` wrote.

    A key that is missing came later than the data, and has its default, which is what was done before.

    Args:
        kind: the dataclass.
        data: plain JSON types.
        prefix: of its keys, for messages.

    Raises:
        InputError: for an unknown key or a value of the wrong type, by name.
    """
    if not isinstance(data, dict):
        raise InputError(f"{prefix.rstrip('.') or 'settings'}={json.dumps(data)[:60]}: must be a group of settings")
    hints = typing.get_type_hints(kind)
    if unknown := data.keys() - hints.keys():
        wrong = ", ".join(sorted(repr(key[:40]) for key in unknown))
        raise InputError(f"settings of another version of kd_jax: {kind.__name__} differs in {wrong}")
    return kind(**{name: _from_json(hints[name], value, prefix + name) for name, value in data.items()})


def _from_json(kind: Any, value: Any, name: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value, name + ".")  # type: ignore[arg-type]
    if words := [part for part in typing.get_args(kind) if typing.get_origin(part) is Literal]:
        if value in typing.get_args(words[0]):
            return value
        kind = next(part for part in typing.get_args(kind) if part not in words)
    if typing.get_origin(kind) is Literal:
        fits, wanted = value in typing.get_args(kind), " or ".join(typing.get_args(kind))
    elif kind in {int, float}:
        number = type(value) is int or (kind is float and type(value) is float)
        fits = number and 0 <= value < float("inf")
        wanted = "a whole number" if kind is int else "a finite number, 0 or more"
    else:
        fits, wanted = type(value) is kind, {bool: "true or false", str: "a text"}[kind]
    if not fits:
        raise InputError(f"{name}={json.dumps(value)[:60]}: must be {wanted}")
    return value
