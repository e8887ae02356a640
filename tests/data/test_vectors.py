"""Word vectors: every form of file gives the same table."""

import gzip
import re
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest
from helpers.made_vectors import FORMS, VECTORS, WORDS, binary, npy, text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd_jax.data.vectors import load_vectors

many_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


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
