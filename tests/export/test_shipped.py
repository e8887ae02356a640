"""A shipped model tags as the trained one did, without what trained it."""

import json
import shutil
import subprocess
import sys
from contextlib import suppress

import jax
import numpy as np
import pytest
from helpers.made_json import harmed
from helpers.made_model import made
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export

import kd_jax
from kd_jax.errors import InputError
from kd_jax.export.delivery import ship
from kd_jax.export.shipped import MANIFEST, PROGRAM, WEIGHTS, narrowed, open_shipped, restored
from kd_jax.export.shipping import flat, nested

BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"flax", "optax", "orbax", "seqeval", "absl"} or name.startswith("kd_jax.training"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
import kd_jax
print([tuple(span) for span in kd_jax.load(sys.argv[1])(sys.argv[2])])
"""


@pytest.fixture(scope="module")
def shipped(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("shipped") / "model"
    ship(folder, out, "float32", None, None)
    return out


@pytest.mark.parametrize(("head", "constrained"), [("softmax", False), ("crf", True)])
def test_round_trip(tmp_path, head, constrained):
    corpus, _, _ = made(tmp_path / "model", head=head, constrained=constrained)
    ship(tmp_path / "model", tmp_path / "out", "float32", None, None)
    sentences = [s.tokens for s in corpus.splits["test" if head == "crf" else "train"]]
    (trained,), (shipped,) = (kd_jax.load(tmp_path / name).models for name in ("model", "out"))
    for one, other in zip(*(m.label(sentences, raw=False) for m in (trained, shipped)), strict=True):
        assert one.labels.tolist() == other.labels.tolist()
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert shipped.labels == trained.labels
    assert shipped.constrained == constrained


def test_it_needs_nothing_that_trains(folder, shipped):
    text = "XGene1 aken XGene2 XGene3"
    command = [sys.executable, "-c", BLOCKED, str(shipped), text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([tuple(span) for span in kd_jax.load(folder)(text)])


def test_one_program_for_three_platforms(shipped):
    program = export.deserialize(bytearray((shipped / PROGRAM).read_bytes()))
    assert set(program.platforms) == {"cpu", "cuda", "tpu"}


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_smaller_weights_are_compared_on_a_file(tmp_path, folder, weights):
    test = tmp_path / "test.tsv"
    test.write_text("XGene1\tB-Gene\naken\tO\n\nul\tO\n")
    said = ship(folder, tmp_path / "out", weights, None, test)
    compared = json.loads((tmp_path / "out" / "model.json").read_text())["compared"]
    assert compared["tokens"] == 3
    assert f"shipped {compared['shipped_f1']:.2f}" in said
    assert (tmp_path / "out" / WEIGHTS).stat().st_size < sum(
        x.nbytes for x in jax.tree.leaves(kd_jax.load(folder).models[0].params)
    )


@pytest.mark.parametrize("seed", range(5))
def test_int8_is_within_half_a_step(seed):
    x = np.random.default_rng(seed).normal(size=(7, 5)).astype(np.float32)
    x[:, 0] = 0
    back = np.asarray(restored(narrowed({"w": x}, "int8"))["w"])
    assert (np.abs(back - x) <= np.abs(x).max(0) / 127 * 0.501).all()
    assert (np.asarray(restored(narrowed({"v": x[0]}, "int8"))["v"]) == x[0]).all()


def test_names_and_nests_are_inverse():
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert nested(flat(tree)) == tree
    assert flat(tree) == {"a.b": 1, "a.c.d": 2, "e": 3}


def test_faults_are_named(tmp_path, folder, shipped):
    with pytest.raises(InputError, match="already exists"):
        ship(folder, shipped, "float32", None, None)
    with pytest.raises(InputError, match="is shipped already"):
        ship(shipped, tmp_path / "again", "float32", None, None)
    with pytest.raises(InputError, match="no such file"):
        ship(folder, tmp_path / "out", "float32", None, tmp_path / "missing.tsv")
    assert not (tmp_path / "out").exists()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for path in shipped.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    content = bytearray((damaged / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (damaged / WEIGHTS).write_bytes(content)
    with pytest.raises(InputError, match="damaged, the checksum differs"):
        kd_jax.load(damaged)


def test_a_program_of_a_later_jax_is_named_before_it_is_read(tmp_path, shipped):
    later = tmp_path / "later"
    shutil.copytree(shipped, later)
    about = json.loads((later / "model.json").read_text())
    assert about["jax"] == jax.__version__
    (later / "model.json").write_text(json.dumps(about | {"jax": "99.1.0"}))
    with pytest.raises(InputError, match=r"is of jax 99\.1\.0, .* pip install 'jax>=99\.1\.0'"):
        open_shipped(later, None)


def test_a_manifest_can_not_point_elsewhere(tmp_path, shipped):
    """Its names of files are not followed: each file of the folder has to have its own checksum."""
    shutil.copytree(shipped, tmp_path / "m")
    (tmp_path / "outside").write_bytes((shipped / WEIGHTS).read_bytes())
    about = json.loads((shipped / MANIFEST).read_text())
    about["sha256"]["../outside"] = about["sha256"].pop(WEIGHTS)
    (tmp_path / "m" / MANIFEST).write_text(json.dumps(about))
    with pytest.raises(InputError, match="can't be read"):
        open_shipped(tmp_path / "m", None)


@settings(max_examples=60)
@given(data=st.data())
def test_any_manifest_is_a_model_or_an_input_error(shipped, data):
    whole = (shipped / MANIFEST).read_text()
    try:
        (shipped / MANIFEST).write_text(json.dumps(data.draw(harmed(json.loads(whole)))))
        with suppress(InputError):
            open_shipped(shipped, None)
    finally:
        (shipped / MANIFEST).write_text(whole)


def test_a_model_of_an_iob1_corpus_or_of_bare_tags_is_compared_on_its_test_file(tmp_path, folder):
    (tmp_path / "iob2.tsv").write_text("XGene1\tB-Gene\nXGene2\tB-Gene\naken\tO\n")
    (tmp_path / "iob1.tsv").write_text("XGene1\tI-Gene\nXGene2\tB-Gene\naken\tO\n")
    (tmp_path / "bare.tsv").write_text("XGene1\tB\nXGene2\tB\naken\tO\n")
    with pytest.raises(InputError, match=r"iob1\.tsv:1: .*IOB1"):
        ship(folder, tmp_path / "out", "float32", None, tmp_path / "iob1.tsv")
    assert not (tmp_path / "out").exists()
    found = []
    for name, scheme in (("iob2", None), ("iob1", "IOB1"), ("bare", None)):
        ship(folder, tmp_path / name, "float32", None, tmp_path / f"{name}.tsv", scheme=scheme)
        found.append(json.loads((tmp_path / name / "model.json").read_text())["compared"] | {"file": ""})
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("kind", ["trained", "shipped"])
def test_a_vocabulary_that_may_not_be_read_is_not_damaged(open_folder, as_nobody, folder, shipped, kind):
    copy = open_folder / "model"
    shutil.copytree(folder if kind == "trained" else shipped, copy)
    for path in (copy, *copy.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (copy / "vocabulary.json").chmod(0o600)
    with as_nobody(), pytest.raises(InputError) as refusal:
        kd_jax.load(copy)
    assert "vocabulary.json: can't be read: Permission denied" in str(refusal.value)
    assert not any(word in str(refusal.value) for word in ("damaged", "remove", "again"))
