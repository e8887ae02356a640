"""Models judged on a file of a user's: what is shown adds up to the scorer's figures, and what is wrong is named."""

import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_model import made
from rich.console import Console

import kd_jax
from kd_jax.corpora.conll import write_split
from kd_jax.errors import InputError
from kd_jax.evaluation.scores import score
from kd_jax.evaluation.significance import compare_runs
from kd_jax.export import judging
from kd_jax.export.delivery import ship
from kd_jax.export.found import find_models
from kd_jax.export.judging import JudgeRequest, judge
from kd_jax.export.measures import tagging


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A work folder of two columns of three seeds, and a test file."""
    place = tmp_path_factory.mktemp("judged")
    corpus, _, _ = made(place / "w/students/Tiny/A-1", kinds=("Drug", "Gene"))
    for label, seed in (("A", 2), ("A", 3), ("B", 1), ("B", 2), ("B", 3)):
        shutil.copytree(place / "w/students/Tiny/A-1", place / f"w/students/Tiny/{label}-{seed}")
    for folder in (place / "w/students/Tiny").iterdir():
        label, seed = folder.name.split("-")
        about = json.loads((folder / "model.json").read_text())
        about["about"] |= {"label": label, "seed": int(seed), "scores": {}}
        del about["sha256"]
        (folder / "model.json").write_text(json.dumps(about))
    for split, sentences in corpus.splits.items():
        write_split(place / f"{split}.tsv", sentences)
    return place, corpus


def asked(place, width=100, **given):
    console, said = Console(file=io.StringIO(), width=width), []
    judge(JudgeRequest(**({"model": [place / "w"], "test": place / "test.tsv"} | given)), console, said.append)
    return console.file.getvalue(), said


def test_what_is_shown_and_written_is_the_scorers(place):
    place, corpus = place
    text, said = asked(
        place, corpus="Tiny", train=[place / "train.tsv"], json=place / "f.json", errors=place / "errors.txt"
    )
    assert said == []
    columns = json.loads((place / "f.json").read_text())
    assert [(column["name"], len(column["models"])) for column in columns] == [("A", 3), ("B", 3)]
    (model,) = kd_jax.load(place / "w/students/Tiny/A-1").models
    sentences = corpus.splits["test"]
    tags = tagging(model, sentences).tags
    found = score([list(s.tags) for s in sentences], tags)
    figures = columns[0]["models"][0]
    assert figures["strict"] == found.to_json()
    assert f" {found.f1:.1f} ±0.0 " in text
    for kind, of_type in found.types.items():
        assert f" {kind} " in text
        assert f" {of_type.f1:.1f} ±0.0 " in text
    parts = figures["parts"]
    for pair in (("all words seen", "a word unseen"), ("entity seen", "entity unseen")):
        assert sum(parts[name]["support"] for name in pair) == figures["partial"]["all"]["support"]
    assert "A - B: +0.00 points of F1; neither seeds nor sentences vary" in text
    errors = (place / "errors.txt").read_text()
    wrong = [n for n, (s, t) in enumerate(zip(sentences, tags, strict=True), 1) if list(s.tags) != t]
    assert {int(line.split()[1][:-1]) for line in errors.splitlines() if line.startswith("sentence")} <= set(wrong)
    assert " ".join(sentences[wrong[0] - 1].tokens) in errors
    assert errors.count("  gold: ") * 6 == sum(line.startswith("  ") and "(" in line for line in errors.splitlines())


def test_names_that_a_narrow_terminal_has_no_room_for_are_broken_and_not_cut(place, monkeypatch):
    own, name = judging._columns, "a-name-that-takes-more-than-its-column"
    monkeypatch.setattr(judging, "_columns", lambda models: {f"{name}-{k}": v for k, v in own(models).items()})
    text, _ = asked(place[0], width=70, corpus="Tiny")
    shown = "".join(line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│"))
    assert (shown.count(f"{name}-A"), shown.count(f"{name}-B")) == (3, 3)


def test_columns_are_compared_by_the_test_of_the_runs(place, monkeypatch):
    place, _ = place
    given = []

    def compare(a, b):
        given.append((a.shape, b.shape))
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 2, a.shape[:2])
        return compare_runs(np.stack([noise, a[..., 1] + noise, a[..., 2]], -1), b)

    monkeypatch.setattr("kd_jax.export.judging.compare_runs", compare)
    text, _ = asked(place)
    assert given == [((3, 10, 3), (3, 10, 3))]
    assert "A - B: " in text
    assert "(Holm)" in text


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": []}, "--model=FOLDER and --test=FILE are needed"),
        ({"corpus": "Tin"}, "no model of 'Tin'; did you mean 'Tiny'"),
        ({"label": "C"}, "no model of column 'C'"),
        ({"test": "missing.tsv"}, "missing.tsv"),
    ],
)
def test_what_can_not_be_judged_is_named(place, tmp_path, given, says):
    place, _ = place
    if "test" in given:
        given = {"test": tmp_path / given["test"]}
    with pytest.raises(InputError, match=says):
        asked(place, **given)


def test_students_of_two_experiments_are_no_seeds_of_one_column(place):
    found = [model for model in find_models(place[0] / "w") if model.label == "A"]
    made = [
        replace(model, made=experiment, columns=((experiment, "A"),))
        for model in found
        for experiment in ("logits", "ensemble")
    ]
    columns = judging._columns(made)
    assert {name: [m.seed for m in models] for name, models in columns.items()} == {
        "A": [1, 2, 3], "A (ensemble)": [1, 2, 3],
    }  # fmt: skip


def test_types_that_no_model_finds_are_said_and_missed(place, tmp_path):
    place, _ = place
    (tmp_path / "other.tsv").write_text("XGene1\tB-GENE\naken\tO\n\n")
    text, said = asked(place, label="A", test=tmp_path / "other.tsv")
    assert len(said) == 1
    assert "no model here finds entities of type GENE: all of them are missed" in said[0]
    assert "entities with" in text


def test_one_model_by_its_folder(place):
    place, _ = place
    text, _ = asked(place, model=[place / "w/students/Tiny/B-2"])
    assert " B " in text
    assert " A " not in text
    assert "points of F1" not in text


def test_a_shipped_model_is_judged_as_the_one_that_it_was_made_of(place):
    place, _ = place
    ship(place / "w/students/Tiny/B-2", place / "genes", "float32", None, None)
    text, said = asked(place, model=[place / "w/students/Tiny/B-2", place / "genes"], json=place / "f.json")
    assert said == []
    trained, shipped = json.loads((place / "f.json").read_text())
    assert (trained["name"], shipped["name"]) == ("B", "B shipped")
    assert shipped["models"][0]["strict"] == trained["models"][0]["strict"]
    assert "B - B shipped: +0.00 points of F1" in text
