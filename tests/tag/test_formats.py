"""What tagging writes: every format, of any text."""

import io
import json
import os
import re
import subprocess
import sys
from itertools import chain

import pytest
from helpers.brat import offsets_hold
from helpers.made_model import made

import kd_jax
from kd_jax.corpora.conll import parse, write_split
from kd_jax.tagging.reading import documents, records

TEXT = "\ufeffXGene1 aken. Ul XGene2\r\n\r\nXGene3 \U0001f600 שלום XGene4\nel XGene5"


def test_jsonl_is_a_line_a_line(ask, tmp_path):
    (tmp_path / "a.txt").write_bytes(TEXT.encode())
    out = ask(tmp_path / "a.txt", format="jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    assert [r["text"] for r in records] == [line.rstrip("\r") for line in TEXT.split("\n")]
    found = [(r["text"], e) for r in records for e in r["entities"]]
    assert found
    assert all(set(e) == {"text", "type", "start", "end", "score"} for _, e in found)
    assert all(text[e["start"] : e["end"]] == e["text"] for text, e in found)
    records = [json.loads(s) for s in ask(tmp_path / "a.txt", format="jsonl", record="paragraph").splitlines()]
    assert [r["text"].count("\n") for r in records] == [0, 1]


def test_jsonl_in_keeps_what_it_had(ask, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 7, "text": "XGene1 aken \\ud800"}\n\n{"text": ""}\n')
    out = ask(tmp_path / "a.jsonl", format="jsonl", out=tmp_path / "b.jsonl")
    first, second = (json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines())
    assert out == ""
    assert (first["id"], first["text"]) == (7, "XGene1 aken \ud800")
    assert second == {"text": "", "entities": []}


def test_conll_keeps_lines_and_adds_a_tag(ask, tmp_path, folder):
    corpus, _, _ = made(tmp_path / "m")
    write_split(tmp_path / "test.tsv", corpus.splits["test"])
    out = ask(tmp_path / "test.tsv", format="conll")
    lines = (tmp_path / "test.tsv").read_text().splitlines()
    assert [line.rpartition("\t")[0] for line in out.splitlines()][: len(lines)] == lines
    (tmp_path / "out.tsv").write_text(out)
    assert [len(t) for t in parse(tmp_path / "out.tsv").tokens] == [len(s.tokens) for s in corpus.splits["test"]]
    (tmp_path / "one.conll").write_text("-DOCSTART-\n\nXGene1\naken\n\n")
    out = ask(tmp_path / "one.conll", format="conll")
    assert [line.split("\t")[0] for line in out.splitlines()] == ["-DOCSTART-", "", "XGene1", "aken", ""]


@pytest.mark.parametrize("record", ["line", "paragraph"])
def test_brat_offsets_are_into_the_file(ask, tmp_path, record):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(TEXT.encode() * 3)
    (tmp_path / "in" / "b.txt").write_bytes(b"")
    (tmp_path / "in" / "c.tsv").write_text("XGene1\tO\nXGene1\tO\n\naken\tO\nXGene2\tO\n")
    ask(tmp_path / "in", format="brat", out=tmp_path / "out", record=record)
    assert (tmp_path / "out" / "a.txt").read_bytes() == TEXT.encode() * 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{n}.{e}" for n in "abc" for e in ("ann", "txt")]
    assert offsets_hold(tmp_path / "out") > 3


@pytest.mark.slow
def test_brat_of_a_real_corpus(ask, tmp_path, real_corpora):
    ask(real_corpora / "NCBI-disease-IOB/test.tsv", format="brat", out=tmp_path / "out")
    assert offsets_hold(tmp_path / "out") > 100


HOSTILE = {
    "nothing": "",
    "no blank": "XGene" * 20_000,
    "brackets and hyphens without a blank": "(XGene1-[aken]/" * 3_000,
    "emoji": "\U0001f469\u200d\U0001f52c XGene1\U0001f600XGene2 \U0001f1e9\U0001f1ea" * 200,
    "accents of their own": "XGe\u0301ne1 ake\u0308n\u0301 " * 300,
    "control characters": "\0XGene1\x1b[31m\x7f\x0b\x0c\x1c\x85XGene2\u2028\u2029 \rXGene3" * 300,
    "right to left": "\u202eשלום XGene1 עולם\u202c، مرحبا XGene2 \u200f" * 300,
    "blanks": " \t\u00a0\u3000" * 2_000,
    "a byte order mark inside": "aken \ufeffXGene1\ufeff",
}


def hostile_lines():
    """A text each that is one line."""
    return [text.replace("\n", " ") for text in HOSTILE.values()]


@pytest.mark.parametrize("given", ["text", "jsonl"])
def test_hostile_text_as_jsonl(ask, tmp_path, given):
    texts = hostile_lines()
    lines = texts if given == "text" else [json.dumps({"text": text, "id": i}) for i, text in enumerate(texts)]
    path = tmp_path / f"a.{'txt' if given == 'text' else 'jsonl'}"
    path.write_bytes("\n".join(lines).encode())
    records = [json.loads(line) for line in ask(path, format="jsonl").split("\n")[:-1]]
    assert [r["text"] for r in records] == [text.rstrip("\r") for text in texts]
    for record in records:
        ends = [0, *(e["end"] for e in record["entities"])]
        for e, last in zip(record["entities"], ends, strict=False):
            assert last <= e["start"] < e["end"]
            assert record["text"][e["start"] : e["end"]] == e["text"]
    assert sum(bool(record["entities"]) for record in records) >= 5


@pytest.mark.parametrize("record", ["line", "paragraph"])
def test_hostile_text_as_brat(ask, tmp_path, record):
    (tmp_path / "a.txt").write_bytes("\n".join(hostile_lines()).encode())
    ask(tmp_path / "a.txt", format="brat", out=tmp_path / "out", record=record)
    assert (tmp_path / "out" / "a.txt").read_bytes() == (tmp_path / "a.txt").read_bytes()
    assert offsets_hold(tmp_path / "out") > 100


def test_hostile_text_as_conll(ask, tmp_path):
    """Tokens are the text's own, in order, with nothing left out that prints; what is written can be read."""
    (tmp_path / "a.txt").write_bytes("\n".join(hostile_lines()).encode())
    (tmp_path / "a.tsv").write_bytes(ask(tmp_path / "a.txt", format="conll").encode())
    text, at = "\n".join(hostile_lines()), 0
    for token in chain(*parse(tmp_path / "a.tsv").tokens):
        place = text.index(token, at)
        assert not any(char.isalnum() for char in text[at:place])
        at = place + len(token)
    assert not any(char.isalnum() for char in text[at:])


def test_hostile_text_on_a_terminal(ask):
    for text in hostile_lines():
        out = ask(text=text, format="terminal")
        assert all(char.isprintable() or char in "\n\t" for char in out)
        assert "".join(filter(str.isalnum, re.sub(r" Gene \d\.\d\d\]", "", out))) == "".join(filter(str.isalnum, text))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no blank", "brackets and hyphens without a blank", "control characters"])
@pytest.mark.parametrize("format_", ["terminal", "conll", "jsonl", "brat"])
def test_a_megabyte_of_hostile_text_through_the_process(folder, tmp_path, name, format_):
    text = (HOSTILE[name] * (1 + 1_000_000 // len(HOSTILE[name])))[:1_000_000].replace("\n", " ")
    (tmp_path / "a.txt").write_bytes(text.encode())
    out = tmp_path / ("out" if format_ == "brat" else "out.txt")
    command = [sys.executable, "-m", "kd_jax.tag", f"--model={folder}", f"--format={format_}", f"--out={out}"]
    subprocess.run([*command, tmp_path / "a.txt"], check=True)
    if format_ == "brat":
        assert offsets_hold(out) > 0
    elif format_ == "jsonl":
        (record,) = map(json.loads, out.read_text(encoding="utf-8").split("\n")[:-1])
        assert record["text"] == text.rstrip("\r")
        assert all(record["text"][e["start"] : e["end"]] == e["text"] for e in record["entities"])
    elif format_ == "conll":
        tokens = "".join(chain(*parse(out).tokens))
        assert "".join(filter(str.isalnum, tokens)) == "".join(filter(str.isalnum, text))
    else:
        assert "\x1b" not in out.read_text(encoding="utf-8")


def test_terminal(ask):
    out = ask(text="XGene1 aken\x1b[31m XGene2", format="terminal")
    assert "\x1b" not in out
    assert re.search(r"Gene \d\.\d\d\]", out)


def test_entities_of_a_low_score_are_left_out_in_every_format(ask, tmp_path, folder):
    text = " ".join(f"XGene{i} aken ul." for i in range(40))
    (tmp_path / "a.txt").write_text(text)
    (record,) = map(json.loads, ask(tmp_path / "a.txt", format="jsonl").splitlines())
    scores = sorted(entity["score"] for entity in record["entities"])
    least = scores[len(scores) // 2]
    kept = [entity for entity in record["entities"] if entity["score"] >= least]
    assert 0 < len(kept) < len(scores)
    (sparse,) = map(json.loads, ask(tmp_path / "a.txt", format="jsonl", min_score=least).splitlines())
    assert sparse["entities"] == kept
    assert ask(tmp_path / "a.txt", format="terminal", min_score=least).count("[") == len(kept)
    assert ask(tmp_path / "a.txt", format="brat", min_score=least).count("\n") == len(kept)
    tags = [
        line.split("\t")[1] for line in ask(tmp_path / "a.txt", format="conll", min_score=least).split("\n") if line
    ]
    assert sum(tag.startswith("B-") for tag in tags) == len(kept)
    assert kd_jax.load(folder, min_score=least)(text) == [s for s in kd_jax.load(folder)(text) if s.score >= least]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "given"),
    [("jsonl", '{"text": "XGene1 aken"}\n\n'), ("text", "XGene1 aken\n"), ("conll", "XGene1\r\naken\r\n\r\n")],
)
def test_standard_input_is_answered_when_no_more_is_at_hand(folder, monkeypatch, kind, given):
    """A program that waits for each answer before it asks again would wait for ever."""
    ours, theirs = os.pipe()
    with open(ours, "rb") as stdin, open(theirs, "wb", buffering=0) as client:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
        tagger = kd_jax.load(folder)
        answers = tagger.stream(records(tagger, documents(["-"], kind)[0], "line"))
        for _ in range(3):
            client.write(given.encode())
            assert next(answers).record.text == "XGene1 aken"
        client.write(given.encode() * 2 + given.encode()[:9])
        assert [next(answers).record.text for _ in range(2)] == ["XGene1 aken"] * 2
        client.write(given.encode()[9:])
        client.close()
        assert [answer.record.text for answer in answers] == ["XGene1 aken"]
