"""Packing loses nothing, cuts nothing, and says of every token where it is from."""

import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.data.dataset import make_batches, read_tokens, real_share
from kd_jax.data.packing import NO_TOKEN, Shape, lay_out, pack, stack
from kd_jax.data.pipeline import Length, input_pipeline
from kd_jax.data.vocab import UNKNOWN, build_vocabulary, normalise
from kd_jax.settings import TrainConfig


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(20, 40), st.integers(1, 4), st.randoms())
def test_every_token_stands_once_and_sentences_stay_whole(lengths, row_length, rows, random):
    order = list(range(len(lengths)))
    random.shuffle(order)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    token, starts = lay_out(pack(lengths, row_length, order), offsets, (rows, row_length))
    real = token != NO_TOKEN
    assert sorted(token[real]) == list(range(sum(lengths)))
    assert starts[~real].all()
    np.testing.assert_array_equal(np.sort(token[real & starts]), offsets[:-1])
    flat, begins = token.reshape(-1, row_length), starts.reshape(-1, row_length)
    inside = (flat[:, 1:] != NO_TOKEN) & ~begins[:, 1:]
    assert (flat[:, 1:][inside] == flat[:, :-1][inside] + 1).all()


@pytest.fixture
def tokens():
    corpora = [tiny_corpus("A"), tiny_corpus("B", kinds=("Drug", "Gene"))]
    settings = tiny_settings()
    seen = [s for corpus in corpora for s in corpus.splits["train"]]
    return read_tokens(corpora, build_vocabulary(seen, settings.model.words), settings), corpora


def test_flat_arrays_are_the_corpora(tokens):
    flat, corpora = tokens
    for task, corpus in enumerate(corpora):
        for split, sentences in corpus.splits.items():
            labels = flat.per_sentence(flat.label, flat.sentences(corpus.name, (split,)))
            assert [[corpus.labels[k] for k in sentence] for sentence in labels] == [list(s.tags) for s in sentences]
            assert flat.labels[task] == corpus.labels
    assert flat.valid.tolist() == [[True] * 3 + [False] * 2, [True] * 5]


def test_batches_name_the_forms_and_words_of_their_tokens(tokens):
    flat, _ = tokens
    sentences = flat.sentences("B", ("train", "test"))
    found = make_batches(flat, sentences, 1, TrainConfig(rows=2, row_length=8), np.random.default_rng(0))
    assert len({host_batch.token.shape for host_batch in found}) == 2
    seen = []
    for host_batch in found:
        shape = Shape(1, *host_batch.token.shape, 64, 64)
        batch = stack([host_batch], [0.5], shape, flat.word_rows)
        real = batch.token[0] != NO_TOKEN
        where = batch.token[0][real]
        seen += where.tolist()
        form = batch.form[0][batch.form_index[0][real]]
        np.testing.assert_array_equal(form, flat.form[where])
        word = batch.word[0][batch.form_to_word[0][batch.form_index[0][real]]]
        np.testing.assert_array_equal(word, flat.forms.word[flat.form[where]])
        assert batch.word[0, 0] == UNKNOWN
        distinct = batch.word[0][batch.word[0] < flat.word_rows]
        assert len(set(distinct.tolist())) == len(distinct)
    offsets = flat.offsets
    assert sorted(seen) == [i for s in sentences for i in range(offsets[s], offsets[s + 1])]
    assert 0 < real_share(found) <= 1


def test_feed_is_a_function_of_the_seed_and_resumes(tokens):
    flat, _ = tokens
    sentences = [flat.sentences("A", ("train",)), flat.sentences("B", ("train",))]
    train = TrainConfig(rows=2, row_length=16, schedule="linear")
    whole = list(input_pipeline(flat, sentences, train, [3, 4], Length(3)))
    alone = list(input_pipeline(flat, sentences, train, [4], Length(3)))
    later = list(input_pipeline(flat, sentences, train, [3, 4], Length(3), first=1))
    assert len(later) == 2
    for again, epoch in zip(later, whole[1:], strict=True):
        for a, b in zip(again, epoch, strict=True):
            np.testing.assert_array_equal(a.token[a.learning_rate > 0], b.token[b.learning_rate > 0])
            np.testing.assert_array_equal(a.learning_rate, b.learning_rate)
    for epoch, solo in zip(whole, alone, strict=True):
        both = np.concatenate([c.token[1][c.learning_rate[1] > 0] for c in epoch])
        np.testing.assert_array_equal(both, np.concatenate([c.token[0][c.learning_rate[0] > 0] for c in solo]))
    first, second = (np.concatenate([c.token[0][c.learning_rate[0] > 0].ravel() for c in epoch]) for epoch in whole[:2])
    assert first.tolist() != second.tolist()
    assert sorted(first[first != NO_TOKEN].tolist()) == sorted(second[second != NO_TOKEN].tolist())
    assert whole[0][0].learning_rate[0, 0] == np.float32(train.learning_rate)


def test_vocabulary(tokens):
    words = tiny_settings().model.words
    corpus = tiny_corpus("A")
    vocabulary = build_vocabulary(corpus.splits["train"], words)
    seen = [normalise(t, words) for s in corpus.splits["train"] for t in s.tokens]
    assert set(vocabulary.words) == set(seen)
    assert vocabulary.singles == {word for word in seen if seen.count(word) == 1}
    forms = vocabulary.describe(["XGene1", "never-seen", "abcdefghijkl"], words, tiny_settings().model.chars)
    assert forms.word[0] == vocabulary.word_ids["xgene0"]
    assert forms.word[1] == UNKNOWN
    assert (forms.chars[2] != 0).all()
