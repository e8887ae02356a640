"""A transformer's logits beside our tokens: its own pipeline's, in windows where a sentence is long, none lost."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_encoder import tiny_encoder
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.corpora.registry import load
from kd_jax.distill import token_classifier
from kd_jax.distill.token_classifier import open_classifier, windows
from kd_jax.errors import InputError
from kd_jax.experiment import sample_corpora
from kd_jax.structs import Sentence

LABELS = ("O", "B-Gene", "I-Gene")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("hf") / "bert", LABELS)


@pytest.fixture(scope="module")
def classifier(folder):
    return open_classifier(folder)


def sentence(text: str) -> Sentence:
    tokens = tuple(text.split(" "))
    return Sentence(tokens, ("O",) * len(tokens))


def all_logits(classifier, sentences):
    tokens = sum(len(s.tokens) for s in sentences)
    found = np.full((tokens, len(LABELS)), np.nan, np.float32)
    for rows, logits in classifier.logits(sentences):
        assert np.isnan(found[rows]).all()  # every token once
        found[rows] = logits
    return found


def of_the_pipeline(folder, sentences):
    """Label and score of the first piece of each token, as transformers' own pipeline reads the tokens' text."""
    import transformers

    pipe = transformers.pipeline("token-classification", str(folder), aggregation_strategy="none", ignore_labels=[])
    for s in sentences:
        starts = np.cumsum([0, *(len(token) + 1 for token in s.tokens)])[:-1].tolist()
        pieces = {piece["start"]: piece for piece in pipe(" ".join(s.tokens))}
        yield [pieces.get(start) for start in starts]


def agrees_with_the_pipeline(folder, classifier, sentences):
    found = all_logits(classifier, sentences)
    at = compared = 0
    for pieces in of_the_pipeline(folder, sentences):
        for logits, piece in zip(found[at : at + len(pieces)], pieces, strict=True):
            assert (piece is None) == np.isnan(logits).any()
            if piece is not None:
                of_token = np.exp(logits) / np.exp(logits).sum()
                assert classifier.names[int(of_token.argmax())] == piece["entity"]
                assert of_token.max() == pytest.approx(float(piece["score"]), abs=1e-5)
                compared += 1
        at += len(pieces)
    return compared


def test_first_pieces_are_those_of_the_pipeline(folder, classifier):
    texts = ["Genetic tumors - gene", "unknown", "a tumor of 12 genes βγ tic", "gene Gene GENE s"]
    assert agrees_with_the_pipeline(folder, classifier, [sentence(text) for text in texts]) == 16


def short(classifier, corpus):
    """Test sentences that the model reads in one window; at longer ones the pipeline fails."""
    pieces = [len(classifier.tokenizer(" ".join(s.tokens))["input_ids"]) for s in corpus.splits["test"]]
    return [s for s, n in zip(corpus.splits["test"], pieces, strict=True) if n <= classifier.longest]


@pytest.mark.slow
def test_whole_test_splits_are_as_the_pipeline_has_them(folder, classifier):
    for corpus in load(sample_corpora()):
        assert agrees_with_the_pipeline(folder, classifier, short(classifier, corpus)) > 500


def test_positions_that_are_counted_from_the_padding_on_are_fewer(tmp_path):
    """RoBERTa's first position is the one after its padding's: 20 positions read 18 pieces, and no more."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tiny_encoder(tmp_path / "m", ["O", "B-Gene", "I-Gene"])
    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8, "hidden_size": 16}
    config = transformers.RobertaConfig(vocab_size=99, max_position_embeddings=20, num_labels=3, **sizes)
    transformers.RobertaForTokenClassification(config).save_pretrained(tmp_path / "m")
    classifier = open_classifier(tmp_path / "m")
    assert classifier.longest == 18
    ((rows, logits),) = classifier.logits([sentence("a b c " * 10)])
    assert sorted(rows) == [*range(30)]
    assert logits.shape == (30, 3)
    with torch.inference_mode(), pytest.raises((IndexError, RuntimeError)):
        classifier.model(input_ids=torch.full((1, 19), 5))


@pytest.mark.slow
def test_a_real_test_split_is_as_the_pipeline_has_it(tmp_path, real_corpora):
    (corpus,) = load(real_corpora, ["NCBI"])
    folder = tiny_encoder(tmp_path / "bert", LABELS, positions=1024)  # its pieces are letters: all sentences fit
    classifier = open_classifier(folder)
    assert len(short(classifier, corpus)) == len(corpus.splits["test"])
    assert agrees_with_the_pipeline(folder, classifier, corpus.splits["test"]) > 20_000


def test_a_token_without_a_piece_has_no_row_and_moves_no_other(classifier):
    clean, holed = sentence("gene tumor"), Sentence(("gene", "\u200b\u200e", "tumor"), ("O",) * 3)
    without = all_logits(classifier, [clean])
    found = all_logits(classifier, [holed, clean])
    assert np.isnan(found).any(1).tolist() == [False, True, False, False, False]
    np.testing.assert_allclose(found[[0, 2]], without, rtol=1e-5, atol=1e-6)


def test_neighbours_and_blocks_change_nothing(classifier, monkeypatch):
    sentences = [sentence("gene " * n + "tumors") for n in (1, 5, 2, 5, 7)]
    together = all_logits(classifier, sentences)
    monkeypatch.setattr(token_classifier, "BLOCK", 2)
    monkeypatch.setattr(token_classifier, "BATCH", 1)
    np.testing.assert_allclose(all_logits(classifier, sentences), together, rtol=1e-5, atol=1e-5)


def test_a_long_sentence_is_read_in_windows_each_token_in_the_middle_of_one(classifier):
    words = [f"g{n % 3}{'ene' if n % 5 else ''}" for n in range(90)]
    found = all_logits(classifier, [Sentence(tuple(words), ("O",) * 90)])
    assert np.isfinite(found).all()
    pieces = [classifier.tokenizer(w, add_special_tokens=False)["input_ids"] for w in words]
    starts = np.cumsum([0, *map(len, pieces)])
    flat = [i for of_word in pieces for i in of_word]
    longest = classifier.longest - 2
    every = windows(len(flat), longest)
    assert len(every) > 3

    def context(window, place):
        before = len(flat) if window.first == 0 else place - window.first
        return min(before, len(flat) if window.last == len(flat) else window.last - 1 - place)

    for n in range(0, 90, 7):
        place = int(starts[n])
        window = max((w for w in every if w.first <= place < w.last), key=lambda w: context(w, place))
        text = [classifier.tokenizer.cls_token_id, *flat[window.first : window.last], classifier.tokenizer.sep_token_id]
        import torch

        with torch.inference_mode():
            expected = classifier.model(input_ids=torch.tensor([text])).logits[0, 1 + place - window.first].numpy()
        np.testing.assert_allclose(found[n], expected, rtol=1e-4, atol=1e-5)
        assert context(window, place) >= longest // 8


@given(st.integers(1, 400), st.integers(4, 64))
def test_windows_cover_every_piece_and_overlap(pieces, longest):
    every = windows(pieces, longest)
    assert every[0].first == 0
    assert every[-1].last == pieces
    assert all(0 < window.last - window.first <= longest for window in every)
    assert all(
        after.first <= before.last - longest // 4 and after.first > before.first for before, after in pairwise(every)
    )


def test_what_does_not_label_tokens_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not label tokens yet; fine-tune it first"):
        open_classifier(tiny_encoder(tmp_path / "encoder"))


def rewrite(path: Path, **changes) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_window_without_room_for_a_piece_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"none: reads 2 pieces at a time, 2 of them special ones"):
        open_classifier(tiny_encoder(tmp_path / "none", LABELS, positions=2))
    folder = tiny_encoder(tmp_path / "some", LABELS)
    rewrite(folder / "tokenizer_config.json", model_max_length=2)
    with pytest.raises(InputError, match=r"reads 2 pieces .* model_max_length in tokenizer_config\.json"):
        open_classifier(folder)
    rewrite(folder / "tokenizer_config.json", model_max_length=3)
    narrow = open_classifier(folder)  # a window of one piece
    assert np.isfinite(all_logits(narrow, [sentence("gene tumor genetic")])).all()


def test_labels_without_a_name_are_refused_and_their_order_is_that_of_the_columns(tmp_path):
    folder = tiny_encoder(tmp_path / "b", LABELS)
    rewrite(folder / "config.json", id2label={"0": "O", "1": "B-Gene", "3": "I-Gene"})
    with pytest.raises(InputError, match=r"config\.json: id2label has no 2; number its 3 labels from 0 on"):
        open_classifier(folder)
    rewrite(folder / "config.json", id2label={"2": "I-Gene", "0": "O", "1": "B-Gene"})
    assert open_classifier(folder).names == LABELS


def test_logits_that_are_not_finite_are_refused(tmp_path):
    broken = open_classifier(tiny_encoder(tmp_path / "b", LABELS))
    broken.model.classifier.bias.data[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        all_logits(broken, [sentence("gene")])
