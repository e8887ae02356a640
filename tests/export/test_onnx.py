"""A network as ONNX gives the tags of the trained one, in any shape of rows."""

import json
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.made_model import made, made_of

import kd_jax
from kd_jax.corpora.conll import write_split
from kd_jax.errors import InputError
from kd_jax.export.delivery import ship
from kd_jax.export.onnx import FORMS, open_onnx
from kd_jax.models.crf import Transitions, viterbi


def converter():
    """Skips where the extra isn't installed."""
    return pytest.importorskip("jax2onnx", reason="needs pip install -e '.[onnx]'")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the converter's own
@pytest.mark.parametrize(
    ("head", "constrained"), [("softmax", False), ("softmax", True), ("crf", False), ("crf", True)]
)
def test_the_same_tags_and_chances(tmp_path, head, constrained):
    converter()
    corpus, _, _ = made(tmp_path / "m", head=head, constrained=constrained)
    write_split(tmp_path / "test.tsv", corpus.splits["test"])
    said = ship(tmp_path / "m", tmp_path / "out", "float32", None, tmp_path / "test.tsv", onnx=True)
    assert "; 0 of" in said
    (model,) = kd_jax.load(tmp_path / "m").models
    other = open_onnx(model, tmp_path / "out")
    long = [[token for s in corpus.splits["train"] for token in s.tokens]]  # a row of another length
    for sentences in ([s.tokens for s in corpus.splits["train"]], long, long * 2, [("XGene1",)]):
        for one, two in zip(*(m.label(sentences, raw=False) for m in (model, other)), strict=True):
            assert one.labels.tolist() == two.labels.tolist()
            if head == "softmax":
                np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_the_folder_says_is_enough_to_tag(tmp_path):
    """By onnxruntime and what model.json and vocabulary.json say, with nothing of the model itself."""
    converter()
    import onnxruntime

    corpora, _, _ = made_of(tmp_path / "m", {"One": ("Gene",), "Two": ("Drug",)}, head="crf")
    ship(tmp_path / "m", tmp_path / "out", "float32", True, None, "Two", onnx=True)
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    words = json.loads((tmp_path / "out" / "vocabulary.json").read_text())
    card = (tmp_path / "out" / "README.md").read_text()
    assert "model.onnx" in card
    assert "kd_jax.load" not in card  # which does not read the folder
    tokens = corpora[1].splits["test"][0].tokens
    word_ids = {word: i for i, word in enumerate(words["words"], 1)}
    char_ids = {char: i for i, char in enumerate(words["chars"], 2)}
    word, chars = np.zeros(FORMS, np.int32), np.zeros((FORMS, about["chars"]["longest"]), np.int32)
    for row, token in enumerate(tokens):
        word[row] = word_ids.get("".join("0" if char.isdigit() else char for char in token.lower()), 0)
        chars[row, : len(token)] = [char_ids.get(char, 1) for char in token]
    n = len(tokens)
    feed = {
        "word": word,
        "chars": chars,
        "form_index": np.arange(n, dtype=np.int32)[None],
        "starts": np.arange(n)[None] == 0,
        "mask": np.ones((1, n), bool),
    }
    (scores,) = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx").run(["scores"], feed)
    added = Transitions(**{name: jnp.float32(values) for name, values in about["transitions"].items()})
    labels = viterbi(scores, added, feed["starts"], feed["mask"])[0][0]
    (model,) = kd_jax.load(tmp_path / "m", task="Two", constrained=True).models
    assert about["labels"] == list(model.labels)
    assert np.asarray(labels).tolist() == model.label([tokens], raw=False)[0].labels.tolist()


def test_faults_are_named(tmp_path, folder, monkeypatch):
    with pytest.raises(InputError, match="--onnx writes float32"):
        ship(folder, tmp_path / "out", "int8", None, None, onnx=True)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="already exists"):
        ship(folder, tmp_path / "there", "float32", None, None, onnx=True)
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[onnx\]'"):
        ship(folder, tmp_path / "out", "float32", None, None, onnx=True)
    assert not (tmp_path / "out").exists()
