"""The CoNLL reader: schemes, faults by line, and whatever bytes a file may hold."""

import io
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from seqeval.scheme import IOB1, IOB2, IOBES, Tokens

from kd_jax.corpora.conll import read_corpus, read_split, write_split
from kd_jax.corpora.lines import chunks, split_lines, stream_lines
from kd_jax.errors import InputError
from kd_jax.structs import Sentence

SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "IOBES": IOBES}
many_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "train.tsv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def lines(*tags: str) -> str:
    return "".join(f"w{i}\t{tag}\n" for i, tag in enumerate(tags))


def spelled(entities: list[tuple[str, int]], scheme: str) -> list[str]:
    """Tags of a row of entities (type, length), type "" meaning outside, spelled out by each scheme's definition."""
    tags: list[str] = []
    for i, (kind, length) in enumerate(entities):
        if not kind:
            tags += ["O"] * length
        elif scheme == "IOB2":
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
        elif scheme == "IOB1":
            touching = i > 0 and entities[i - 1][0] == kind
            tags += [f"{'B' if touching else 'I'}-{kind}", *[f"I-{kind}"] * (length - 1)]
        elif length == 1:
            tags.append(f"S-{kind}")
        else:
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 2), f"E-{kind}"]
    return tags


entity_rows = st.lists(st.tuples(st.sampled_from(["", "Gene", "E", "B-x"]), st.integers(1, 4)), min_size=1, max_size=6)


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IOBES"])
@many_files
@given(rows=st.lists(entity_rows, min_size=1, max_size=4))
def test_every_scheme_comes_in_as_iob2(scheme, rows, tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text("\n".join(lines(*spelled(row, scheme)) for row in rows))
    asked = scheme if scheme == "IOB1" else None
    assert [list(s.tags) for s in read_split(path, asked)] == [spelled(row, "IOB2") for row in rows]


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IOBES"])
@many_files
@given(
    tags=st.lists(
        st.sampled_from(["O", *(p + k for p in ("B-", "I-", "E-", "S-") for k in "XY")]), min_size=1, max_size=6
    )
)
def test_tags_are_refused_where_the_scheme_as_defined_cannot_have_them(scheme, tags, tmp_path):
    """A sequence is legal if spelling out its entities, as seqeval reads them, gives the sequence back."""
    path = tmp_path / "train.tsv"
    path.write_text(lines(*tags))
    legal = False
    if all(tag[0] in {"IOBES": "OBIES"}.get(scheme, "OBI") for tag in tags):
        entities = {e.start: (e.tag, e.end - e.start) for e in Tokens(tags, SEQEVAL[scheme]).entities}
        row, at = [], 0
        while at < len(tags):
            row.append(entities.get(at, ("", 1)))
            at += row[-1][1]
        legal = spelled(row, scheme) == tags
    if legal:
        assert list(read_split(path, scheme)[0].tags) == spelled(row, "IOB2")
    else:
        with pytest.raises(InputError, match=r"train\.tsv:\d+: "):
            read_split(path, scheme)


token_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\r\n\0"), min_size=1, max_size=12)
clean_tokens = token_texts.filter(lambda t: t == t.strip(" ") and not t.startswith(("-DOCSTART-", "\ufeff")))


@many_files
@given(
    st.lists(
        st.lists(st.tuples(clean_tokens, st.sampled_from(["O", "B-Gene", "B-cell line"])), min_size=1, max_size=8),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]),
    st.booleans(),
)
def test_written_sentences_are_read_back(tmp_path, made, line_end, mark):
    sentences = tuple(Sentence(*map(tuple, zip(*rows, strict=True))) for rows in made)
    path = tmp_path / "train.tsv"
    write_split(path, sentences)
    assert read_split(path) == sentences
    plain = path.read_bytes()
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + plain.replace(b"\n", line_end.encode()))
    assert read_split(path) == sentences
    assert os.listdir(tmp_path) == ["train.tsv"]


@pytest.mark.parametrize("token", ["", "a\tb", "a\nb", "a\rb", " a", "-DOCSTART-", "a\0", "\ud800"])
def test_a_token_that_no_line_can_hold_is_not_written(tmp_path, token):
    path = tmp_path / "train.tsv"
    path.write_text("before")
    with pytest.raises(ValueError):  # noqa: PT011
        write_split(path, [Sentence((token, "b"), ("O", "O"))])
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["train.tsv"]


def test_columns_by_tabs_or_spaces_first_and_last(file):
    expected = (Sentence(("IL-2", "gene"), ("B-DNA", "I-DNA")), Sentence(("a b",), ("O",)))
    assert read_split(file("IL-2\tB-DNA\ngene\tI-DNA\n \t \n\na b\tO")) == expected
    assert read_split(file("IL-2  NN  x B-DNA \ngene NN y I-DNA\n\n"))[0] == expected[0]
    assert read_split(file("IL-2\tNN\tB-DNA\t\ngene \tNN\t I-DNA\n\n"))[0] == expected[0]
    assert read_split(file("a\u00a0b O\n\u2028\tO\n"))[0].tokens == ("a\u00a0b", "\u2028")


def test_document_marks_are_no_sentences(file):
    text = "-DOCSTART-\tO\n\na\tO\n-DOCSTART- -X- -X- O\nb\tO\n\n-DOCSTART- (1)\tO\n"
    assert [s.tokens for s in read_split(file(text))] == [("a",), ("b",)]
    text = (
        "###MEDLINE:95369245\n\n# newdoc id = 1\n# sent_id = 2\n# text = a b is O\na\tO\n\n#begin document (x)\nb\tO\n"
    )
    assert [s.tokens for s in read_split(file(text))] == [("a",), ("b",)]
    assert [s.tokens for s in read_split(file("#\tO\n# a\tO\n#1 = 2\tO\n"))] == [("#", "# a", "#1 = 2")]
    assert [s.tokens for s in read_split(file("# O\n= O\n"))] == [("#", "=")]


def test_bare_tags_have_the_type_that_is_given_or_the_folders_name(file):
    path = file("a\tB\nb\tI\n\nc\tO\n")
    assert read_split(path, entity_type="Gene")[0].tags == ("B-Gene", "I-Gene")
    assert read_split(path)[0].tags == (f"B-{path.parent.name}", f"I-{path.parent.name}")
    assert read_split(file("a I\nb B\n"), "IOB1", "X")[0].tags == ("B-X", "B-X")
    assert read_split(file("a S\nb B\nc E\n"), None, "X")[0].tags == ("B-X", "B-X", "I-X")
    with pytest.raises(InputError, match=r"train\.tsv:1: 'I-X' at the start"):
        read_split(file("a\tI\n"), entity_type="X")


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("a\tO\nb\n", 2, "one column, 'b'"),
        ("a\tO\nb\t\n", 2, "one column"),
        ("a\tO\nb\tX-Gene\n", 2, "'X-Gene' is no tag"),
        ("a\tB\nb\tI-X\n", 1, "'B' has no type"),
        ("a\tB-X\nb\tI\n", 2, "'I' has no type"),
        ("a\tX\n", 1, "'X' is no tag"),
        (b"a\tO\rb\xff\tO\r", 2, "byte 0xff is no UTF-8"),
        ("a\tB-\n", 1, "'B-' is no tag"),
        ("a\tO\n\nb\tO\nc\tI-Gene\n", 4, "'I-Gene' after 'O'.*'B-Gene'"),
        ("\na\tI-Gene\n", 2, "'I-Gene' at the start of a sentence"),
        ("a\tB-X\nb\tI-Y\n", 2, "'I-Y' after 'B-X'"),
        ("a\tB-X\nb\tO\nc\tS-X\n", 1, "'B-X' is not ended, in IOBES"),
        ("a\tS-X\nb\tB-X\n", 2, "'B-X' is not ended, in IOBES"),
        ("a\tO\nb\tc\tO\n", 2, "3 columns where the lines before have 2"),
        ("a\tO\n\tO\n", 2, "no token"),
        (b"a\tO\n\nb\xff\tO\n", 3, "byte 0xff is no UTF-8"),
        (b"a\tO\n\xed\xa0\x80\tO\n", 2, "no UTF-8"),
        (b"a\tO\nb\0\tO\n", 2, "NUL"),
        ("a\tO\n".encode("utf-16"), 1, "UTF-16"),
        ("a\tO\n".encode("utf-16-be"), 1, "NUL"),
    ],
)
def test_a_fault_is_named_by_line_with_its_remedy(file, content, line, words):
    with pytest.raises(InputError, match=rf"train\.tsv:{line}: .*{words}"):
        read_split(file(content))


@pytest.mark.parametrize("content", ["", "\n\n", "-DOCSTART-\tO\n\n", "\ufeff"])
def test_a_file_without_a_sentence_is_refused(file, content):
    with pytest.raises(InputError, match=r"train\.tsv: (is empty|holds no sentence); each line should be"):
        read_split(file(content))


def test_iob1_only_when_asked_for(file):
    path = file(lines("O", "I-X", "B-X"))
    with pytest.raises(InputError, match=r":2: .*IOB1"):
        read_split(path)
    assert read_split(path, "iob1")[0].tags == ("O", "B-X", "B-X")
    with pytest.raises(InputError, match=r"did you mean .*'IOB1'"):
        read_split(path, "IOB3")


def test_long_tokens_and_sentences(file):
    token, length = "x" * 500, 5000
    (sentence,) = read_split(file(f"{token}\tB-Gene\n" * length))
    assert sentence == Sentence((token,) * length, ("B-Gene",) * length)


def test_a_message_stays_short(file):
    with pytest.raises(InputError) as caught:
        read_split(file("y" * 100_000))
    assert len(str(caught.value)) < len(str(file(""))) + 150


def test_what_is_no_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "train.tsv")
    (tmp_path / "test.tsv").mkdir()
    for name in ("train.tsv", "test.tsv", "devel.tsv", "x" * 300):
        with pytest.raises(InputError):
            read_split(tmp_path / name)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "train.tsv"
    with path.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(InputError, match="larger than"):
        read_split(path)


pieces = st.sampled_from(
    [
        b"a",
        b"\t",
        b" ",
        b"\n",
        b"\n\n",
        b"O",
        b"B-X",
        b"I-X",
        b"E-X",
        b"-DOCSTART-",
        b"\r",
        b"\xc3\xa9",
        b"e\xcc\x81",
        b"\xef\xbb\xbf",
        b"\0",
    ]
)


@many_files
@given(st.one_of(st.binary(max_size=200), st.lists(pieces, max_size=60).map(b"".join)), st.sampled_from([None, "IOB1"]))
def test_any_bytes_are_read_or_refused(tmp_path, content, scheme):
    path = tmp_path / "train.tsv"
    path.write_bytes(content)
    sentences, fault = (), None
    try:
        sentences = read_split(path, scheme)
    except InputError as refusal:
        fault = str(refusal)
    assert (fault is None) == bool(sentences)
    assert fault is None or (fault.startswith(str(path)) and "\n" not in fault)
    for sentence in sentences:
        assert len(sentence.tokens) == len(sentence.tags)
        assert all(token.encode() in content for token in sentence.tokens)
        for previous, tag in zip(("O", *sentence.tags), sentence.tags, strict=False):
            assert tag == "O" or tag[0] == "B" or (tag[0] == "I" and tag[1:] == previous[1:])


def test_a_corpus_has_its_splits_in_order_and_all_types(tmp_path):
    (tmp_path / "test.txt").write_text(lines("B-Zebra", "I-Zebra"))
    (tmp_path / "dev.conll").write_text(lines("O"))
    (tmp_path / "train.iob").write_text(lines("S-Ant", "O"))
    corpus = read_corpus(tmp_path, "mine")
    assert corpus.name == "mine"
    assert list(corpus.splits) == ["train", "devel", "test"]
    assert corpus.labels == ("O", "B-Ant", "I-Ant", "B-Zebra", "I-Zebra")
    assert corpus.entity_types == ("Ant", "Zebra")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "train.tsv is missing .*no corpus"),
        (["train.tsv"], "test.tsv is missing .*only train.tsv"),
        (["test.tsv", "devel.tsv"], "train.tsv is missing"),
        (["train.tsv", "test.tsv", "test.txt"], "test.tsv and test.txt both look like test"),
        (["train.tsv", "test.tsv", "dev.tsv", "devel.tsv"], "both look like devel"),
    ],
)
def test_a_folder_must_hold_train_and_test_once(tmp_path, names, words):
    for name in names:
        (tmp_path / name).write_text(lines("O"))
    with pytest.raises(InputError, match=words):
        read_corpus(tmp_path, "mine")


def test_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not a folder"):
        read_corpus(tmp_path / "file", "mine")
    with pytest.raises(InputError, match="no such folder"):
        read_corpus(tmp_path / "absent", "mine")


@pytest.mark.parametrize("name", ["validation.tsv", "val.tsv", "Dev.tsv", "VALID.TXT", "devel.TSV"])
def test_devel_by_other_names_is_read(tmp_path, name):
    for file in ("Train.tsv", name, "test.tsv"):
        (tmp_path / file).write_text(lines("O"))
    assert list(read_corpus(tmp_path, "mine").splits) == ["train", "devel", "test"]


def test_a_link_that_leads_nowhere_is_no_missing_split(tmp_path):
    for file in ("train.tsv", "test.tsv"):
        (tmp_path / file).write_text(lines("O"))
    (tmp_path / "devel.tsv").symlink_to(".git/annex/objects/x")
    with pytest.raises(
        InputError, match=r"devel\.tsv: is a link to \.git/annex/objects/x, which is not there; .*annex get"
    ):
        read_corpus(tmp_path, "mine")
    with pytest.raises(InputError, match="a link that leads nowhere"):
        read_split(tmp_path / "devel.tsv")


def test_a_missing_split_names_what_may_have_been_meant(tmp_path):
    (tmp_path / "train.tsv").write_text(lines("O"))
    (tmp_path / "test_1.tsv").write_text(lines("O"))
    with pytest.raises(InputError, match=r"test\.tsv is missing \(there is only train\.tsv; test_1\.tsv: not read"):
        read_corpus(tmp_path, "mine")


@many_files
@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\r\n", b"\r\r\n"]), max_size=40).map(b"".join),
    st.lists(st.integers(1, 5), min_size=40, max_size=40),
)
def test_lines_of_a_stream_are_those_of_the_whole_however_it_comes(data, sizes):
    class Pieces(io.BytesIO):
        def read1(self, _):
            return self.read(sizes[self.tell() % len(sizes)])

    whole = split_lines(data.decode())
    streamed = [line.decode() for line in stream_lines(chunks(Pieces(data)))]
    assert streamed == (whole if whole[-1] else whole[:-1])
