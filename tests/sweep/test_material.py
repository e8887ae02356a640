"""Corpora at the edges are refused in a line, before anything is trained."""

import pytest

from kd_jax.corpora.conll import write_split
from kd_jax.errors import InputError
from kd_jax.structs import Sentence
from kd_jax.sweep import material
from kd_jax.sweep.request import Request, prepare

WORDS = ("is", "found", "in", "all", "of", "the", "cells", "that", "were", "studied", "here")
TAGGED = Sentence(("BRCA1", *WORDS), ("B-Gene",) + ("O",) * len(WORDS))
PLAIN = Sentence(("nothing", *WORDS), ("O",) * (1 + len(WORDS)))
LONG = Sentence(tuple(f"w{i}" for i in range(999)), ("B-Gene",) + ("O",) * 998)


def plan(folder, train, test, **asked):
    (folder / "C").mkdir()
    for split, sentences in (("train", train), ("test", test)):
        write_split(folder / "C" / f"{split}.tsv", sentences)
    request = Request("baselines", "1", data_dir=folder, workdir=folder / "w", epochs=1, **asked)
    return prepare(request)


@pytest.mark.parametrize(
    ("train", "test", "asked", "says"),
    [
        ([PLAIN], [TAGGED], {}, "C: what it is trained on has no entity"),
        ([TAGGED], [PLAIN], {}, "C: its test split has no entity"),
        ([TAGGED, PLAIN], [TAGGED, PLAIN], {"protocol": "train+devel+clean"}, "leaves no sentence to train on"),
        ([TAGGED, PLAIN], [TAGGED], {"protocol": "train+devel+clean"}, "what it is trained on has no entity"),
    ],
)
def test_what_can_not_be_learned_or_scored_is_a_line(tmp_path, train, test, asked, says):
    with pytest.raises(InputError, match=says):
        plan(tmp_path, train, test, **asked)


@pytest.mark.parametrize("train", [[TAGGED], [LONG]])
def test_one_sentence_and_only_long_ones_are_planned(tmp_path, train):
    plans, _ = plan(tmp_path, train, [TAGGED])
    assert len(plans) == 1


def test_memory_for_thousands_of_types_is_foretold(tmp_path, monkeypatch):
    many = [Sentence((f"g{i}",), (f"B-T{i}",)) for i in range(300)]
    monkeypatch.setattr(material, "available_memory", lambda: 10**7)
    with pytest.raises(
        InputError, match=r"C: 601 labels in \d+ rows, which decoding takes about 0 GB for, and 0 GB are free"
    ):
        plan(tmp_path, many, many)
