"""The examination of a corpus's files, on a corpus of which everything is known."""

from pathlib import Path

import pytest

from kd_jax.corpora.check import describe, examine
from kd_jax.corpora.registry import Entry, SplitFacts, registry

TRAIN = "a\tB-X\nb\tI-X\n\nα\tO\nαβ\tB-Y\n\na\tO\nb\tO\n\n-DOCSTART-\tO\n\nccccc\tB-X\n"
TEST = "d\tO\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.tsv").write_text(TRAIN)
    (tmp_path / "test.tsv").write_text(TEST)
    return tmp_path


def entry(train: SplitFacts, types=("X", "Y")) -> Entry:
    return Entry("mine", ("mine",), types, {"train": train, "test": SplitFacts(1, 1, 0)})


def test_everything_is_counted(folder):
    report = examine(folder, "mine")
    train, test = report.files
    assert report.well
    assert (train.split, train.scheme) == ("train", "IOB2")
    assert (train.sentences, train.tokens, train.duplicates) == (4, 7, 1)
    assert train.entities == {"X": 2, "Y": 1}
    assert train.tags == {"O": 3, "B-X": 2, "I-X": 1, "B-Y": 1}
    assert train.longest_sentence == (2, 1)
    assert train.longest_token == (5, 12)
    assert train.non_ascii == {"α": 2, "β": 1}
    assert train.published is None
    assert (test.sentences, test.tokens, test.entities.total()) == (1, 1, 0)
    told = "\n".join(describe(report))
    for part in ("IOB2", "2 (line 1)", "5 (line 12)", "B-Y 1", "entities of X: 2 (train 2, test 0)", "'α' (U+03B1) 2"):
        assert part in told


@pytest.mark.parametrize(
    ("facts", "types", "words"),
    [
        (SplitFacts(5, 7, 3, 1, "0" * 64), ("X", "Y"), "train.tsv: 4 sentences, expected 5"),
        (SplitFacts(4, 8, 3), ("X", "Y"), "train.tsv: 7 tokens, expected 8"),
        (SplitFacts(4, 7, 2), ("X", "Y"), "train.tsv: 3 entities, expected 2"),
        (SplitFacts(4, 7, 3), ("X",), "entity type 'Y' is not expected"),
    ],
)
def test_a_difference_from_the_registry_is_told(folder, facts, types, words):
    report = examine(folder, "mine", entry(facts, types))
    assert not report.well
    assert f"DIFFERENT: {words}" in "\n".join(describe(report))
    assert examine(folder, "mine", entry(SplitFacts(4, 7, 3))).well


def test_sentence_breaks_of_a_file_without_a_sum_have_a_little_slack():
    unpinned = SplitFacts(1000, 1, 1)
    assert not unpinned.differences(990, 1, 1)
    assert unpinned.differences(989, 1, 1)
    assert unpinned.differences(1000, 2, 1)
    assert SplitFacts(1000, 1, 1, 9, "0" * 64).differences(999, 1, 1)


def test_every_fault_is_told_and_the_other_files_are_examined(folder):
    (folder / "train.tsv").write_text("a\tI-X\n" + "b\tO\nc\tI-X\n" * 9)
    (folder / "devel.tsv").write_bytes(b"\xff\xfea")
    report = examine(folder, "mine")
    train, devel, test = report.files
    assert not report.well
    assert train.faults_in_all == 10
    assert train.tokens == 19
    assert devel.faults[0].startswith(f"{folder}/devel.tsv:1: the file is UTF-16")
    assert not test.faults
    told = "\n".join(describe(report))
    assert f"FAULT: {folder}/train.tsv:1: 'I-X' at the start of a sentence" in told
    assert "train.tsv: 5 more faults" in told


def test_what_is_missing_is_told(folder):
    (folder / "test.tsv").unlink()
    assert "  MISSING: test.tsv is missing" in describe(examine(folder, "mine"))
    (folder / "train.txt").touch()
    assert "both look like train" in "\n".join(describe(examine(folder, "mine")))
    assert "no such folder" in "\n".join(describe(examine(folder / "absent", "mine")))


def test_the_real_files_are_the_published_ones(real_corpora):
    for name, folder in (("NCBI", "NCBI-disease-IOB"), ("ExPTM", "Ex-PTM-IOB")):
        report = examine(real_corpora / folder, name, registry()[name])
        assert report.well
        assert [file.published for file in report.files] == [True] * 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("".join(f"{i}\tw\tO\n" for i in range(12)), "train.tsv:1: the first column only counts"),
        ("".join(f"{i}\tw\tO\n" + "\n" * (i % 4 == 3) for i in range(12)), "train.tsv:1: the first column only counts"),
        ("1\tw\tO\n2\tw\tO\n3\tw\tO\n\n" * 5, "train.tsv:1: the first column only counts"),
        ("".join(f"{i}\tw\tO\n" if i % 4 else "\n" for i in range(1, 20)), "train.tsv:1: the first column only counts"),
        ("a\tO\nb\tO\n\n\ufeffc\tO\n", "train.tsv:4: a byte order mark in mid-file"),
        ('a\tO\n""""\tO\n', "train.tsv:2: quotes doubled by a csv writer"),
        ('a\tO\n"say ""x"""\tO\n', "train.tsv:2: quotes doubled by a csv writer"),
        ("a\tO\n\n" * 12, "train.tsv:1: every sentence is one token"),
    ],
)
def test_what_a_spreadsheet_made_of_a_corpus_is_noticed(folder, content, says):
    (folder / "train.tsv").write_text(content)
    report = examine(folder, "mine")
    assert not report.well
    assert f"  NOTICED: {folder}/{says}" in "\n".join(describe(report))


@pytest.mark.parametrize(
    "content",
    [
        "1\tO\n2\tO\n",
        "".join(f"{n}\tO\n" for n in (1, 2, 3, 50, 4, 5, 6, 7, 8, 9, 10)),
        '"\tO\n""\tO\n"a"\tO\n',
        "\ufeffa\tO\nb\tO\n",
        "a\tO\r\r\nb\tO\r\r\n" * 20,
    ],
)
def test_what_a_corpus_may_hold_is_not_noticed(folder, content):
    (folder / "train.tsv").write_bytes(content.encode())
    assert examine(folder, "mine").well


def test_bare_tags_are_said_with_their_type(folder):
    (folder / "train.tsv").write_text("a\tB\nb\tI\n\nc\tO\n")
    report = examine(folder, "mine", entity_type="Gene")
    assert report.well
    assert report.files[0].entities == {"Gene": 1}
    assert "bare tags in train.tsv: read as Gene" in "\n".join(describe(report))


def test_files_that_look_like_a_missing_split_are_said(folder):
    (folder / "devel.csv").touch()
    assert "  not read: devel.csv; devel is called" in "\n".join(describe(examine(folder, "mine")))
