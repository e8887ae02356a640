"""A damaged file of word vectors is a line of text, whatever the damage."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.made_vectors import FORMS, VECTORS, WORDS, binary, npy, npz, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd_jax.data.vectors import load_vectors
from kd_jax.errors import InputError

many_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

FAULTS = {
    "another dimension": ("v.txt", text(WORDS, VECTORS), {"dim": 200}, "vectors of 5 numbers, but 200 are wanted"),
    "a short line": ("v.txt", b"the 1 2 3\na 1 2\n", {}, ":2: 2 numbers where there should be 3|:1: "),
    "a line with one number more": ("v.txt", b"b 1 2 3\nthe 1 2 3\na 1 2 3 4\n", {}, ":3: 4 numbers where"),
    "no number": ("v.txt", b"the 1 2\na 1 z\n", {}, ":2: the vector of 'a' is not all finite"),
    "not finite": ("v.txt", b"the 1 2\na 1 nan\n", {}, ":2: the vector of 'a' is not all finite"),
    "too large for float32": ("v.txt", b"the 1 2\na 1 1e39\n", {}, ":2: the vector of 'a'"),
    "text broken off": ("v.txt", b"9 2\nthe 1 2\na 1 2\n", {}, "ends after 2 of 9 words"),
    "binary broken off": ("v.bin", binary(WORDS, VECTORS)[:-8], {}, "ends within word 6 of 6"),
    "binary with more": ("v.bin", binary(WORDS, VECTORS) + b"more", {}, "goes on after the 6 words"),
    "binary, not finite": ("v.bin", binary(["a"], np.array([[np.inf]])), {}, "word 1: the vector of 'a'"),
    "gzip broken off": ("v.gz", gzip.compress(text(WORDS, VECTORS))[:-30], {}, "damaged or broken off"),
    "npz broken off": ("v.npz", npz(np.array(WORDS), VECTORS)[:-30], {}, "damaged or broken off"),
    "npy broken off": ("v.npy", npy(VECTORS)[:-4], {}, "ends after 5 of 6 rows"),
    "npz without words": (
        "v.npz",
        npz(np.array(WORDS), VECTORS).replace(b"words.npy", b"wurds.npy"),
        {},
        "words and vectors",
    ),
    "npz of unequal lengths": ("v.npz", npz(np.array(WORDS[1:]), VECTORS), {}, "5 words, but 6 vectors"),
    "npz of pickles": ("v.npz", npz(np.array(WORDS, object), VECTORS), {}, "pickled objects, which are never loaded"),
    "npy of integers": ("v.npy", npy(VECTORS.astype(int)), {}, r"floats \[N, D\], not int64 \[6, 5\]"),
    "npy of one axis": ("v.npy", npy(VECTORS[0]), {}, r"not float32 \[5\]"),
    "npy by columns": ("v.npy", npy(np.asfortranarray(VECTORS)), {}, "ascontiguousarray"),
    "a pickle": ("v.kv", pickle.dumps({"a": 1}), {}, "a pickle, which is never loaded.*save_word2vec_format"),
    "a fastText model": ("v.bin", b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", {}, "fastText model.*vec file"),
    "UTF-16": ("v.txt", "the 1 2\n".encode("utf-16"), {}, "UTF-16"),
    "bzip2": ("v.txt.bz2", b"BZh91AY", {}, "pack it with gzip"),
    "empty": ("v.txt", b"", {}, "is empty"),
    "words alone": ("v.txt", b"the\na\n", {}, r":1: no numbers behind the word \('the'\)"),
    "running text": ("v.txt", b"of the cell\nin a line\n", {"dim": 9}, ":1: no numbers behind the word"),
    "an HTML page": ("v.txt", b"\n<!DOCTYPE html>\n<p>3 404\n", {"dim": 9}, ":1: an HTML page, no word vectors"),
    "a git-lfs pointer": ("v.bin", b"version https://git-lfs.github.com/spec/v1\n", {}, "a git-lfs pointer"),
    "a short row among the first": ("v.txt", b"x 1\nb 1 2\nthe 1 2\na 1 2\n", {"dim": 2}, ":1: 1 numbers where .* 2;"),
    "a short row with a header": ("v.txt", b"3 2\nx 1\nthe 1 2\na 1 2\n", {"dim": 2}, ":2: 1 numbers where .* be 2;"),
    "a header of other vectors": (
        "v.txt",
        b"2 9\nthe 1 2\na 1 2\n",
        {"dim": 9},
        ":1: says .* 9 .* below have 2",
    ),
    "a mark and a short row": ("v.txt", b"\xef\xbb\xbf2 2\nthe 1\na 1 2\nb 1 2\n", {"dim": 2}, ":2: 1 numbers where"),
    "a header of huge vectors": ("v.txt", b"10 99999999999\nthe 1 2\n", {}, "vectors of 99999999999 numbers"),
    "a header of many words": ("v.bin", b"999999999999 2\nthe " + b"\0" * 8, {}, "ends within word 2"),
    "no end of line": ("v.txt", b"the 1 2\n" + b"1" * (3 << 20), {}, ":2: a line of over 1 MiB"),
    "no end of word": ("v.bin", b"9 1\n" + b"w" * (3 << 20), {}, "word 1 is too long"),
    "none of the words": ("v.txt", b"die 1 2\nder 1 2\n", {}, r"vectors for 0.0 % of 2 words"),
    "too few of the words": ("v.txt", b"a 1 2\n", {"least_coverage": 0.6}, r"50.0 % of 2 words, at least 60.0 %"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(tmp_path, fault):
    name, content, options, words = FAULTS[fault]
    path = tmp_path / name
    path.write_bytes(content)
    (tmp_path / "v.vocab").write_text("\n".join(WORDS) + "\n")
    with pytest.raises(InputError, match=words) as caught:
        load_vectors(path, ["the", "a"], **options)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_the_words_of_a_npy_must_be_there_and_as_many(tmp_path):
    path = tmp_path / "v.npy"
    path.write_bytes(npy(VECTORS))
    with pytest.raises(InputError, match=r"beside it in v\.txt, v\.vocab, v\.words"):
        load_vectors(path, ["the"])
    for words, fault in ((WORDS[:-1], "ends after 5 words"), ([*WORDS, "more"], "holds more words")):
        (tmp_path / "v.words").write_text("\n".join(words) + "\n")
        with pytest.raises(InputError, match=fault):
            load_vectors(path, ["the"])


def test_no_pickle_is_ever_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    trap = np.array([Trap()] * 3, object)
    for name, content in {"v.npy": npy(trap), "v.npz": npz(trap, trap), "v.pkl": pickle.dumps(Trap())}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / "v.vocab").write_text("a\nb\nc\n")
        with pytest.raises(InputError, match="never loaded"):
            load_vectors(tmp_path / name, ["a"])
    assert not (tmp_path / "ran").exists()


def test_a_fault_of_our_own_is_not_called_a_damaged_file(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\n")
    with pytest.raises(ValueError, match="twice"):
        load_vectors(tmp_path / "v.txt", ["a", "a"])


@many_files
@given(st.sampled_from(sorted(FORMS)), st.data())
def test_any_damage_is_read_or_refused(tmp_path, form, data):
    name, content, _ = FORMS[form]
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        match data.draw(st.sampled_from(["flip", "cut", "put"])):
            case "flip" if at < len(damaged):
                damaged[at] = data.draw(st.integers(0, 255))
            case "cut":
                del damaged[at : at + data.draw(st.integers(1, 40))]
            case _:
                damaged[at:at] = data.draw(st.binary(max_size=20))
    read_or_refused(tmp_path / name, bytes(damaged))


@many_files
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.sampled_from([b"1", b" ", b"\n", b"2 3\n", b"a", b"\0", b"1e9 "])).map(b"".join),
    )
)
def test_any_bytes_are_read_or_refused(tmp_path, content):
    read_or_refused(tmp_path / "v.txt", content)
    read_or_refused(tmp_path / "v.txt", gzip.compress(content)[: len(content) + 12])
    read_or_refused(tmp_path / "v.bin", b"3 2\n" + content)
    read_or_refused(tmp_path / "v.npy", b"\x93NUMPY\x01\x00" + content)
    read_or_refused(tmp_path / "v.npz", b"PK\x03\x04" + content)


def read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.with_name("v.vocab").write_text("\n".join(WORDS) + "\n")
    fault = None
    try:
        matrix, found, _ = load_vectors(path, ["the", "IL-2", "1", "a"])
    except InputError as refusal:
        fault = str(refusal)
    if fault is None:
        assert found.any()
        assert np.isfinite(matrix).all()
        assert not matrix[~found].any()
    else:
        assert fault.startswith(str(path))
        assert "\n" not in fault
