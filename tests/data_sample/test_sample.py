"""The bundled sample is what its generator writes, and holds what makes it worth running on."""

import runpy

import pytest

from kd_jax.corpora.conll import read_corpus
from kd_jax.evaluation.scores import entities
from kd_jax.experiment import sample_corpora


@pytest.fixture(scope="module")
def corpora():
    folders = sorted(path for path in sample_corpora().iterdir() if path.is_dir())
    return {folder.name: read_corpus(folder, folder.name) for folder in folders}


def names(corpus, splits):
    found = set()
    for split in splits:
        for sentence in corpus.splits[split]:
            found |= {(kind, sentence.tokens[first:last]) for kind, first, last in entities(sentence.tags)}
    return found


def test_the_generator_writes_these_bytes(tmp_path):
    folder = sample_corpora()
    make_sample = runpy.run_path(str(folder.parent / "make_sample.py"))["make_sample"]
    make_sample(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.tsv")}
    assert written == {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.tsv")}


def test_four_corpora_of_several_hundred_sentences_that_share_types(corpora):
    assert len(corpora) == 4
    for corpus in corpora.values():
        assert len(corpus.splits["train"]) >= 300
        assert any(set(corpus.entity_types) & set(other.entity_types) for other in corpora.values() if other != corpus)
    smallest = min(corpora.values(), key=lambda c: len(c.splits["train"]))
    others = {kind for c in corpora.values() if c != smallest for kind in c.entity_types}
    assert set(smallest.entity_types) <= others


def test_names_are_many_and_some_are_met_in_test_only(corpora):
    for corpus in corpora.values():
        train, test = names(corpus, ("train", "devel")), names(corpus, ("test",))
        assert len(train) >= 150
        assert 0.2 < len(test - train) / len(test) < 0.9


def test_some_words_are_entities_here_and_none_there(corpora):
    for corpus in corpora.values():
        tags = {}
        for sentence in corpus.splits["train"]:
            for token, tag in zip(*sentence, strict=True):
                tags.setdefault(token, set()).add(tag)
        assert sum("O" in seen and len(seen) > 1 for seen in tags.values()) >= 10
