"""Another model's labels as a corpus's: any order, any scheme, and probabilities that add up."""

import numpy as np
import pytest

from kd_jax.distill.label_names import map_labels
from kd_jax.errors import InputError

LABELS = ("O", "B-Drug", "I-Drug", "B-Gene", "I-Gene")
RNG = np.random.default_rng(0)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_any_order_is_found_and_one_to_one_is_left_as_it_is():
    names = ["I-Gene", "O", "B-Drug", "B-gene", "I-DRUG"]
    logits = RNG.normal(size=(4, 5)).astype(np.float32)
    np.testing.assert_array_equal(map_labels(names, LABELS, "x")(logits), logits[:, [1, 2, 4, 3, 0]])


def test_case_changes_nothing():
    names = ["i-Gene", "o", "B-drug", "b-gene", "I-DRUG"]
    assert map_labels(names, LABELS, "x") == map_labels(["I-Gene", "O", "B-Drug", "B-Gene", "I-Drug"], LABELS, "x")
    assert map_labels(["i", "b", "o"], ("O", "B-Gene", "I-Gene"), "x").columns == ((2,), (1,), (0,))


@pytest.mark.parametrize("scheme", ["BILOU", "IOBES"])
def test_what_means_one_label_adds_up_in_probability(scheme):
    unit, last = scheme[4], "L" if scheme == "BILOU" else "E"
    names = ["O", *(f"{p}-{kind}" for kind in ("Gene", "Drug", "Cell") for p in ("B", "I", last, unit))]
    logits = 3 * RNG.normal(size=(6, len(names)))
    mapped = map_labels(names, LABELS, "x")
    theirs = softmax(logits)
    of = {name: theirs[:, k] for k, name in enumerate(names)}
    expected = [of["O"] + sum(of[name] for name in names if name.endswith("Cell"))]
    for kind in ("Drug", "Gene"):
        expected += [of[f"B-{kind}"] + of[f"{unit}-{kind}"], of[f"I-{kind}"] + of[f"{last}-{kind}"]]
    np.testing.assert_allclose(softmax(mapped(logits)), np.stack(expected, 1), rtol=1e-9)
    assert set(mapped.others) == {name for name in names if name.endswith("Cell")}


def test_bare_labels_are_of_the_only_type():
    labels = ("O", "B-Gene", "I-Gene")
    assert map_labels(["I", "B", "O"], labels, "x").columns == ((2,), (1,), (0,))
    with pytest.raises(InputError, match="'I' is no O, B-TYPE"):
        map_labels(["I", "B", "O"], LABELS, "x")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["O", "B-Gene", "I-Gene", "B-Drug"], "has no label I-Drug"),
        (["B-Gene", "I-Gene", "B-Drug", "I-Drug"], "has no label O"),
        (["LABEL_0", "LABEL_1"], "'LABEL_0' is no O"),
        (["O", "B-"], "'B-' is no O"),
        (["O", "X-Gene"], "'X-Gene' is no O"),
        (["O", "B-Gene", "O", "I-Gene", "B-Drug", "I-Drug"], "label 'O' stands there twice"),
        (["O", "B-Gene", "b-GENE", "I-Gene", "B-Drug", "I-Drug"], "label 'B-Gene' stands there twice"),
        (["O", "B-Gene", "I-Gene", "B-Drug", "I-Drug", "B-Cell", "B-Cell"], "label 'B-Cell' stands there twice"),
    ],
)
def test_what_is_missing_or_no_label_is_one_line(names, message):
    with pytest.raises(InputError, match=message) as caught:
        map_labels(names, LABELS, "bert for NCBI")
    assert str(caught.value).startswith("bert for NCBI: ")
    assert "\n" not in str(caught.value)
