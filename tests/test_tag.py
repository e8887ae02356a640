"""The command: what it reads and writes, and what it refuses."""

import json
import os
import subprocess
import sys

import pytest
from made_model import made

from kd_jax import tag
from kd_jax.data.conll import parse, write_split
from kd_jax.errors import InputError


@pytest.fixture
def ask(folder, capsysbinary, monkeypatch):
    """Tag, and give what goes to standard output, which the capture doesn't let be reconfigured."""

    def run(*names, **given):
        monkeypatch.setattr(sys.stdout, "reconfigure", lambda **_: None, raising=False)
        tag.tag(tag.Asked(**({"model": [str(folder)], "names": [str(name) for name in names]} | given)))
        return capsysbinary.readouterr().out.decode()

    return run


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
    out = ask(tmp_path / "a.jsonl", format="jsonl", out=str(tmp_path / "b.jsonl"))
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


def offsets_hold(folder):
    count = 0
    for path in folder.glob("*.ann"):
        with path.with_suffix(".txt").open(encoding="utf-8", newline="") as file:
            text = file.read()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            name, place, covered = line.split("\t")
            kind, _, places = place.partition(" ")
            assert name == f"T{number}"
            assert kind
            parts = [tuple(map(int, p.split())) for p in places.split(";")]
            assert " ".join(text[a:b] for a, b in parts) == covered
            assert "\n" not in covered
            count += 1
    return count


@pytest.mark.parametrize("record", ["line", "paragraph"])
def test_brat_offsets_are_into_the_file(ask, tmp_path, record):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(TEXT.encode() * 3)
    (tmp_path / "in" / "b.txt").write_bytes(b"")
    (tmp_path / "in" / "c.tsv").write_text("XGene1\tO\nXGene1\tO\n\naken\tO\nXGene2\tO\n")
    ask(tmp_path / "in", format="brat", out=str(tmp_path / "out"), record=record)
    assert (tmp_path / "out" / "a.txt").read_bytes() == TEXT.encode() * 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{n}.{e}" for n in "abc" for e in ("ann", "txt")]
    assert offsets_hold(tmp_path / "out") > 3


@pytest.mark.slow
def test_brat_of_a_real_corpus(ask, tmp_path, real_corpora):
    ask(real_corpora / "NCBI-disease-IOB/test.tsv", format="brat", out=str(tmp_path / "out"))
    assert offsets_hold(tmp_path / "out") > 100


def test_terminal(ask):
    out = ask(text="XGene1 aken\x1b[31m XGene2", format="terminal")
    assert "\x1b" not in out
    assert "Gene]" in out


def test_faults_are_named(ask, tmp_path):
    (tmp_path / "latin.txt").write_bytes(b"well\nna\xefve\n")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"txt": "b"}\n')
    (tmp_path / "no.jsonl").write_text("{\n")
    (tmp_path / "bad.tsv").write_text("a\tO\n\tO\n")
    (tmp_path / "empty").mkdir()
    for names, given, message in (
        ([tmp_path / "latin.txt"], {}, "latin.txt:2: byte 0xef is no UTF-8"),
        ([tmp_path / "bad.jsonl"], {}, "bad.jsonl:2: no text"),
        ([tmp_path / "no.jsonl"], {}, "no.jsonl:1: no JSON"),
        ([tmp_path / "bad.tsv"], {}, "bad.tsv:2: no token"),
        ([tmp_path / "missing.txt"], {}, "no such file or folder"),
        ([tmp_path / "empty"], {}, "holds no file that ends in"),
        (["a"], {"text": "b"}, "give either"),
        ([], {"model": []}, "--model=FOLDER is needed"),
        ([], {"model": [str(tmp_path)]}, "no model here"),
        ([tmp_path / "bad.tsv"], {"format": "brat", "out": str(tmp_path / "empty")}, "is there already"),
    ):
        with pytest.raises(InputError) as fault:
            ask(*names, **({"format": "jsonl", "out": str(tmp_path / "out")} | given))
        assert message in str(fault.value)
        assert "\n" not in str(fault.value)
        assert not (tmp_path / "out").exists()


def test_standard_input_as_a_process(folder):
    command = [sys.executable, "-m", "kd_jax.tag", f"--model={folder}", "--format=conll"]
    done = subprocess.run(command, input="XGene1 aken.\n", capture_output=True, text=True, check=True, env=os.environ)
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["XGene1", "aken", ".", ""]
    done = subprocess.run([*command, "nowhere.txt"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: nowhere.txt")
