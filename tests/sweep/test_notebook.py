"""Training from Python: an experiment made on the spot, its results as a table, its models, and a tagger."""

import pickle
import sys

import pytest
from helpers.runs import SIZES

import kd_jax
from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Student
from kd_jax.sweep import notebook
from kd_jax.tagging.spans import Span

MINE = Experiment(name="mine", title="One student", students=(Student("SM mine", alpha=0.5, beta=0.5),))


@pytest.fixture(scope="module")
def results(corpora, tmp_path_factory):
    work = tmp_path_factory.mktemp("notebook") / "w"
    sizes = dict(pair.split("=") for pair in SIZES)
    asked = {"seeds": [3], "data_dir": str(corpora), "workdir": work, "epochs": 1, "settings": sizes, "quiet": True}
    return kd_jax.train(MINE, targets="First", **asked)


def test_an_experiment_made_on_the_spot_gives_a_table_and_models(results, capsys):
    assert capsys.readouterr().out == ""
    assert {(row.label, row.corpus, row.seed) for row in results.rows} == {
        ("STM", "First", 3), ("MTM", "First", 3), ("SM mine", "First", 3)
    }  # fmt: skip
    assert {model.label for model in results.models} == {"STM", "MTM", "SM mine"}
    assert all(model.corpus == "First" for model in results.models)
    assert list(results.table.label) == [row.label for row in results.rows]
    assert all((results.workdir / path / "model.json").is_file() for path in results.table.path)
    lines = repr(results).splitlines()
    assert lines[0].split() == ["corpus", "STM", "MTM", "SM", "mine"]
    assert len(lines) == 3


def test_without_pandas_the_table_is_a_list(results, monkeypatch):
    monkeypatch.setattr(notebook, "find_spec", lambda _: None)
    assert [row["label"] for row in results.table] == [row.label for row in results.rows]


def test_its_tagger_is_short_takes_many_texts_and_can_be_pickled(results):
    tagger = results.load("First")
    texts = ["XGene1 aken ul", "", "XGene2 XGene3"]
    many = tagger(texts)
    assert many == [tagger(text) for text in texts] == tagger(iter(texts))
    assert all(type(span) is Span for found in many for span in found)
    assert len(repr(tagger)) < 100
    assert "First: Gene" in repr(tagger)
    assert "Array" not in repr(tagger.models[0])
    stored = pickle.dumps(tagger)
    assert len(stored) < 1000
    assert pickle.loads(stored)(texts) == many
    assert results.load("First", "SM mine", min_score=0.5).min_score == 0.5


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"experiment": Experiment(name="logits", title="another")}, "is a built-in experiment's"),
        (
            {"experiment": Experiment(name="x", title="", head="soft")},
            "head='soft'; did you mean 'softmax'",
        ),
        ({"experiment": "logit"}, "did you mean 'logits'"),
        ({"seeds": 0}, "--seeds=0"),
        ({"data_dir": "s3://bucket"}, "data_dir=s3://bucket: is an address"),
        ({"settings": {"learning_rat": 1}}, "learning_rat"),
    ],
)
def test_what_can_not_be_trained_is_an_input_error(corpora, tmp_path, asked, says):
    with pytest.raises(InputError, match=says):
        kd_jax.train(**({"data_dir": corpora, "workdir": tmp_path, "quiet": True} | asked))


def test_the_face_needs_no_jax_to_be_imported():
    assert "train" in kd_jax.__all__
    assert "jax" not in sys.modules["kd_jax"].__dict__
