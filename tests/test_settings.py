"""Overrides change what they name and nothing else; what they can't be is said in one line."""

import dataclasses
import inspect
from contextlib import suppress

import pytest
from helpers.made_json import harmed
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.errors import InputError
from kd_jax.settings import SMALL, Settings, from_dict, override, to_dict


def test_override_changes_only_what_it_names():
    changed = override(Settings(), ["train.learning_rate=0.005", "dropout=0.25", "chars.encoder=bilstm"])
    assert changed.train.learning_rate == 0.005
    assert changed.model.dropout == 0.25
    assert changed.model.chars.encoder == "bilstm"
    back = override(changed, ["learning_rate=0.008", "dropout=0.5", "encoder=cnn"])
    assert back == Settings()
    assert type(override(Settings(), ["epochs=3"]).train.epochs) is int
    assert override(Settings(), ["lowercase=false"]).model.words.lowercase is False


def test_epochs_take_the_place_of_updates_unless_both_are_given():
    assert override(Settings(), ["epochs=3"]).train.updates == 0
    assert override(Settings(), ["teacher_epochs=3"]).train.updates == 0
    assert override(Settings(), ["train.epochs=3", "train.updates=7"]).train.updates == 7
    assert override(Settings(), ["dropout=0.1"]).train.updates == Settings().train.updates


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lerning_rate=1", "no such setting; did you mean 'learning_rate' or 'teacher_learning_rate' or"),
        ("train.lerning_rate=1", "no such setting; did you mean 'train.learning_rate' or 'train.teacher_learning"),
        ("train.epoch=1", "did you mean 'train.epochs'"),
        ("epochs", "write it as key=value"),
        ("epochs=2.5", "write a whole number"),
        ("epochs=0", "must be more than 0"),
        ("epochs=-1", "0 or more"),
        ("dropout=much", "write a number"),
        ("dropout=nan", "finite"),
        ("dropout=1", "less than 1"),
        ("dim=3", "say which: model.words.dim or model.chars.dim"),
        ("schedule=lineal", "did you mean 'linear'"),
        ("lowercase=1", "write true or false"),
        ("width=2", "must be odd"),
        ("unknown_rate=2", "at most 1"),
        ("least_coverage=0.5", "words.vectors=FILE"),
        ("distill.logits_error=relative", r"^--set distill\.logits_error=relative: a part of distill\.equations now"),
        ("hidden_error=sum", "a part of distill.equations now: standardised .the default. or printed"),
        ("tau_squared=true", r"standardised multiplies by tau\^2, printed does not"),
        ("divergence=cross-entropy", "trains the same model: use distill.divergence=kl"),
        ("divergence=cross", "kl"),
        ("divergence=reverse-kl", "not of match=mse; use match=soft or posteriors"),
        ("match=marginals", "structure"),
    ],
)
def test_wrong_overrides(assignment, message):
    with pytest.raises(InputError, match=message):
        override(Settings(), [assignment])


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["train_after=2", "words.update=frozen"], "train_after=2: words.update is frozen"),
        (["updates=0", "train_after=2", "teacher_epochs=2"], "train_after=2: there are 2 epochs"),
        (["words.vectors=v", "least_coverage=1.5"], "least_coverage=1.5: a share, at most 1"),
        (["match=structure", "divergence=jensen-shannon"], "divergence=jensen-shannon: not of match=structure"),
        (["equations=printed", "match=posteriors"], "equations=printed: has only match=mse and match=soft"),
        (["match=soft", "divergence=reverse-kl", "equations=printed"], "and no divergence but kl"),
    ],
)
def test_settings_that_do_not_go_together(assignments, message):
    with pytest.raises(InputError, match=message):
        override(Settings(), assignments)


@pytest.mark.parametrize("match", ["mse", "soft", "posteriors", "structure"])
@pytest.mark.parametrize("divergence", ["kl", "reverse-kl", "jensen-shannon"])
@pytest.mark.parametrize("equations", ["standardised", "printed"])
def test_every_way_to_match_is_taken_or_refused(match, divergence, equations):
    assignments = [f"match={match}", f"divergence={divergence}", f"equations={equations}"]
    paper = equations == "printed" and divergence == "kl" and match in {"mse", "soft"}
    beyond = equations == "standardised" and (
        divergence == "kl" or match in {"posteriors", "soft"} or (match, divergence) == ("structure", "reverse-kl")
    )
    if paper or beyond:
        assert override(Settings(), assignments).distill.match == match
    else:
        with pytest.raises(InputError, match=r"^distill\.(equations|divergence)="):
            override(Settings(), assignments)


def test_json_round_trip():
    assert from_dict(Settings, to_dict(SMALL)) == SMALL
    with pytest.raises(InputError, match="another version"):
        from_dict(Settings, to_dict(SMALL) | {"more": 1})


def test_every_setting_has_a_line_in_its_docstring():
    def walk(node):
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            assert f"\n    {field.name}: " in inspect.getdoc(type(node)) or type(node) is Settings, field.name
            if dataclasses.is_dataclass(value):
                walk(value)

    walk(Settings())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"model": 3}, "^model=3: must be a group of settings"),
        ({"model": {"words": []}}, r"^model\.words=\[\]: must be a group"),
        ({"train": {"epochs": "3"}}, r'^train\.epochs="3": must be a whole number'),
        ({"train": {"epochs": True}}, r"^train\.epochs=true: must be a whole number"),
        ({"train": {"rows": 2.5}}, r"^train\.rows=2\.5: must be a whole number"),
        ({"train": {"learning_rate": float("nan")}}, r"^train\.learning_rate=NaN: must be a finite number"),
        ({"train": {"schedule": "lineal"}}, r"schedule=\"lineal\": must be constant or linear or cosine"),
        ({"model": {"words": {"lowercase": 1}}}, r"lowercase=1: must be true or false"),
        ({"model": {"words": {"vectors": None}}}, r"vectors=null: must be a text"),
        ({"x" * 9000: 1}, "Settings differs in 'x{40}'$"),
        ([], r"^settings=\[\]: must be a group"),
    ],
)
def test_a_stored_value_of_the_wrong_type_is_named(data, message):
    with pytest.raises(InputError, match=message):
        from_dict(Settings, data)


@given(harmed(to_dict(SMALL)))
def test_any_stored_value_is_settings_or_an_input_error(data):
    with suppress(InputError):
        found = from_dict(Settings, data)
        assert from_dict(Settings, to_dict(found)) == found


NAMES = st.sampled_from(["epochs", "train.rows", "dropout", "schedule", "lowercase", "vectors", "width", "dim"])


@given(NAMES | st.text(max_size=8), st.integers().map(str) | st.floats().map(str) | st.text(max_size=8))
def test_any_assignment_is_settings_or_an_input_error(name, text):
    for assignment in (f"{name}={text}", name + text):
        with suppress(InputError):
            found = override(SMALL, [assignment])
            assert from_dict(Settings, to_dict(found)) == found
