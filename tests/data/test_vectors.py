"""Word vectors: every form of file gives the same table, and a damaged one a line of text."""

import gzip
import io
import pickle
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd_jax.data.vectors import load_vectors
from kd_jax.errors import InputError

many_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = ["the", "IL-2", "p53", "β-catenin", "naïve", "x" * 300]
VECTORS = np.random.default_rng(0).normal(size=(len(WORDS), 5)).astype(np.float32)


def text(words, vectors, header=False, gap=" ", line_end="\n") -> bytes:
    rows = [gap.join([word, *(str(float(x)) for x in vector)]) for word, vector in zip(words, vectors, strict=True)]
    return line_end.join([f"{len(words)} {vectors.shape[1]}"] * header + rows + [""]).encode()


def binary(words, vectors, line_end=b"\n") -> bytes:
    rows = [w.encode() + b" " + v.astype("<f4").tobytes() for w, v in zip(words, vectors, strict=True)]
    return f"{len(words)} {vectors.shape[1]}\n".encode() + b"".join(row + line_end for row in rows)


def npz(words, vectors, save=np.savez) -> bytes:
    file = io.BytesIO()
    save(file, words=words, vectors=vectors)
    return file.getvalue()


def npy(array, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


FORMS = {
    "text": ("v.txt", text(WORDS, VECTORS), "text"),
    "glove without last line end": ("v.txt", text(WORDS, VECTORS).rstrip(), "text"),
    "fasttext": (
        "v.vec",
        text(WORDS, VECTORS, header=True).replace(b"\n", b" \n").replace(b" \n", b"\n", 1),
        "text with header",
    ),
    "tabs and CRLF": ("v.tsv", text(WORDS, VECTORS, header=True, gap="\t", line_end="\r\n"), "text with header"),
    "two spaces": ("v", text(WORDS, VECTORS, gap="  "), "text"),
    "BOM": ("v.txt", b"\xef\xbb\xbf" + text(WORDS, VECTORS), "text"),
    "text named .bin": ("v.bin", text(WORDS, VECTORS, header=True), "text with header"),
    "binary": ("v.bin", binary(WORDS, VECTORS), "word2vec binary"),
    "binary without line ends": ("v.bin", binary(WORDS, VECTORS, b""), "word2vec binary"),
    "binary by another name": ("v.w2v", binary(WORDS, VECTORS), "word2vec binary"),
    "npz": ("v.npz", npz(np.array(WORDS), VECTORS), "npz"),
    "npz packed": ("v.npz", npz(np.array(WORDS), VECTORS, np.savez_compressed), "npz"),
    "npz of bytes and big-endian doubles": (
        "v.npz",
        npz(np.array([w.encode() for w in WORDS]), VECTORS.astype(">f8")),
        "npz",
    ),
    "npy": ("v.npy", npy(VECTORS), "npy"),
}


@pytest.mark.parametrize(
    ("form", "packed"), [(form, packed) for form in FORMS for packed in (False, True) if not (packed and "npz" in form)]
)
def test_every_form_gives_the_same_table(tmp_path, form, packed):
    name, content, told = FORMS[form]
    path = tmp_path / (name + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    (tmp_path / "v.vocab").write_text("\n".join(WORDS) + "\n")
    vocabulary = [WORDS[3], "absent", *WORDS[:3], *WORDS[4:]]
    matrix, found, report = load_vectors(path, vocabulary, dim=5)
    assert matrix.dtype == np.float32
    assert found.dtype == bool
    assert found.tolist() == [True, False, True, True, True, True, True]
    np.testing.assert_array_equal(matrix[found], VECTORS[[3, 0, 1, 2, 4, 5]])
    np.testing.assert_array_equal(matrix[1], np.zeros(5))
    assert (report.form, report.dim, report.rows, report.exact, report.missing) == (told, 5, 6, 6, 1)
    assert report.coverage == pytest.approx(6 / 7)
    assert "6 of 7 words, 85.7 %" in str(report)


def test_words_with_spaces_are_read_from_the_right(tmp_path):
    (tmp_path / "v.txt").write_text("the 1 2 3\n. . . 4 5 6\nat name@domain 7 8 9\n")
    matrix, _, _ = load_vectors(tmp_path / "v.txt", ["the", ". . .", "at name@domain"])
    assert matrix.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


@pytest.mark.parametrize(
    ("file_words", "word", "way", "row"),
    [
        (["il-2", "IL-2", "Il-2"], "IL-2", "exact", 1),
        (["il-2", "Il-2"], "IL-2", "by_case", 0),
        (["IL-2", "il-2"], "il-2", "exact", 1),
        (["IL-2"], "il-2", "by_case", 0),
        (["p00"], "p53", "by_digits", 0),
        (["P00", "p00"], "p53", "by_digits", 0),
        (["P53", "p21"], "p00", "by_digits", 0),
        (["p21"], "p53", None, None),  # two different numbers are two different words
        (["p00", "P53"], "p53", "by_case", 1),
        (["x"], "y", None, None),
    ],
)
def test_the_nearest_spelling_counts(tmp_path, file_words, word, way, row):
    path = tmp_path / "v.txt"
    vectors = np.arange(1.0, 2 * len(file_words) + 3, dtype=np.float32).reshape(-1, 2)
    path.write_bytes(text([*file_words, "other"], vectors))
    matrix, found, report = load_vectors(path, [word, "other"])
    assert found[0] == (way is not None)
    assert matrix[0].tolist() == (vectors[row].tolist() if way else [0, 0])
    assert (report.exact - 1, report.by_case, report.by_digits) == tuple(
        way == w for w in ("exact", "by_case", "by_digits")
    )
    _, plain, _ = load_vectors(path, [word, "other"], normalise=False)
    assert plain[0] == (way == "exact")


spellings = st.text("aAbB019-", min_size=1, max_size=3)


def by_rule(word: str, file_words: list[str]) -> int | None:
    """The rule of `load_vectors`, word for word."""

    def zeros(of: str) -> str:
        return re.sub("[0-9]", "0", of)

    for same in (
        lambda f: f == word,
        lambda f: f.lower() == word.lower(),
        lambda f: f.lower() == zeros(word.lower()) or zeros(f.lower()) == word.lower(),
    ):
        for i, candidate in enumerate(file_words):
            if same(candidate):
                return i
    return None


@many_files
@given(st.lists(spellings, min_size=1, max_size=12), st.lists(spellings, min_size=1, max_size=12, unique=True))
def test_lookup_equals_the_rule_by_brute_force(tmp_path, file_words, vocabulary):
    path = tmp_path / "v.bin"
    vectors = np.arange(1, len(file_words) + 2, dtype=np.float32)[:, None]
    path.write_bytes(binary([*file_words, "sure"], vectors))
    matrix, found, _ = load_vectors(path, [*vocabulary, "sure"])
    expected = [by_rule(word, file_words) for word in vocabulary]
    assert found[:-1].tolist() == [i is not None for i in expected]
    assert matrix[:-1, 0].tolist() == [0 if i is None else i + 1 for i in expected]


def test_of_duplicates_the_first_counts_and_a_warning_says_so(tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\na 5 6\nc 7 8\nc 9 9\n")
    matrix, _, report = load_vectors(tmp_path / "v.txt", ["a", "b"])
    assert matrix.tolist() == [[1, 2], [3, 4]]
    assert len(report.warnings) == 1
    assert "1 words of the vocabulary occur again" in report.warnings[0]


def test_more_words_than_promised_is_a_warning(tmp_path):
    (tmp_path / "v.txt").write_text("1 2\na 1 2\nb 3 4\n")
    matrix, _, report = load_vectors(tmp_path / "v.txt", ["b"])
    assert matrix.tolist() == [[3, 4]]
    assert "2 words where its header promises 1" in report.warnings[0]


@pytest.mark.parametrize("header", [b"", b"3 2\n"])
def test_a_byte_order_mark_changes_nothing(tmp_path, header):
    (tmp_path / "v.txt").write_bytes(b"\xef\xbb\xbf" + header + b"a 1 2\nb 3 4\nNew York 5 6\n")
    matrix, _, report = load_vectors(tmp_path / "v.txt", ["a", "b", "New York"], 2)
    assert matrix.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert report.rows == 3


def test_numbers_that_open_a_text_are_no_header_where_words_can_be_numbers(tmp_path):
    (tmp_path / "v.txt").write_text("7 12\n8 13\n9 14\n")
    matrix, _, _ = load_vectors(tmp_path / "v.txt", ["7", "9"])
    assert matrix.tolist() == [[12], [14]]


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v.bin", "v.txt", "v.npz"])
def test_a_large_file_passes_through_little_memory(tmp_path, name):
    """A file of half a gigabyte; the memory that reading it takes is that of a table of 1,000 words and buffers."""
    count, dim = 400_000, 300
    vectors = np.ones((1000, dim), np.float32)
    path = tmp_path / name
    if name == "v.npz":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("words.npy", npy(np.array([f"w{i}" for i in range(count)])))
            with archive.open("vectors.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(
                    file, {"descr": "<f4", "fortran_order": False, "shape": (count, dim)}
                )
                for _ in range(count // 1000):
                    file.write(vectors.tobytes())
    else:
        with path.open("wb") as file:
            file.write(f"{count} {dim}\n".encode())
            row = vectors[0].tobytes() if name == "v.bin" else b" ".join([b"1.0"] * dim)
            for i in range(count):
                file.write(b"w%d %b\n" % (i, row))
    program = f"""
        import resource
        from pathlib import Path
        from kd_jax.data.vectors import load_vectors
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _, found, _ = load_vectors(Path({str(path)!r}), [f"w{{400 * i}}" for i in range(1000)])
        assert found.all()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True)
    scale = 1 if sys.platform == "darwin" else 1024
    assert int(told.stdout) * scale < 32 << 20
