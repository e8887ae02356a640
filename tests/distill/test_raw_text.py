"""Text without labels: read whatever it is written in, cut as corpora are, sampled evenly and never held whole."""

import json

import numpy as np
import pytest

from kd_jax.distill import raw_text
from kd_jax.distill.raw_text import LONGEST, read_text
from kd_jax.errors import InputError
from kd_jax.tagging import reading
from kd_jax.tagging.reading import LARGEST_BLOCK, documents

TEXT = "IL-2 binds p53. It acts.\nNo verb here\n\nA second paragraph of p53."
FINE = [
    ("IL", "-", "2", "binds", "p53", "."),
    ("It", "acts", "."),
    ("No", "verb", "here"),
    ("A", "second", "paragraph", "of", "p53", "."),
]


def numbered(path, n):
    path.write_text("\n\n".join(f"Word{i} stands." for i in range(n)), encoding="utf-8")
    return path


def numbers(text):
    return [int(sentence.tokens[0].removeprefix("Word")) for sentence in text.sentences]


def test_every_format_and_a_folder_of_them(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    lines = [{"text": "IL-2 binds p53. It acts."}, {"text": "No verb here\n\nA second paragraph of p53."}]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (tmp_path / "c.tsv").write_text("".join("".join(f"{t}\tB-X\n" for t in s) + "\n" for s in FINE), encoding="utf-8")
    for name in ("a.txt", "b.jsonl", "c.tsv"):
        text = read_text(tmp_path / name, "fine", 9)
        assert [s.tokens for s in text.sentences] == FINE
        assert {tag for s in text.sentences for tag in s.tags} == {"O"}
    assert [s.tokens for s in read_text(tmp_path, "fine", 99).sentences] == FINE * 3
    assert read_text(tmp_path / "a.txt", "genia", 9).sentences[0].tokens == ("IL-2", "binds", "p53", ".")


def test_a_sample_is_bounded_in_order_and_the_same_each_time(tmp_path):
    path = numbered(tmp_path / "a.txt", 50)
    text = read_text(path, "fine", 8)
    assert (len(text.sentences), text.read) == (8, 50)
    assert numbers(text) == sorted(set(numbers(text)))
    assert read_text(path, "fine", 8) == text
    assert read_text(path, "fine", 9).content != text.content
    assert numbers(read_text(path, "fine", 99)) == [*range(50)]


def test_every_sentence_is_as_likely(tmp_path, monkeypatch):
    path, runs, seed = numbered(tmp_path / "a.txt", 10), 300, iter(range(10**6))
    real = np.random.default_rng
    monkeypatch.setattr(raw_text.np.random, "default_rng", lambda _: real(next(seed)))
    counts = np.bincount([n for _ in range(runs) for n in numbers(read_text(path, "fine", 3))], minlength=10)
    assert np.abs(counts - 0.3 * runs).max() < 5 * (runs * 0.3 * 0.7) ** 0.5


def test_what_is_too_long_is_left_out_and_counted(tmp_path):
    (tmp_path / "a.txt").write_text("word " * (LONGEST + 1) + "\n\nShort.", encoding="utf-8")
    text = read_text(tmp_path / "a.txt", "fine", 9)
    assert (len(text.sentences), text.read, text.too_long) == (1, 2, 1)


def test_text_without_blank_lines_is_read_in_blocks_of_whole_lines(tmp_path):
    """A sentence a line is the usual raw text; held as one paragraph it would be the whole file."""
    lines = [f"Word{i} stands here and says nothing.\n" for i in range(5000)]
    (tmp_path / "a.txt").write_text("".join(lines), encoding="utf-8")
    blocks = [block for block in reading._blocks(documents([tmp_path / "a.txt"], None)[0], "paragraph") if block]
    assert "".join(blocks) == "".join(lines)
    assert all(block.endswith("\n") and len(block) < 1.1 * LARGEST_BLOCK for block in blocks)
    assert numbers(read_text(tmp_path / "a.txt", "fine", 9999)) == [*range(5000)]


def test_what_of_a_folder_is_not_read_is_said(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a.txt", "b.md", "sub/c.txt"):
        (tmp_path / name).write_text("It acts.", encoding="utf-8")
    said = []
    assert read_text(tmp_path, "fine", 9, said.append).read == 1
    assert "folders sub/; files of other endings b.md" in said[0]


def test_no_text_is_one_line(tmp_path):
    (tmp_path / "a.txt").write_text(" \n\n")
    with pytest.raises(InputError, match="holds no sentence"):
        read_text(tmp_path / "a.txt", "fine", 9)
    with pytest.raises(InputError, match="no such file or folder"):
        read_text(tmp_path / "b.txt", "fine", 9)
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(InputError, match=r"a\.json: \.json is no text; write an object a line, as \.jsonl"):
        read_text(tmp_path / "a.json", "fine", 9)
