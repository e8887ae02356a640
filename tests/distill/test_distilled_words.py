"""Distilled vectors: principal components as a library computes them, each word alone, and a file that is taken."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_encoder import WIDTH, tiny_encoder

from kd_jax.data.vectors import load_vectors
from kd_jax.distill.distilled_words import (
    DEVIATION,
    Distilled,
    distill_words,
    named,
    principal_components,
    write_words,
)
from kd_jax.distill.encoder import open_encoder
from kd_jax.errors import InputError

RNG = np.random.default_rng(0)
HIDDEN = (RNG.normal(size=(50, 8)) @ RNG.normal(size=(8, 8)) + 3).astype(np.float32)
FORMS = {f"k{i}": form for i, form in enumerate(["Genetic", "tumors", "unknown", "gene-12", "a", "tic", "βγ", "gene"])}


def test_components_are_those_of_a_singular_value_decomposition():
    vectors = principal_components(HIDDEN, 3)(HIDDEN)
    centred = HIDDEN - HIDDEN.mean(0)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:3].T
    expected *= DEVIATION / expected.std()
    signs = np.sign((vectors * expected).sum(0))
    np.testing.assert_allclose(vectors, expected * signs, atol=1e-5)
    share = principal_components(HIDDEN, 3).share
    assert share == pytest.approx((lengths[:3] ** 2).sum() / (lengths**2).sum())


def test_vectors_are_centred_uncorrelated_and_of_the_deviation():
    vectors = principal_components(HIDDEN, 5, deviation=0.25)(HIDDEN).astype(np.float64)
    assert vectors.std() == pytest.approx(0.25, rel=1e-4)
    np.testing.assert_allclose(vectors.mean(0), 0, atol=1e-6)
    covariance = vectors.T @ vectors
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) < 0).all()


def test_all_components_keep_all_distances():
    vectors = principal_components(HIDDEN, 8)(HIDDEN)
    before = np.linalg.norm(HIDDEN[:, None] - HIDDEN[None], axis=-1)
    after = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    np.testing.assert_allclose(after, before * after[0, 1] / before[0, 1], rtol=1e-3, atol=1e-4)


def test_the_order_of_words_turns_no_axis():
    order = RNG.permutation(len(HIDDEN))
    projection, shuffled = principal_components(HIDDEN, 4), principal_components(HIDDEN[order], 4)
    np.testing.assert_allclose(shuffled(HIDDEN), projection(HIDDEN), atol=1e-6)


@pytest.mark.parametrize(("hidden", "dim"), [(HIDDEN, 9), (HIDDEN, 0), (HIDDEN[:4], 4), (np.ones((9, 4)), 2)])
def test_components_that_do_not_exist(hidden, dim):
    with pytest.raises(ValueError, match=r"components"):
        principal_components(hidden, dim)


def test_a_file_is_taken_and_always_the_same(tmp_path):
    vectors = RNG.normal(size=(3, 2)).astype(np.float32)
    found = Distilled(("β", "il-0", "x"), vectors, 0, 1.0)
    write_words(tmp_path / "v.npz", found, {"encoder": "tiny"})
    write_words(tmp_path / "w.npz", found, {"encoder": "tiny"})
    matrix, there, report = load_vectors(tmp_path / "v.npz", ["x", "absent", "β", "il-0"], 2)
    assert there.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(matrix[there], vectors[[2, 0, 1]])
    assert report.exact == 3
    assert (tmp_path / "v.npz").read_bytes() == (tmp_path / "w.npz").read_bytes()
    assert json.loads(np.load(tmp_path / "v.npz")["about"][0]) == {"encoder": "tiny"}


def test_the_name_says_that_test_words_are_known(tmp_path):
    assert named(tmp_path / "w.npz", upper_bound=False) == tmp_path / "w.npz"
    assert named(tmp_path / "w.npz", upper_bound=True) == tmp_path / "w-upper-bound.npz"
    assert named(tmp_path / "upper-bound-200.npz", upper_bound=True) == tmp_path / "upper-bound-200.npz"
    with pytest.raises(InputError, match="only a file that knows test words"):
        named(tmp_path / "w-upper-bound.npz", upper_bound=False)
    with pytest.raises(InputError, match="give it this ending"):
        named(tmp_path / "w.txt", upper_bound=False)


def test_each_word_is_read_alone(tmp_path):
    encoder = open_encoder(tiny_encoder(tmp_path / "bert"))
    forms = [*FORMS.values()]
    together, known = encoder.words(forms)
    assert known.tolist() == [True, True, True, True, True, True, False, True]  # no Greek piece
    assert not together[6].any()
    for i, form in enumerate(forms):
        np.testing.assert_allclose(encoder.words([form])[0][0], together[i], atol=1e-5)
    np.testing.assert_array_equal(encoder.words(["GENETIC"])[0], encoder.words(["genetic"])[0])


def test_a_word_is_the_mean_of_its_own_pieces(tmp_path):
    torch = pytest.importorskip("torch")

    encoder = open_encoder(tiny_encoder(tmp_path / "bert"))
    cut = encoder.tokenizer("unknown-γ", return_tensors="pt")  # [CLS] un ##known - [UNK] [SEP]
    with torch.inference_mode():
        hidden = encoder.model(**cut).last_hidden_state[0].numpy()
    assert hidden.shape == (6, WIDTH)
    np.testing.assert_allclose(encoder.words(["unknown-γ"])[0][0], hidden[1:4].mean(0), atol=1e-5)


def test_words_are_distilled(tmp_path):
    encoder = open_encoder(tiny_encoder(tmp_path / "bert"))
    done = []
    found = distill_words(encoder, FORMS, 4, done.append)
    assert found.words == ("k0", "k1", "k2", "k3", "k4", "k5", "k7")  # without the Greek one
    assert found.unknown == 1
    assert found.vectors.shape == (7, 4)
    assert found.vectors.std() == pytest.approx(DEVIATION, rel=1e-4)
    assert sum(done) == len(FORMS)
    again = distill_words(encoder, FORMS, 4)
    np.testing.assert_array_equal(found.vectors, again.vectors)


@pytest.mark.parametrize(
    ("dim", "words", "message"),
    [
        (WIDTH + 1, 99, f"--dim={WIDTH + 1}: .* gives vectors of {WIDTH} numbers"),
        (8, 8, "--dim=8: there are only 8 words"),
        (7, 8, "knows only 7 of 8 words; --dim=7 needs more"),
    ],
)
def test_too_many_dimensions(tmp_path, dim, words, message):
    encoder = open_encoder(tiny_encoder(tmp_path / "bert"))
    forms = FORMS if words == 8 else {str(i): f"a{i}" for i in range(words)}
    with pytest.raises(InputError, match=message):
        distill_words(encoder, forms, dim)


def test_what_a_folder_lacks_is_named(tmp_path):
    folder = tiny_encoder(tmp_path / "bert")
    (folder / "vocab.txt").unlink()
    open_encoder(folder)
    for name, message in [
        ("tokenizer.json", "no tokenizer"),
        ("model.safetensors", r"no weights \(model.safetensors\)"),
        ("config.json", "no config.json"),
    ]:
        (folder / name).rename(tmp_path / name)
        with pytest.raises(InputError, match=message):
            open_encoder(folder)
        if name == "model.safetensors":
            (folder / "pytorch_model.bin").write_bytes(b"")
            with pytest.raises(InputError, match="a pickle, which is never loaded"):
                open_encoder(folder)
        (tmp_path / name).rename(folder / name)
    with pytest.raises(InputError, match="no such folder"):
        open_encoder(tmp_path / "absent")


def test_a_config_of_other_weights_is_told_apart(tmp_path):
    folder = tiny_encoder(tmp_path / "bert")
    settings = (folder / "config.json").read_text()
    (folder / "config.json").write_text(settings.replace(f'"hidden_size": {WIDTH}', f'"hidden_size": {2 * WIDTH}'))
    with pytest.raises(
        InputError, match=rf"not those of its config.json: .* is {WIDTH} where that asks for {2 * WIDTH};"
    ):
        open_encoder(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json: no object"):
        open_encoder(folder)


def test_what_is_no_folder_or_may_not_be_read_is_one_line(open_folder, as_nobody):
    folder = tiny_encoder(open_folder / "bert")
    with pytest.raises(InputError, match=r"config\.json: no folder"):
        open_encoder(folder / "config.json")
    with pytest.raises(InputError, match="File name too long"):
        open_encoder(Path("a" * 300))
    for name in ("model.safetensors", "config.json"):
        (folder / name).chmod(0)
        with as_nobody(), pytest.raises(InputError, match=rf"{name}: can't be read: Permission denied; .* chmod u\+r"):
            open_encoder(folder)
        (folder / name).chmod(0o644)
    folder.chmod(0)
    with as_nobody(), pytest.raises(InputError, match=r"bert: can't be read: Permission denied; .* chmod u\+rx"):
        open_encoder(folder)
    folder.chmod(0o755)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "absent")
    with pytest.raises(InputError, match="no weights"):
        open_encoder(folder)


def test_damaged_weights_and_configurations_are_one_line(tmp_path):
    folder = tiny_encoder(tmp_path / "bert")
    whole = (folder / "model.safetensors").read_bytes()
    settings = (folder / "config.json").read_text()
    for weights, config in [
        (whole[:100], settings),
        (b"", settings),
        (whole, "{"),
        (whole, '{"model_type": "nobody\'s"}'),
        (whole, settings.replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')),  # a layer would be random
        (whole, settings.replace(f'"hidden_size": {WIDTH}', f'"hidden_size": {2 * WIDTH}')),
    ]:
        (folder / "model.safetensors").write_bytes(weights)
        (folder / "config.json").write_text(config)
        with pytest.raises(InputError, match="bert") as fault:
            open_encoder(folder)
        assert "\n" not in str(fault.value)
        assert len(str(fault.value)) < 400
