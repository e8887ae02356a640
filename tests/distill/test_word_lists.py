"""The words that get vectors: never of test, most frequent spelling, deterministic, and faults in one line."""

import json
from collections import Counter
from pathlib import Path

import pytest

from kd_jax.distill.word_lists import corpus_forms, listed_forms, spellings, styles_of, text_forms
from kd_jax.errors import InputError
from kd_jax.settings import WordConfig
from kd_jax.structs import Corpus, Sentence
from kd_jax.tagging import reading
from kd_jax.tagging.tagger import Cutter

TEST_SENTENCE = "a hidden sentence about secret zebras in a distant country"


def corpus(**splits: str) -> Corpus:
    cut = {
        name: tuple(Sentence(tuple(line.split()), ("O",) * len(line.split())) for line in text.split("\n"))
        for name, text in splits.items()
    }
    return Corpus("Mine", cut, ("O",))


def test_words_come_from_the_splits_that_are_asked_for():
    mine = corpus(train="a b a", devel="c", test="d")
    assert corpus_forms([mine], ("train",)) == Counter(a=2, b=1)
    assert corpus_forms([mine, mine], ("train", "devel")) == Counter(a=4, b=2, c=2)
    assert corpus_forms([corpus(train="a")], ("train", "devel")) == Counter(a=1)  # without a devel split


def test_a_key_is_read_in_its_commonest_spelling():
    forms = Counter({"IL-2": 3, "il-2": 2, "IL-6": 4, "Alpha": 1, "alpha": 1, "x": 9})
    assert list(spellings(forms, WordConfig()).items()) == [("il-0", "IL-6"), ("x", "x"), ("alpha", "Alpha")]
    as_written = spellings(forms, WordConfig(lowercase=False, zero_digits=False))
    assert as_written == {form: form for form in forms}


def test_the_order_of_the_input_changes_nothing():
    forms = {"IL-2": 3, "IL-6": 3, "b": 1, "a": 1, "A": 1}
    backwards = dict(reversed(forms.items()))
    assert [*spellings(Counter(forms), WordConfig()).items()] == [*spellings(Counter(backwards), WordConfig()).items()]


def test_text_loses_the_sentences_of_test_splits(tmp_path):
    words = TEST_SENTENCE.split()
    mine = corpus(train="x y", test=TEST_SENTENCE)
    wrapped = f"Known words first. {' '.join(words[:4]).capitalize()}\n{' '.join(words[4:])}. Others later.\n"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.txt").write_text(wrapped)
    (tmp_path / "b.txt").write_text("\n\nlast β\n")
    (tmp_path / "c.pdf").write_text("never")
    forms, left_out = text_forms(tmp_path, styles_of([mine]), [mine])
    assert left_out == 1
    assert forms == Counter(["Known", "words", "first", ".", "Others", "later", ".", "last", "β"])
    everything, none = text_forms(tmp_path, styles_of([mine]))
    assert none == 0
    assert everything["zebras"] == 1


def test_text_in_other_formats_has_the_same_words(tmp_path):
    """JSON's keys and CoNLL's tags are no words, and test sentences are left out of any format."""
    mine = corpus(train="x y", test=TEST_SENTENCE)
    (tmp_path / "a.txt").write_text(f"Known words. {TEST_SENTENCE.capitalize()}.\n")
    line = json.dumps({"id": 7, "text": f"Known words. {TEST_SENTENCE.capitalize()}."})
    (tmp_path / "a.jsonl").write_text(line + "\n")
    rows = [["Known", "words", "."], [*TEST_SENTENCE.capitalize().split(), "."]]
    (tmp_path / "a.tsv").write_text("\n".join("".join(f"{token}\tB-Tag\n" for token in row) for row in rows))
    for name in ("a.txt", "a.jsonl", "a.tsv"):
        assert text_forms(tmp_path / name, ("fine", "genia"), [mine]) == (Counter({"Known": 2, "words": 2, ".": 2}), 1)


def test_a_long_paragraph_is_read_in_blocks(tmp_path, monkeypatch):
    """Blocks end with a line: no word is cut, and what is read at once is bounded."""
    monkeypatch.setattr(reading, "LARGEST_BLOCK", 10)
    (tmp_path / "a.txt").write_text("one two\nthree four\nfive six\n")
    blocks, read = [], Cutter.read
    monkeypatch.setattr(Cutter, "read", lambda self, text: blocks.append(text) or read(self, text))
    forms, _ = text_forms(tmp_path / "a.txt", ("fine",))
    assert blocks == ["one two\nthree four", "five six"]
    assert forms == Counter(["one", "two", "three", "four", "five", "six"])


def test_a_byte_order_mark_is_no_part_of_a_word(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffIL binds.".encode())
    assert text_forms(tmp_path / "a.txt", ("fine", "genia"))[0] == Counter({"IL": 2, "binds": 2, ".": 2})


def test_text_is_cut_as_each_corpus_is(tmp_path):
    (tmp_path / "t.txt").write_text("IL-2 binds.")
    genia = corpus(train="IL-2 binds NF-kappa-B .")
    fine = corpus(train="IL - 2 binds .")
    assert styles_of([]) == ("fine",)
    assert styles_of([fine, genia, fine]) == ("fine", "genia")
    forms, _ = text_forms(tmp_path / "t.txt", styles_of([fine, genia]))
    assert {"IL-2", "IL", "2", "-"} <= set(forms)


def test_a_list_of_words(tmp_path):
    path = tmp_path / "words"
    path.write_bytes("\ufeffp53\r\n\nβ\np53\n".encode())
    assert listed_forms(path) == Counter({"p53": 2, "β": 1})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good\ntwo words\n", r"list:2: 'two words' is more than one word; give one word a line"),
        (b"\n\n", r"list: holds no word"),
        (b"good\n\xff\n", r"list:2: byte 0xff is no UTF-8"),
        (None, r"list: can't be read: No such file"),
    ],
)
def test_faults_of_a_list_name_file_and_line(tmp_path, content, message):
    path: Path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        listed_forms(path)


def test_faults_of_text(tmp_path):
    with pytest.raises(InputError, match=r"holds no \.txt file"):
        text_forms(tmp_path, ("fine",))
    with pytest.raises(InputError, match=r"absent: no such file"):
        text_forms(tmp_path / "absent", ("fine",))
    for name, message in (("t.json", "write an object a line, as .jsonl"), ("t.txt.GZ", "unpack it")):
        (tmp_path / name).write_text("{}")
        with pytest.raises(InputError, match=rf"{name}: .* is no text; {message}"):
            text_forms(tmp_path / name, ("fine",))
    (tmp_path / "t.jsonl").write_text('{"text": "fine"}\n{"tokens": ["a"]}\n')
    with pytest.raises(InputError, match=r"t\.jsonl:2: no text"):
        text_forms(tmp_path / "t.jsonl", ("fine",))
    (tmp_path / "t.txt").write_bytes(b"fine\n\xe9\n")
    with pytest.raises(InputError, match=r"t\.txt:2: byte 0xe9"):
        text_forms(tmp_path, ("fine",))
