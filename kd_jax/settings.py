"""Settings of a run as frozen dataclasses, strict overrides from text, and their JSON form."""

import dataclasses
import json
import typing
from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal, TypeVar

from kd_jax.errors import InputError, nearest
from kd_jax.former_settings import answer

Head = Literal["softmax", "crf"]
Compute = Literal["float32", "bfloat16"]
Divergence = Literal["kl", "reverse-kl", "jensen-shannon"]
T = TypeVar("T")


@dataclass(frozen=True)
class WordConfig:
    """How word forms become vectors.

    Attributes:
        dim: size of a word vector, D.
        vectors: path of pretrained vectors, or "" for random ones.
        update: "trained" (rows of the words in a batch are updated) or "frozen".
        train_after: epochs that the vectors stay as they are before they are trained; 0 trains them from the start.
        least_coverage: share of the corpora's different words, 0 to 1, that pretrained vectors must cover; no part of
            what a model is.
        lowercase: look words up in lower case; characters keep the original form.
        zero_digits: look words up with every digit read as 0.
    """

    dim: int = 200
    vectors: str = ""
    update: Literal["trained", "frozen"] = "trained"
    train_after: int = 0
    least_coverage: float = 0.0
    lowercase: bool = True
    zero_digits: bool = True


@dataclass(frozen=True)
class CharConfig:
    """How a word's characters become a vector.

    Attributes:
        encoder: "cnn" (filters with max pooling) or "bilstm" (last states of both directions).
        dim: size of a character vector.
        units: size of a word's character vector: CNN filters, or LSTM units of both directions together.
        width: width of a filter in characters, odd.
        longest: characters read of one word; of a longer one, its first and last halves.
    """

    encoder: Literal["cnn", "bilstm"] = "cnn"
    dim: int = 30
    units: int = 50
    width: int = 3
    longest: int = 24


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the tagger; LSTM units are for one direction.

    Attributes:
        words: the word vectors.
        chars: the character encoder.
        shared_units: units a direction of the shared BiLSTM.
        task_units: units a direction of the task-specific BiLSTM.
        hidden_units: units of the hidden layer before the logits.
        dropout: rate before each BiLSTM and before the hidden layer, in steps of 1/256.
        constrained: whether tag sequences that IOB2 forbids are ruled out in decoding; does not affect the model.
        compute: what factors of matrix products are rounded to. Sums, parameters, states, softmax, CRF and losses are
            float32.
    """

    words: WordConfig = WordConfig()
    chars: CharConfig = CharConfig()
    shared_units: int = 200
    task_units: int = 200
    hidden_units: int = 200
    dropout: float = 0.5
    constrained: bool = True
    compute: Compute = "float32"


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation and batches.

    Attributes:
        updates: steps of the optimiser of every model, so that all columns of a table have the same number; 0 to count
            in epochs.
        teacher_updates: steps of the multi-task teacher; 0 means as many as updates.
        epochs: passes over the training sentences of an STM or a student, where updates is 0.
        teacher_epochs: passes over all corpora of the multi-task teacher; 0 means as many as epochs.
        tuning_epochs: passes of the short runs that choose weights on devel; 0 means as many as epochs.
        rows: rows of one batch, R.
        row_length: tokens of one row, T; longer sentences get rows of their own.
        own_share: share of a batch's rows that hold the student's own sentences where it is shown others too, 0 to 1.
        learning_rate: Adam's step size at its highest.
        schedule: "constant", "linear" (to 0) or "cosine" (to 0) over the whole run.
        label_smoothing: share of a gold label's weight that is spread over all labels, 0 to 1.
        clip_norm: the global norm that gradients are clipped to.
        unknown_rate: rate at which a word seen once in training is read as unknown.
        sampling: how often the teacher visits a corpus of n batches: "proportional" to n, to its "sqrt", or "uniform".
    """

    updates: int = 2000
    teacher_updates: int = 0
    epochs: int = 20
    teacher_epochs: int = 0
    tuning_epochs: int = 0
    rows: int = 7
    row_length: int = 128
    own_share: float = 0.5
    learning_rate: float = 2e-3
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    label_smoothing: float = 0.0
    clip_norm: float = 5.0
    unknown_rate: float = 0.5
    sampling: Literal["proportional", "sqrt", "uniform"] = "proportional"


@dataclass(frozen=True)
class DistillConfig:
    """How knowledge is stored and matched.

    Attributes:
        dtype: in which the teacher's outputs are stored.
        equations: "standardised" measures errors in the teacher's own variance and multiplies soft labels by tau^2;
            "printed" is equations (2) to (5) to the letter. Either way a term is a mean over its own tokens.
        match: beta's term: "mse" of the logits (equation 2), "soft" labels (5), the "hard" label that the teacher
            finds likeliest, a chain's "posteriors" as soft labels, or "structure", the divergence of whole labellings.
        divergence: of all but mse: "kl" (its gradient is that of the cross-entropy with the teacher's labels),
            "reverse-kl" or, not of structure, "jensen-shannon".
        teacher: "first" teaches students of every seed by the teachers of the first seed, "own" by those of their own.
        ensemble: teachers' logits are averaged with "uniform" weights or weights by their F1 on "devel".
        foreign: sentences of other corpora that students with foreign=True are shown beside their own: how many, or
            "all".
    """

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    equations: Literal["standardised", "printed"] = "standardised"
    match: Literal["mse", "soft", "hard", "posteriors", "structure"] = "mse"
    divergence: Divergence = "kl"
    teacher: Literal["first", "own"] = "own"
    ensemble: Literal["uniform", "devel"] = "uniform"
    foreign: int | Literal["all"] = "all"


@dataclass(frozen=True)
class SavingConfig:
    """Checkpoints of lanes in training; no part of what a model is.

    Attributes:
        minutes: between two checkpoints; 0 for one after every chunk of steps.
        every_epochs: after every so many epochs there is one too; 0 for by time alone.
        keep: how many stay.
    """

    minutes: float = 5.0
    every_epochs: int = 0
    keep: int = 2


@dataclass(frozen=True)
class LaneConfig:
    """Lanes of one program; no part of what a model is.

    Attributes:
        at_once: lanes of a lane group that train at the same time; 0 for what memory and measurement say.
    """

    at_once: int = 0


@dataclass(frozen=True)
class Settings:
    """Everything that can be set with --set, as dotted names: --set train.epochs=30."""

    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    distill: DistillConfig = DistillConfig()
    saving: SavingConfig = SavingConfig()
    lanes: LaneConfig = LaneConfig()


SMALL = Settings(
    model=ModelConfig(
        words=WordConfig(dim=50),
        chars=CharConfig(dim=16, units=24, longest=20),
        shared_units=48,
        task_units=48,
        hidden_units=48,
        dropout=0.25,
    ),
    train=TrainConfig(updates=600, epochs=14, tuning_epochs=8, learning_rate=8e-3, rows=6, row_length=32),
)
"""The preset for the bundled sample; Settings() is the one for real corpora."""


def _leaves(node: Any, prefix: str = "") -> dict[str, type]:
    hints = typing.get_type_hints(type(node))
    found: dict[str, type] = {}
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        name = f"{prefix}{f.name}"
        found.update(_leaves(value, name + ".") if dataclasses.is_dataclass(value) else {name: hints[f.name]})
    return found


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


def override(settings: Settings, assignments: Iterable[str]) -> Settings:
    """Settings with some leaves replaced.

    Args:
        settings: the ones to start from.
        assignments: texts such as "train.epochs=30"; the end of a name is enough where it is unique ("epochs=30").

    Returns:
        New settings.

    Raises:
        InputError: for an unknown key or a value of the wrong type, with the nearest names.
    """
    leaves = _leaves(settings)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise InputError(f"--set {assignment}: write it as key=value")
        if told := answer(key, text):
            raise InputError(f"--set {assignment}: {told}")
        candidates = [name for name in leaves if name == key or name.endswith("." + key)]
        if len(candidates) > 1:
            raise InputError(f"--set {key}: say which: {' or '.join(candidates)}")
        if not candidates:
            raise InputError(
                f"--set {key}: no such setting; {nearest(key, {*leaves, *(n.rsplit('.', 1)[-1] for n in leaves)})}"
            )
        name = candidates[0]
        settings = _put(settings, name.split("."), _parse(name, leaves[name], text))
    check(settings)
    return settings


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
    epochs = min(asked or train.epochs for asked in (train.epochs, train.teacher_epochs, train.tuning_epochs))
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
