"""Knowledge read back equals knowledge computed; what is stale or damaged is noticed and named."""

import json
from contextlib import suppress

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.made_json import harmed
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.distill import store
from kd_jax.distill.scale import moments, variance
from kd_jax.errors import InputError
from kd_jax.runtime.files import digest
from kd_jax.structs import Outputs

SOURCE = {"teacher": "T", "parameters": "abc", "corpus": "def", "split": "train", "dtype": "float32"}
WIDTHS = Outputs(3, 4, 2)


@pytest.fixture
def outputs():
    rng = np.random.default_rng(0)
    return Outputs(*(np.float32(rng.normal(size=(11, width))) for width in WIDTHS))


def chunks(outputs):
    order = np.random.default_rng(1).permutation(11)
    for rows in (order[:5], order[5:]):
        yield rows, Outputs(*(x[rows] for x in outputs))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_reads_back_what_was_computed(tmp_path, outputs, dtype):
    source = SOURCE | {"dtype": dtype}
    store.write(tmp_path / "k", source, (11, WIDTHS), dtype, chunks(outputs))
    found = store.read(tmp_path / "k", source)
    for ours, stored, of in zip(outputs, found.outputs, found.moments, strict=True):
        as_stored = moments(ours.astype(jnp.dtype(dtype)), centred=ours is outputs.logits)
        assert variance(of) == variance(as_stored)
        assert stored.dtype == jnp.dtype(dtype)
        assert isinstance(stored, np.memmap) or isinstance(stored.base, np.memmap)
        np.testing.assert_array_equal(ours.astype(jnp.dtype(dtype)), stored)


def test_joins_splits_and_leaves_out_what_no_term_reads(tmp_path, outputs):
    store.write(tmp_path / "a", SOURCE, (11, WIDTHS), "float32", chunks(outputs))
    part = store.read(tmp_path / "a", SOURCE)
    joined = store.join([part, part], Outputs(True, False, True))
    np.testing.assert_array_equal(joined.outputs.logits, np.concatenate([outputs.logits] * 2))
    assert joined.outputs.task_hidden is joined.moments.task_hidden is None
    assert joined.moments.logits.tokens == 22


def test_another_source_is_stale_and_named(tmp_path, outputs):
    store.write(tmp_path / "k", SOURCE, (11, WIDTHS), "float32", chunks(outputs))
    with pytest.raises(store.StaleError, match="made from other parameters"):
        store.read(tmp_path / "k", SOURCE | {"parameters": "other"})
    with pytest.raises(store.StaleError, match="missing"):
        store.read(tmp_path / "absent", SOURCE)


def sealed(manifest):
    """A manifest whose own checksum is right, so that what else is wrong with it has to be noticed."""
    if not isinstance(manifest, dict):
        return json.dumps(manifest)
    rest = {key: value for key, value in manifest.items() if key != "sha256"}
    return json.dumps(rest | {"sha256": digest(rest)})


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("harm", [flip, cut])
@pytest.mark.parametrize("name", ["logits.npy", "task_hidden.npy", "shared_hidden.npy"])
def test_a_damaged_array_is_named(tmp_path, outputs, harm, name):
    store.write(tmp_path / "k", SOURCE, (11, WIDTHS), "float32", chunks(outputs))
    harm(tmp_path / "k" / name)
    with pytest.raises(store.StaleError, match=name):
        store.read(tmp_path / "k", SOURCE)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"format": 99}', "null", '{"format": 1, "source": 3}', f'{{"format": "{"x" * 9000}"}}']
)
def test_a_damaged_manifest_is_noticed(tmp_path, outputs, content):
    store.write(tmp_path / "k", SOURCE, (11, WIDTHS), "float32", chunks(outputs))
    (tmp_path / "k" / "manifest.json").write_text(content)
    with pytest.raises(store.StaleError) as caught:
        store.read(tmp_path / "k", SOURCE)
    assert len(str(caught.value)) < 500


def test_a_manifest_can_not_point_elsewhere(tmp_path, outputs):
    store.write(tmp_path / "k", SOURCE, (11, WIDTHS), "float32", chunks(outputs))
    path = tmp_path / "k" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["arrays"]["../outside"] = manifest["arrays"].pop("logits")
    path.write_text(sealed(manifest))
    with pytest.raises(store.StaleError):
        store.read(tmp_path / "k", SOURCE)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store") / "k"
    store.write(folder, SOURCE, (11, WIDTHS), "float32", chunks(Outputs(*(np.ones((11, w), "f") for w in WIDTHS))))
    return folder, json.loads((folder / "manifest.json").read_text())


def test_another_dtype_than_the_arrays_is_noticed(stored):
    folder, manifest = stored
    for dtype in ("float16", "bfloat16", "int32", "float64", "", None, []):
        (folder / "manifest.json").write_text(sealed(manifest | {"dtype": dtype}))
        with pytest.raises(store.StaleError):
            store.read(folder, SOURCE)


def test_a_manifest_that_was_changed_by_hand_is_noticed(stored):
    folder, manifest = stored
    manifest["moments"]["logits"]["spread"] += 1.0
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(store.StaleError, match="its checksum differs"):
        store.read(folder, SOURCE)
    manifest["moments"]["logits"]["spread"] -= 1.0


@given(data=st.data())
def test_any_manifest_is_read_right_or_stale(stored, data):
    folder, manifest = stored
    (folder / "manifest.json").write_text(sealed(data.draw(harmed(manifest))))
    with suppress(store.StaleError):
        for found, width in zip(store.read(folder, SOURCE).outputs, WIDTHS, strict=True):
            np.testing.assert_array_equal(found, np.ones((11, width), np.float32))


@given(text=st.text())
def test_any_text_for_a_manifest_is_stale(stored, text):
    folder, _ = stored
    (folder / "manifest.json").write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(store.StaleError):
        store.read(folder, SOURCE)


def test_nothing_half_written_stays(tmp_path, outputs):
    def failing():
        yield next(chunks(outputs))
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        store.write(tmp_path / "k", SOURCE, (11, WIDTHS), "float32", failing())
    assert list(tmp_path.iterdir()) == []
