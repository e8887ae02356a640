"""Every registered corpus at hand: what the program scores is what the files hold."""

import pytest

from kd_jax.corpora.conll import read_corpus
from kd_jax.corpora.registry import find, registry
from kd_jax.data.dataset import gold_tags, read_tokens
from kd_jax.data.vocab import build_vocabulary
from kd_jax.evaluation.scores import score
from kd_jax.settings import Settings


@pytest.mark.parametrize("name", [name for name in registry() if name != "BC4CHEMD"])
def test_gold_entities_scored_are_those_of_the_file(real_corpora, name):
    folder = find(real_corpora, [name])[name]
    corpus = read_corpus(folder, name)
    settings = Settings()
    tokens = read_tokens([corpus], build_vocabulary(corpus.splits["train"], settings.model.words), settings)
    test = tokens.sentences(name, ("test",))
    through = [[corpus.labels[k] for k in labels] for labels in tokens.per_sentence(tokens.label, test)]
    found = score(gold_tags(corpus.splits["test"]), through)
    lines = (folder / "test.tsv").read_text(encoding="utf-8").splitlines()
    entities = sum(line.rsplit("\t", 1)[-1].startswith("B-") for line in lines if line.strip())
    assert found.counts[:, 2].sum() == entities == registry()[name].splits["test"].entities
    assert found.f1 == 100.0
    assert tokens.count(test) == sum(bool(line.strip()) and not line.startswith("-DOCSTART-") for line in lines)
