"""Pieces: cut as the reference tokenizer cuts, averaged, written and read back."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_jax.data.pieces import PieceTable, Rules, read_pieces
from kd_jax.errors import InputError

PIECES = (*"abcασé中-2", *(f"##{char}" for char in "abcασé中2"), "abc", "##bc", "##abca")
TABLE = PieceTable(PIECES, np.eye(len(PIECES), dtype=np.float32), Rules())


def spelt(table: PieceTable, word: str) -> list[str]:
    return [table.pieces[row] for row in table.cut(word)]


def test_the_longest_piece_counts():
    assert spelt(TABLE, "abcabca") == ["abc", "##abca"]
    assert spelt(TABLE, "abcbc") == ["abc", "##bc"]
    assert spelt(TABLE, "ABC-2") == ["abc", "-", "2"]
    assert spelt(TABLE, "aΣ") == ["a", "##σ"]  # a final sigma of text that is lower-cased as a whole would be ς
    assert spelt(TABLE, "axb") == []  # a part that can't be cut whole has no piece
    assert spelt(TABLE, "axb-2") == ["-", "2"]
    assert spelt(TABLE, "a" * 100) == ["a", *["##a"] * 99]
    assert spelt(TABLE, "a" * 101) == []


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_words_are_cut_as_the_reference_cuts_them(lowercase, strip_accents):
    tokenizers = pytest.importorskip("tokenizers", reason="the extra hf is not installed")
    vocabulary = {piece: i for i, piece in enumerate([*PIECES, "[UNK]"])}
    reference = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    reference.normalizer = tokenizers.normalizers.BertNormalizer(strip_accents=strip_accents, lowercase=lowercase)
    reference.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    table = PieceTable(PIECES, TABLE.vectors, Rules(lowercase=lowercase, strip_accents=strip_accents))
    hard = "abcABCαΑςΣéÉe\u0301中國-2/°½ⅷİßﬁ\u00ad\u200b\t\ufffd_$^`~|…“ "
    assigned = st.characters(exclude_categories=["Cs", "Cn"])  # what is assigned later, each knows by its own Unicode
    char = st.sampled_from(hard) | assigned

    @settings(max_examples=400, deadline=None)
    @given(st.text(char, max_size=24) | st.text("abc", max_size=110))
    def check(word: str) -> None:
        assert spelt(table, word) == [piece for piece in reference.encode(word).tokens if piece != "[UNK]"]

    check()


def test_a_word_is_the_mean_of_its_pieces():
    matrix, found = TABLE.words(["abc", "x", "abc-abc"])
    assert found.tolist() == [True, False, True]
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix[2], (2 * matrix[0] + TABLE.vectors[PIECES.index("-")]) / 3)
    assert not matrix[1].any()


def saved(path, **arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    path.write_bytes(content.getvalue())
    return path


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = PieceTable(("é", "##b"), np.array([[1, 2], [3, 4]], np.float32), Rules(lowercase=False, prefix="+"))
    read = read_pieces(saved(tmp_path / "v.npz", words=np.array(["x"]), **table.arrays()))
    assert read is not None
    assert (read.pieces, read.rules) == (table.pieces, table.rules)
    np.testing.assert_array_equal(read.vectors, table.vectors)


def test_files_without_a_table(tmp_path):
    assert read_pieces(saved(tmp_path / "v.npz", words=np.array(["x"]), vectors=np.ones((1, 2)))) is None
    (tmp_path / "v.txt").write_text("the 1 2\n")
    assert read_pieces(tmp_path / "v.txt") is None


@pytest.mark.parametrize(
    "change",
    [
        {"piece_vectors": np.ones((1, 2), np.float32)},
        {"piece_vectors": np.full((2, 2), np.nan, np.float32)},
        {"piece_rules": np.array([b"{"])},
        {"piece_rules": np.array([b'{"strange": 1}'])},
        {"pieces": np.array(["a", None], object)},
    ],
)
def test_a_damaged_table_is_one_line(tmp_path, change):
    arrays = PieceTable(("a", "##b"), np.ones((2, 2), np.float32), Rules()).arrays()
    path = saved(tmp_path / "v.npz", **(arrays | change))
    with pytest.raises(InputError, match=r"v\.npz: its table of pieces .*; make it anew") as fault:
        read_pieces(path)
    assert "\n" not in str(fault.value)
