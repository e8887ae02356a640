"""What IOB2 forbids, at decoding and in training."""

import jax
import numpy as np
import pytest
from helpers.made_paths import enumerate_paths, log_sum_exp, packed, random_transitions, sentences
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_jax.errors import InputError
from kd_jax.models import crf
from kd_jax.models.constraint import allowed_transitions, constrain
from kd_jax.models.crf import Transitions

LABELS = ("O", "B-Gene", "I-Gene", "B-Disease", "I-Disease")

log_partition = jax.jit(crf.log_partition)
viterbi = jax.jit(crf.viterbi)


@given(st.lists(st.sampled_from(["A", "B", "O", "", "C-d", "I-A"]), unique=True), st.randoms(use_true_random=False))
def test_a_label_may_follow_where_it_begins_something_or_is_of_the_type_before(kinds, random):
    labels = ["O", *(prefix + kind for kind in kinds for prefix in ("B-", "I-"))]
    random.shuffle(labels)
    _, pair_ok = allowed_transitions(labels)
    for before, row in zip(labels, pair_ok, strict=True):
        for label, ok in zip(labels, row, strict=True):
            assert ok == (not label.startswith("I-") or (before != "O" and before[2:] == label[2:]))


def test_allowed_transitions_of_iob2():
    start_ok, pair_ok = allowed_transitions(LABELS)
    opened = {label for label, ok in zip(LABELS, start_ok, strict=True) if ok}
    assert opened == {"O", "B-Gene", "B-Disease"}
    for before, row in zip(LABELS, pair_ok, strict=True):
        followers = {label for label, ok in zip(LABELS, row, strict=True) if ok}
        assert followers == opened | ({f"I-{before[2:]}"} if before != "O" else set())


@pytest.mark.parametrize("label", ["E-Gene", "Gene", "", "o"])
def test_labels_of_another_scheme_are_refused(label):
    with pytest.raises(InputError, match="IOB2"):
        allowed_transitions(["O", label])


@settings(max_examples=60)
@given(st.integers(0, 2**31), st.sampled_from([0.1, 10.0, 1e3]))
def test_a_constrained_decode_is_always_legal_and_the_best_legal_one(seed, scale):
    rows = [[4, 1], [2, 3]]
    emissions, _, starts, mask = packed(rows, len(LABELS), seed=seed, scale=scale)
    emissions = np.asarray(jax.nn.log_softmax(emissions))
    path, score = viterbi(emissions, constrain(Transitions.zeros(len(LABELS)), LABELS), starts, mask)
    best = 0.0
    for r, a, b in sentences(rows):
        assert legal([LABELS[y] for y in path[r, a:b]])
        paths, scores = enumerate_paths(emissions[r, a:b], Transitions.zeros(len(LABELS)))
        best += max(s for p, s in zip(paths, scores, strict=True) if legal([LABELS[y] for y in p]))
    np.testing.assert_allclose(score, best, rtol=1e-5, atol=1e-5)


def legal(tags):
    return all(
        not tag.startswith("I-") or before in (f"B-{tag[2:]}", f"I-{tag[2:]}")
        for before, tag in zip(["O", *tags], tags, strict=False)
    )


def test_an_unconstrained_decode_can_be_illegal():
    emissions, _, starts, mask = packed([[5]], len(LABELS), seed=0, scale=10.0)
    path, _ = viterbi(emissions, Transitions.zeros(len(LABELS)), starts, mask)
    assert not legal([LABELS[y] for y in path[0]])


def test_constrained_training_puts_no_mass_on_illegal_paths():
    rows = [[3, 1], [4]]
    emissions, _, starts, mask = packed(rows, len(LABELS), seed=1, scale=3.0)
    free = random_transitions(2, len(LABELS))
    start_ok, pair_ok = allowed_transitions(LABELS)

    def constrained(transitions):
        return log_partition(emissions, constrain(transitions, LABELS), starts, mask)

    value, gradient = jax.value_and_grad(constrained)(free)
    expected = 0.0
    for r, a, b in sentences(rows):
        paths, scores = enumerate_paths(emissions[r, a:b], free)
        expected += log_sum_exp(
            np.array([s for p, s in zip(paths, scores, strict=True) if legal([LABELS[y] for y in p])])
        )
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert not np.any(gradient.start[~start_ok])
    assert not np.any(gradient.pairs[~pair_ok])
    assert np.all(gradient.pairs[pair_ok] > 0)
