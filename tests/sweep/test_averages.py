"""Averaged columns: what one model says is its own average, and a mean is the mean of what was said."""

import csv
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.made_paths import enumerate_paths, random_transitions
from helpers.runs import ask

from kd_jax.structs import Sentence
from kd_jax.sweep.averages import decoded

EXPERIMENT = """
from kd_jax.experiment import Average, Experiment

EXPERIMENT = Experiment(
    name="averaged", title="", single=("softmax", "crf"), multi=(),
    averages=(Average("STMs", "STM"), Average("STM-CRFs", "STM", "crf"), Average("MTMs")),
)
"""


def scores(workdir):
    with (workdir / "results.csv").open(newline="") as file:
        return {(row["label"], row["corpus"], row["seed"]): row for row in csv.DictReader(file)}


def counts(workdir, label, head):
    (path,) = (workdir / "counts").rglob(f"{label}-{head}-*seed1-test.npy")
    return np.load(path)


@pytest.fixture(scope="module")
def ran(corpora, tmp_path_factory):
    folder = tmp_path_factory.mktemp("averages")
    (folder / "mine.py").write_text(EXPERIMENT)
    one, two = folder / "one", folder / "two"
    wanted = {"experiment": str(folder / "mine.py"), "targets": ["First"], "epochs": 4}
    ask(corpora, two, seeds="2", **wanted)
    shutil.copytree(two, one)
    ask(corpora, one, seeds="1", **wanted)
    return corpora, one, two, wanted


def test_the_average_of_one_model_is_the_model(ran):
    _, one, _, _ = ran
    found = scores(one)
    for average, model, head in (("STMs", "STM", "softmax"), ("STM-CRFs", "STM-CRF", "crf")):
        mine, its = found[average, "First", "1"], found[model, "First", "1"]
        assert [mine[x] for x in ("precision", "recall", "f1")] == [its[x] for x in ("precision", "recall", "f1")]
        np.testing.assert_array_equal(counts(one, average, head), counts(one, model, head))


def test_a_column_of_models_that_are_not_shown_trains_them(ran):
    _, _, two, _ = ran
    assert len(list((two / "teachers").glob("MTM-*"))) == 2
    assert ("MTMs", "First", "1") in scores(two)
    assert not any(label == "MTM" for label, _, _ in scores(two))


def test_an_average_is_scored_once(ran):
    corpora, _, two, wanted = ran
    before = {path: path.stat().st_mtime_ns for path in (two / "averages").rglob("*")}
    text = ask(corpora, two, seeds="2", **wanted)
    assert "nothing to train" in text
    assert {path: path.stat().st_mtime_ns for path in (two / "averages").rglob("*")} == before
    assert scores(two)["STMs", "First", "1"]["tokens"] == "0"


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("constrained", [False, True])
def test_decoding_many_sentences_is_enumerating_the_paths_of_each(crf, constrained, monkeypatch):
    monkeypatch.setattr("kd_jax.sweep.averages.AT_ONCE", 3)
    labels, rng = ("O", "B-X", "I-X"), np.random.default_rng(3)
    sentences = [Sentence(("t",) * n, ("O",) * n) for n in (4, 1, 3, 2, 5, 1, 3)]
    logits = np.float32(rng.normal(size=(sum(len(s.tokens) for s in sentences), 3)))
    chain = random_transitions(2, 3)
    found = decoded(logits, chain if crf else None, sentences, labels, constrained=constrained)
    at = 0
    for sentence, tags in zip(sentences, found, strict=True):
        own, at = logits[at : at + len(sentence.tokens)], at + len(sentence.tokens)
        zeros = jax.tree.map(jnp.zeros_like, chain)
        paths, values = enumerate_paths(own if crf else np.asarray(jax.nn.log_softmax(own)), chain if crf else zeros)
        before = np.pad(paths, ((0, 0), (1, 0)))[:, :-1]
        illegal = ((paths == 2) & (before == 0)).any(1)
        best = paths[np.where(illegal & constrained, -np.inf, values).argmax()]
        assert tags == [labels[k] for k in best]
