"""What a timing trains and counts."""

import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.bench.synthetic import synthetic_corpus
from kd_jax.cost.timing import StepTimer, operations_a_token, shortened, timing_job, usual_batch


def test_job_has_the_steps_asked_for_and_the_vocabulary_of_all():
    corpora = [tiny_corpus("One", sizes=(300, 8, 8)), tiny_corpus("Two", sizes=(100, 8, 8))]
    few, many = (timing_job(corpora, tiny_settings(), 2, steps) for steps in (4, 10**6))
    assert few.tokens.word_rows == many.tokens.word_rows
    assert few.alphabet == many.alphabet
    asked = 4 * 2 * 16
    assert asked * 0.7 <= sum(few.tokens.count(s) for s in few.sentences) <= asked
    assert all(len(set(s.tolist())) == len(s) > 0 for s in few.sentences)
    lengths = np.diff(many.tokens.offsets)
    assert [len(s) for s in many.sentences] == [
        (lengths[many.tokens.sentences(c.name, ("train",))] <= 16).sum() for c in corpora
    ]


def test_shortened_leaves_out_what_does_not_fit_a_row():
    job = timing_job([synthetic_corpus(200)], tiny_settings(row_length=32), 1, 100)
    assert (np.diff(job.tokens.offsets)[job.sentences[0]] <= 32).all()
    assert (np.diff(job.tokens.offsets) > 32).any()
    assert len(shortened(job, 1).sentences[0]) < len(job.sentences[0])


def test_timing_trains_on():
    timing = StepTimer(timing_job([tiny_corpus()], tiny_settings(), 1, 4))
    rates, losses = [], []
    for _ in range(8):
        rates.append(timing.epoch())
        losses.append(timing.loss.mean())
    assert min(*rates, timing.tagging()) > 0
    assert losses[-1] < losses[0]
    timing.close()


def test_operations_count_real_tokens_only():
    job = timing_job([synthetic_corpus(400)], tiny_settings(row_length=64), 1, 50)
    batch = usual_batch(job)
    assert batch.places.tokens < 2 * 64
    assert 0.9 < batch.share <= 1
    assert batch.real == pytest.approx(batch.places.tokens, abs=0.5)
    assert operations_a_token(job, batch) > 0


def test_synthetic_corpus_is_like_biomedical_ones():
    """Of NCBI and BC5CDR: 25 and 26 tokens a sentence, sd 13 and 15, 9,300 and 10,000 forms in 136,000 and 118,000."""
    corpus = synthetic_corpus(5000)
    lengths = np.array([len(s.tokens) for s in corpus.splits["train"]])
    assert 23 < lengths.mean() < 28
    assert 11 < lengths.std() < 17
    forms = {token for s in corpus.splits["train"] for token in s.tokens}
    assert 7_000 < len(forms) < 20_000
    assert {tag for s in corpus.splits["train"] for tag in s.tags} == set(corpus.labels)
    for sentence in corpus.splits["train"]:
        for before, tag in zip(("O", *sentence.tags), sentence.tags, strict=False):
            assert tag != "I-Entity" or before != "O"
    assert synthetic_corpus(50) == synthetic_corpus(50) != synthetic_corpus(50, seed=1)
