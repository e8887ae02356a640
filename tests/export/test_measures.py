import numpy as np
import pytest

from kd_jax.export.measures import Tagging, agreement, calibration_error, entity_calibration, illegal_share
from kd_jax.structs import Sentence


def test_calibration_error_by_hand():
    assert calibration_error([0.95, 0.95, 0.55, 0.55], [True, True, True, False]) == pytest.approx(0.05)
    assert calibration_error([1.0, 1.0], [False, False]) == 1.0
    assert calibration_error([], []) == 0.0


def test_calibration_error_of_what_is_calibrated_vanishes():
    rng = np.random.default_rng(0)
    said = rng.random(100_000)
    assert calibration_error(said, rng.random(100_000) < said) < 0.01


def test_an_entity_is_right_with_ends_and_type_and_as_sure_as_its_least_sure_token():
    gold = [Sentence(("a", "b", "c"), ("B-X", "I-X", "O")), Sentence(("d",), ("B-X",))]
    found = Tagging([["B-X", "I-X", "O"], ["B-Y"]], [np.array([0.9, 0.75, 1.0]), np.array([0.75])])
    assert entity_calibration(gold, found) == pytest.approx(0.25)


def test_illegal_sentences():
    assert illegal_share([["O", "I-X"], ["B-X", "I-X"], ["I-X"], ["B-X", "I-Y"]]) == 0.75


def test_agreement_is_of_entities_and_the_same_either_way():
    one, other = [["B-X", "I-X", "O", "B-X"], ["O"]], [["B-X", "I-X", "O", "O"], ["B-X"]]
    assert agreement(one, other) == agreement(other, one) == 50.0
    assert agreement(one, one) == 100.0


def test_a_model_that_finds_nothing_has_neither_calibration_nor_agreement_with_its_like():
    nothing, something = [["O", "O"]], [["B-X", "O"]]
    assert agreement(nothing, nothing) is None
    assert agreement(something, nothing) == 0.0
    assert entity_calibration([Sentence(("a", "b"), ("B-X", "O"))], Tagging(nothing, [np.ones(2)])) is None
