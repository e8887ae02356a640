"""A tagger gives what the runner gives, for any text, in any company."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_model import made, made_of
from hypothesis import given, settings
from hypothesis import strategies as st

import kd_jax
from kd_jax.errors import InputError
from kd_jax.export.delivery import ship
from kd_jax.tagging.tagger import Record
from kd_jax.training.loop import label_tokens


@pytest.fixture(scope="module")
def tagger(folder):
    return kd_jax.load(folder)


@pytest.mark.parametrize(
    ("head", "constrained"), [("softmax", False), ("softmax", True), ("crf", False), ("crf", True)]
)
def test_the_runners_labels(tmp_path, head, constrained):
    corpus, job, params = made(tmp_path / "model", head=head, constrained=constrained)
    (model,) = kd_jax.load(tmp_path / "model").models
    test = job.tokens.sentences("Tiny", ("test",))
    expected = job.tokens.per_sentence(label_tokens(job, params, 0, test)[0], test)
    found = model.label([s.tokens for s in corpus.splits["test"]], raw=False)
    assert [f.labels.tolist() for f in found] == [e.tolist() for e in expected]
    assert len({k for f in found for k in f.labels.tolist()}) > 1
    probabilities = np.concatenate([f.probabilities for f in found])
    assert ((probabilities > 0) & (probabilities <= 1 + 1e-6)).all()
    if head == "softmax" and not constrained:
        assert (probabilities >= 1 / 3).all()
    if constrained:
        text = " ".join("OBI"[k] for f in found for k in [0, *f.labels.tolist()])
        assert "O I" not in text


def test_the_constraint_can_be_asked_for(folder):
    free, bound = (kd_jax.load(folder, constrained=c).models[0] for c in (False, True))
    sentences = [["Xgene"] * n for n in range(1, 20)]
    tags = ["".join("OBI"[k] for k in f.labels) for model in (free, bound) for f in model.label(sentences, raw=False)]
    assert any(re.search("(^|O)I", t) for t in tags[:19])
    assert not any(re.search("(^|O)I", t) for t in tags[19:])


def test_company_changes_nothing(tagger):
    texts = [f"aken XGene{i} " * (i % 40) + "ul." for i in range(300)]
    together = [tagger.entities(t) for t in tagger.stream(map(tagger.read, texts))]
    alone = [tagger(text) for text in texts[::37]]
    assert [[s[:4] for s in spans] for spans in together[::37]] == [[s[:4] for s in spans] for spans in alone]


ANY_TEXT = st.text(
    alphabet=st.one_of(st.characters(), st.sampled_from(list("aeX. \n\t\r\0\u202eשג😀\u0301\u200d"))), max_size=60
)


@settings(max_examples=60)
@given(ANY_TEXT)
def test_offsets_are_into_the_text(text):
    for span in _shared(text):
        assert span.text == text[span.start : span.end] != ""
        assert 0 <= span.score <= 1


def _shared(text):
    return _TAGGER[0](text)


_TAGGER = []


@pytest.fixture(autouse=True, scope="module")
def _set(folder):
    _TAGGER[:] = [kd_jax.load(folder)]


HOSTILE = {
    "nothing": "",
    "no blank": "ACGT" * 10_000,
    "one sentence of hyphens": "aken-" * 3_000,
    "emoji": "👩\u200d🔬" * 3_000,
    "control characters": "\0\x1b\x7f" * 10_000,
    "right to left": "\u202eשלום XGene עולם. " * 300,
    "blanks": " \n" * 5_000,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_hostile_text(tagger, name, times):
    text = HOSTILE[name] * times
    last = 0
    for span in tagger(text):
        assert last <= span.start < span.end
        assert span.text == text[span.start : span.end]
        last = span.end


def test_a_stream_is_read_as_it_is_written(tagger):
    """Records behind what was tagged are let go, those before it are not read yet."""
    read = 0

    def endless():
        nonlocal read
        while True:
            read += 1
            yield tagger.read("aken XGene1 ul. " * 20)

    stream = tagger.stream(endless())
    for _ in range(600):
        assert isinstance(next(stream).record, Record)
    assert read < 1000


def test_several_models_in_one_pass(tmp_path, folder):
    made(tmp_path / "drugs", name="Other", kinds=("Drug",))
    both = kd_jax.load([folder, tmp_path / "drugs"])
    text = "XGene1 XDrug2 aken XGene3 ul XDrug4."
    one, other = kd_jax.load(folder)(text), kd_jax.load(tmp_path / "drugs")(text)
    assert sorted(both(text)) == sorted([*one, *other])
    assert {s.type for s in both(text)} == {"Gene", "Drug"}


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_tasks_of_one_model_in_one_pass(tmp_path, head):
    corpora, job, params = made_of(tmp_path / "m", {"One": ("Gene",), "Two": ("Drug", "Gene")}, head=head)
    both = kd_jax.load(tmp_path / "m", task=["Two", "One"])
    assert [model.name for model in both.models] == ["Two", "One"]
    assert both.models[0].params["words"] is both.models[1].params["words"]
    for task, (corpus, model) in enumerate(zip(corpora, reversed(both.models), strict=True)):
        test = job.tokens.sentences(corpus.name, ("test",))
        expected = job.tokens.per_sentence(label_tokens(job, params, task, test)[0], test)
        found = model.label([s.tokens for s in corpus.splits["test"]], raw=False)
        assert [f.labels.tolist() for f in found] == [e.tolist() for e in expected]
        assert model.labels == corpus.labels
    text = "XGene1 XDrug2 aken XGene3"
    apart = [kd_jax.load(tmp_path / "m", task=name)(text) for name in ("One", "Two")]
    assert sorted(both(text)) == sorted([*apart[0], *apart[1]])


def test_faults_of_tasks_are_named(tmp_path, folder):
    made_of(tmp_path / "m", {"One": ("Gene",), "Two": ("Drug",)})
    with pytest.raises(InputError, match="a model of One, Two; name those whose entities you want with --task=One,Two"):
        kd_jax.load(tmp_path / "m")
    with pytest.raises(InputError, match="was not trained on 'Tow'; did you mean 'Two'"):
        kd_jax.load(tmp_path / "m", task=["One", "Tow"])
    ship(tmp_path / "m", tmp_path / "s", "float32", None, None, "Two")
    assert {model.name for model in kd_jax.load([tmp_path / "s", tmp_path / "m"], task="Two").models} == {"Two"}
    with pytest.raises(InputError, match="was shipped for Two, not for 'One'"):
        kd_jax.load(tmp_path / "s", task="One")


def test_faults_are_named(tmp_path, folder):
    with pytest.raises(InputError, match="no model here"):
        kd_jax.load(tmp_path)
    with pytest.raises(InputError, match="did you mean 'Tiny'"):
        kd_jax.load(folder, task="tiny")
    with pytest.raises(InputError, match="no model: give"):
        kd_jax.load([])


def test_greek_is_read_as_the_corpora_write_it(tagger):
    (model,) = tagger.models
    word = next(word for word in model.vocabulary.words if len(word) < 6)
    raw, own = (model.describe([word + "\u00e1"], raw=raw) for raw in (True, False))
    assert (raw.chars != 1).all()
    assert (own.chars == 1).any()


def test_a_model_cuts_text_as_its_folder_says_and_an_older_one_as_its_words_show(tmp_path):
    made(tmp_path / "m")
    model = kd_jax.load(tmp_path / "m").models[0]
    assert replace(model, about={"styles": {model.name: "genia"}}).style == "genia"
    assert replace(model, about={"styles": {model.name: "fine", "Other": "genia"}}).style == "fine"
    words = replace(model.vocabulary, words=("IL-2-induced", "p53/BRCA1"))
    assert replace(model, about={}, vocabulary=words).style == "genia"
    assert replace(model, about={"styles": {model.name: "fine"}}, vocabulary=words).style == "fine"
