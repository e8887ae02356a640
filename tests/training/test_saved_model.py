"""A trained model: read back as it was; what is damaged or of another version is one line with its remedy."""

import json
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_json import harmed
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_jax.data.vocab import Vocabulary
from kd_jax.errors import InputError
from kd_jax.evaluation.scores import EntityScores, TypeScore
from kd_jax.runtime.files import digest
from kd_jax.settings import ModelConfig
from kd_jax.structs import LossWeights
from kd_jax.training.manifest import Manifest, read_manifest
from kd_jax.training.saved_model import TrainedModel, load_counts, load_model, save_model

PARAMS = {"words": np.ones((3, 2), np.float32), "branch": {"bias": np.zeros(2, np.float32)}}
COUNTS = {"a": np.ones((2, 3), np.int32)}
MANIFEST = Manifest(
    model="STM", label="STM", head="softmax", seed=1, weights=LossWeights(1.0, 0.0, 0.0, 0.0, 1.0), protocol="train",
    identity="abc", teachers=("T",), settings={"train": {}}, corpora={"a": "hash"}, split="test", status="ok", epochs=2,
    tokens=30, seconds=1.5, devel_f1=81.25, scores={"a": EntityScores(80.0, 79.0, 79.5, {"x": TypeScore(1, 2, 3, 4)})},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    vocabulary = Vocabulary(("w",), frozenset({"w"}), "w")
    model = TrainedModel({"label": "STM", "f1": 81.25}, ModelConfig(), ("a",), (("O", "B-x"),), vocabulary, PARAMS)
    save_model(tmp_path / "m", model, COUNTS)
    return tmp_path / "m"


def test_it_is_read_back(folder):
    found = load_model(folder)
    assert found.about == {"label": "STM", "f1": 81.25}
    np.testing.assert_array_equal(found.params["words"], PARAMS["words"])
    np.testing.assert_array_equal(load_counts(folder)["a"], COUNTS["a"])


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda text: text.replace("81.25", "91.25"), "damaged, its checksum differs; remove"),
        (lambda text: text[:-9], "can't be read .*; remove the folder"),
        (lambda _: "[]", "format unknown, .* or remove the folder"),
        (lambda _: '{"format": 0}', "format 0, this version of kd_jax reads 1; use the version that wrote it"),
    ],
)
def test_a_damaged_or_foreign_description_is_named(folder, harm, words):
    path = folder / "model.json"
    path.write_text(harm(path.read_text()))
    with pytest.raises(InputError, match=words) as caught:
        read_manifest(folder)
    assert "\n" not in str(caught.value)


def test_damaged_parameters_and_counts_are_named(folder):
    (folder / "counts.npz").write_bytes((folder / "counts.npz").read_bytes()[:-9])
    with pytest.raises(InputError, match=r"counts\.npz: damaged .*; remove"):
        load_counts(folder)
    data = max((folder / "params").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        load_model(folder)


def test_every_damaged_file_is_named_and_nothing_else_is_printed(folder, capfd):
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in {"model.json", "counts.npz"}]
    assert len(files) > 3
    for path in files:
        whole = path.read_bytes()
        for harmed_content in (whole[: len(whole) // 2] if whole else b"x", bytes([*whole[:-1], 255])):
            path.write_bytes(harmed_content)
            with pytest.raises(InputError, match=f"damaged .the checksum of .*{path.name} differs.; remove it"):
                load_model(folder)
        path.unlink()
        with pytest.raises(InputError, match=f"damaged .*{path.name} is missing.; remove it"):
            load_model(folder)
        path.write_bytes(whole)
    load_model(folder)
    assert capfd.readouterr().err == ""


def test_a_model_that_lists_no_files_is_read(folder):
    about = json.loads((folder / "model.json").read_text())
    del about["files"], about["sha256"]
    (folder / "model.json").write_text(json.dumps(about | {"sha256": digest(about)}))
    assert load_model(folder).about["f1"] == 81.25


@pytest.fixture
def trained(tmp_path):
    vocabulary = Vocabulary(("w",), frozenset({"w"}), "w")
    model = TrainedModel(MANIFEST.to_json(), ModelConfig(), ("a",), (("O", "B-x"),), vocabulary, PARAMS)
    return tmp_path / "m", save_model(tmp_path / "m", model, COUNTS)


def test_a_manifest_is_read_back(trained):
    folder, params_sha256 = trained
    assert read_manifest(folder) == replace(MANIFEST, params_sha256=params_sha256)
    assert read_manifest(folder / "nothing") is None


@pytest.mark.parametrize("name", sorted(MANIFEST.to_json()))
def test_each_field_of_a_manifest_is_checked(trained, name):
    folder, _ = trained
    whole = json.loads((folder / "model.json").read_text())
    del whole["sha256"]
    for wrong in ([], {"a": 1}, True):
        about = whole["about"] | {name: wrong}
        if name == "teachers" and wrong == []:
            continue
        (folder / "model.json").write_text(json.dumps(whole | {"about": about}))
        if name == "settings" and isinstance(wrong, dict):
            assert read_manifest(folder) is not None
            continue
        with pytest.raises(InputError, match=r"model.json: damaged at .*; remove") as caught:
            read_manifest(folder)
        assert "\n" not in str(caught.value)


@given(data=st.data())
def test_any_manifest_is_read_or_an_input_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("m")
    whole = {"format": 1, "about": data.draw(harmed(MANIFEST.to_json())), "settings": {}, "tasks": [], "labels": []}
    (folder / "model.json").write_text(json.dumps(whole | {"params_sha256": "x"}))
    with suppress(InputError):
        read_manifest(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00\x20\x00{'descr': '<i4',\n\x00(\xd7"])
def test_no_counts_are_named(folder, content):
    (folder / "counts.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"counts\.npz: damaged .*; remove"):
        load_counts(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "m"
    model = TrainedModel(
        {"label": "STM"}, ModelConfig(), ("a",), (("O", "B-x"),), Vocabulary(("w",), frozenset(), "w"), PARAMS
    )
    save_model(folder, model, COUNTS)
    return folder, {name: json.loads((folder / name).read_text()) for name in ("model.json", "vocabulary.json")}


@settings(max_examples=60)
@given(data=st.data(), name=st.sampled_from(["model.json", "vocabulary.json"]), summed=st.booleans())
def test_any_description_is_a_model_or_an_input_error(made, data, name, summed):
    """Also one whose checksum agrees: written by another program, or by hand."""
    folder, whole = made
    for other, content in whole.items():
        (folder / other).write_text(json.dumps(content))
    content = data.draw(harmed({k: v for k, v in whole[name].items() if k != "sha256"}))
    if summed and isinstance(content, dict):
        content["sha256"] = digest(content)
    (folder / name).write_text(json.dumps(content))
    with suppress(InputError):
        load_model(folder)


@given(text=st.text())
def test_any_text_for_a_description_is_an_input_error(made, text):
    folder, _ = made
    (folder / "model.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(InputError):
        read_manifest(folder)
