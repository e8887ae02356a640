import jax
import numpy as np
import pytest

from kd_jax.data.vocab import Forms
from kd_jax.tagging import rows
from kd_jax.tagging.rows import BATCH, CONTEXT, LONGEST, MEDIUM, SMALL, label_sentences


def describe(forms):
    """A form is its own number."""
    return Forms(np.array([int(f) for f in forms], np.int32), np.ones((len(forms), 2), np.int32), None)


@pytest.mark.parametrize(
    "lengths",
    [
        [1],
        [32],
        [33],
        [20, 12],
        [128],
        [129],
        [LONGEST],
        [LONGEST + 1, 3],
        [3 * LONGEST + 17],
        [500, 2, 130],
        list(range(1, 130)),
    ],
)
def test_every_token_gets_its_own_label_once(lengths):
    rng = np.random.default_rng(0)
    sentences = [[str(n) for n in rng.integers(0, 10_000, length)] for length in lengths]
    shapes = set()

    def run(given):
        shapes.add((given.form_index.shape, len(given.word)))
        return given.word[given.form_index], given.form_index * 0.5

    found = label_sentences(sentences, describe, run)
    assert [f.labels.tolist() for f in found] == [[int(t) for t in s] for s in sentences]
    known = {SMALL, MEDIUM, BATCH, *((1, 2**k) for k in range(8, 13))}
    assert {shape for shape, _ in shapes} <= known
    assert len(shapes) <= 7


def test_a_sentence_starts_where_it_does_and_padding_is_masked():
    given = []

    def run(batch):
        given.append(batch)
        return batch.word[batch.form_index], batch.form_index

    label_sentences([["1", "2", "3"], ["4"]], describe, run)
    (batch,) = given
    assert batch.mask.sum() == 4
    assert np.flatnonzero(~batch.starts[0]).tolist() == [1, 2]


def test_kept_parts_of_windows_have_context(monkeypatch):
    """What a program reads within the context is as in the whole sentence."""
    monkeypatch.setattr(rows, "LONGEST", 64)
    monkeypatch.setattr(rows, "CONTEXT", 8)
    values = np.random.default_rng(1).integers(0, 50, 400)
    reach = np.convolve(values, np.ones(15), "same")

    def run(batch):
        row = np.where(batch.mask, batch.word[batch.form_index], 0)[0]
        return np.convolve(row, np.ones(15), "same").astype(np.int32)[None], batch.form_index

    monkeypatch.setattr(rows, "BATCH", (1, 64))
    monkeypatch.setattr(rows, "pack", lambda _, __, order: [[i] for i in order])
    (found,) = label_sentences([[str(v) for v in values]], describe, run)
    assert found.labels.tolist() == reach.tolist()


def test_context_is_less_than_half_a_window():
    assert 2 * CONTEXT < LONGEST
    assert jax.numpy.log2(LONGEST) % 1 == 0
