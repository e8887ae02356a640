"""What tagging is given: models, files, folders, streams, and what it refuses."""

import io
import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from helpers.brat import offsets_hold
from helpers.made_model import made, made_of

import kd_jax
from kd_jax.corpora.conll import parse
from kd_jax.errors import InputError
from kd_jax.export import tag_files
from kd_jax.tagging.reading import documents, records
from kd_jax.tagging.writing import conll


def test_tasks_of_a_teacher(ask, tmp_path):
    made_of(tmp_path / "m", {"One": ("Gene",), "Two": ("Drug",)})
    text = " ".join(f"XGene{i} aken XDrug{i} ul." for i in range(20))
    asked = {"model": [str(tmp_path / "m")], "text": text, "format": "jsonl"}
    (record,) = map(json.loads, ask(task=["One", "Two"], **asked).splitlines())
    apart = {name: kd_jax.load(tmp_path / "m", task=name)(text) for name in ("One", "Two")}
    expected = sorted((name, *span) for name, spans in apart.items() for span in spans)
    assert sorted((e.pop("model"), *e.values()) for e in record["entities"]) == expected != []
    with pytest.raises(InputError, match="--task=One,Two"):
        ask(**asked)


def two_models(tmp_path):
    """Folders of two models of one corpus."""
    made(tmp_path / "one", name="Tiny")
    made(tmp_path / "two", name="Tiny", head="crf")
    return [tmp_path / "one", tmp_path / "two"]


def test_a_text_that_names_a_file_is_tagged_as_a_text_and_said(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "XGene1").write_text("aken\n")
    said = []
    monkeypatch.setattr(tag_files, "warn", said.append)
    assert json.loads(ask(text="XGene1", format="jsonl"))["text"] == "XGene1"
    assert said == ["XGene1: tagged as a text, though it is a file; to tag that, leave out --text"]
    ask(text="XGene2", format="jsonl")
    assert len(said) == 1


def test_two_models_of_one_corpus_are_told_apart_in_every_format(ask, tmp_path):
    models = two_models(tmp_path)
    text = " ".join(f"XGene{i} aken ul." for i in range(20))
    names = ["Tiny (one)", "Tiny (two)"]
    (record,) = map(json.loads, ask(text=text, model=models, format="jsonl").splitlines())
    assert {e["model"] for e in record["entities"]} == set(names)
    out = ask(text=text, model=models, format="terminal")
    assert [line.partition(": ")[0] for line in out.splitlines()] == names
    out = ask(text=text, model=models, format="conll")
    assert out.splitlines()[0] == "# global.columns = FORM Tiny_(one) Tiny_(two)"
    assert out.count("global.columns") == 1
    (tmp_path / "b.tsv").write_text(out)
    again = ask(tmp_path / "b.tsv", model=models, format="conll")
    assert again.splitlines()[0] == "# global.columns = FORM Tiny_(one) Tiny_(two) Tiny_(one) Tiny_(two)"
    assert again.count("global.columns") == 1
    (tmp_path / "c.tsv").write_text("-DOCSTART-\tO\n\n# sent_id = 1\naken\tNN\tO\n")
    again = ask(tmp_path / "c.tsv", model=models, format="conll").splitlines()
    assert again[:4] == [
        "# global.columns = FORM COLUMN2 COLUMN3 Tiny_(one) Tiny_(two)",
        "-DOCSTART-\tO",
        "",
        "# sent_id = 1",
    ]
    assert again[4].startswith("aken\tNN\tO\t")
    lines = ask(text=text, model=models, format="brat").splitlines()
    notes = dict(line.split("\t")[1:] for line in lines if line[0] == "#")
    marks = [line.split("\t")[0] for line in lines if line[0] == "T"]
    assert list(notes) == [f"AnnotatorNotes {mark}" for mark in marks]
    assert set(notes.values()) == set(names)
    twice = ask(text="aken", model=[models[0], models[0]], format="terminal")
    assert [line.partition(": ")[0] for line in twice.splitlines()] == ["Tiny (one) #1", "Tiny (one) #2"]
    models[1].rename(tmp_path / "in")
    (tmp_path / "in").rename(tmp_path / "b_in")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "b_in").rename(tmp_path / "deeper" / "one")
    alike = ask(text="aken", model=[models[0], tmp_path / "deeper" / "one"], format="terminal")
    assert [line.partition("): ")[0] for line in alike.splitlines()] == [
        f"Tiny ({models[0]}", f"Tiny ({tmp_path / 'deeper' / 'one'}",
    ]  # fmt: skip


def test_a_type_with_a_blank_is_one_word_in_brat(ask, tmp_path):
    made(tmp_path / "m", kinds=("cell line",))
    (tmp_path / "a.txt").write_text(" ".join(f"Xcell line{i} aken ul." for i in range(20)))
    ask(tmp_path / "a.txt", model=[tmp_path / "m"], format="brat", out=tmp_path / "out")
    assert offsets_hold(tmp_path / "out") > 0
    lines = (tmp_path / "out" / "a.ann").read_text().splitlines()
    assert {line.split("\t")[1].split(" ")[0] for line in lines} == {"cell_line"}


def test_jsonl_of_a_folder_names_the_files_and_what_is_not_read_is_said(ask, tmp_path):
    inside = tmp_path / "in"
    (inside / "deeper").mkdir(parents=True)
    (inside / ".hidden").mkdir()
    (inside / "a.txt").write_text("aken\n")
    (inside / "b.jsonl").write_text('{"text": "ul", "file": "theirs"}\n')
    (inside / "c.pdf").touch()
    (inside / "deeper" / "d.txt").write_text("aken\n")
    out = ask(inside, format="jsonl", out=tmp_path / "out.jsonl")
    assert out == ""
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [r["file"] for r in records] == [str(inside / "a.txt"), "theirs"]
    (record,) = map(json.loads, ask(inside / "a.txt", format="jsonl").splitlines())
    assert "file" not in record
    records = [
        json.loads(line) for line in ask(inside / "a.txt", inside / "deeper" / "d.txt", format="jsonl").splitlines()
    ]
    assert [r["file"] for r in records] == [str(inside / "a.txt"), str(inside / "deeper" / "d.txt")]


def test_what_of_a_folder_is_not_read_is_said(tmp_path):
    (tmp_path / "deeper").mkdir()
    for name in ("a.txt", "c.pdf", ".hidden.pdf"):
        (tmp_path / name).touch()
    said = []
    assert [document.name for document in documents([tmp_path], None, said.append)] == [str(tmp_path / "a.txt")]
    assert said == [f"{tmp_path}: not read: folders deeper/; files of other endings c.pdf; name them to have them read"]
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match=r"holds no file that ends in .* \(not read: folders deeper/; files of other"):
        documents([tmp_path], None)
    (tmp_path / "link.txt").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"link\.txt: a link that leads nowhere"):
        documents([tmp_path / "link.txt"], None)


CONLL = {
    "CR": "XGene1\tO\raken\tO\r\rul\tO\r",
    "CR LF": "XGene1\tO\r\naken\tO\r\n\r\nul\tO\r\n",
    "CR CR LF": "XGene1\tO\r\r\naken\tO\r\r\n\r\r\nul\tO\r\r\n",
    "a byte order mark": "\ufeffXGene1\tO\naken\tO\n\nul\tO\n",
    "comments": "# sent_id = 1\n# text = XGene1 aken O\nXGene1\tO\naken\tO\n\n###MEDLINE:1\n\nul\tO\n",
    "blanks": " \nXGene1 \tO \naken\tO\t\n \t \nul\tO\n",
    "spaces": "XGene1  NN O\naken  NN O\n\nul NN O\n",
    "odd blanks": "XGene1\u00a0a O\n\u2028 O\n\nul O\n",
    "a # that is a token": "#\tO\n# = 1\tO\n\nul\tO",
}


@pytest.mark.parametrize("content", CONLL.values(), ids=CONLL)
def test_conll_is_read_as_training_reads_it(ask, tmp_path, content):
    (tmp_path / "a.tsv").write_bytes(content.encode())
    (tmp_path / "out.tsv").write_text(ask(tmp_path / "a.tsv", format="conll"), newline="")
    read, out = parse(tmp_path / "a.tsv"), parse(tmp_path / "out.tsv")
    assert out.tokens == read.tokens
    assert [len(tokens) for tokens in read.tokens] == [2, 1]


REFUSED = [b"a\tO\n\tO\n", b"a\tO\nb\tx\tO\n", b"a O\n\0 O\n", b"a\tO\rb\xff\tO\n", "a\tO\n".encode("utf-16")]


@pytest.mark.parametrize("content", REFUSED)
def test_what_training_refuses_is_refused_at_the_same_line(ask, tmp_path, content):
    (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(InputError) as training:
        parse(tmp_path / "a.tsv")
    with pytest.raises(InputError) as tagging:
        ask(tmp_path / "a.tsv", format="conll")
    assert str(tagging.value) == str(training.value)


def test_jsonl_with_a_byte_order_mark(ask, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"text": "aken"}\r\n{"text": "ul"}\r\n')
    assert [json.loads(line)["text"] for line in ask(tmp_path / "a.jsonl", format="jsonl").splitlines()] == [
        "aken",
        "ul",
    ]


def test_a_dash_is_standard_output(ask):
    assert ask(text="aken", format="jsonl", out=Path("-")) == ask(text="aken", format="jsonl")


def test_what_is_written_over_by_tagging_keeps_its_mode(ask, tmp_path):
    (tmp_path / "out").write_text("before")
    (tmp_path / "out").chmod(0o600)
    (tmp_path / "link").symlink_to("out")
    ask(text="aken", format="jsonl", out=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "out").read_text())["text"] == "aken"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("terminal", "written"), [(True, b"\\u03b2 \xef"), (False, "β ï".encode())])
def test_a_terminal_keeps_its_encoding_and_everything_else_is_utf_8(monkeypatch, terminal, written):
    class Stream(io.TextIOWrapper):
        def isatty(self):
            return terminal

    stream = Stream(io.BytesIO(), "latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    with tag_files._output(None) as out:
        out.write("β ï")
        out.flush()
    assert stream.buffer.getvalue() == written


def test_a_document_that_is_named_twice_is_refused(ask, tmp_path):
    (tmp_path / "a.txt").write_text("XGene1 aken\n")
    for names in ([tmp_path, tmp_path / "a.txt"], ["-", "-"]):
        with pytest.raises(InputError, match="is named twice; once is enough"):
            ask(*names, format="brat", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_empty_document_has_no_records_and_does_not_stop_the_others(ask, tmp_path):
    models = two_models(tmp_path)
    for name, text in (("a.tsv", "XGene1\tO\n\n"), ("b.tsv", ""), ("c.jsonl", ""), ("d.txt", "")):
        (tmp_path / name).write_text(text)
    tagger = tag_files.load(models)
    object.__setattr__(tagger.models[0], "about", {"styles": {tagger.models[0].name: "genia"}})
    assert len(tagger.styles) == 2
    asked = documents([tmp_path / "a.tsv", tmp_path / "b.tsv"], None)
    stream = tagger.stream(chain(*(records(tagger, document, "line") for document in asked)))
    write = conll()
    assert "".join(write(tagger, tagged) for tagged in stream).count("XGene1") == 1
    assert ask(tmp_path / "c.jsonl", tmp_path / "d.txt", model=models, format="jsonl") == ""
    assert len(ask(text="", model=models, format="jsonl").splitlines()) == 1


def test_half_of_a_surrogate_pair_keeps_brats_offsets(ask, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "half \\ud800 pair XGene1 aken"}\n')
    ask(tmp_path / "a.jsonl", format="brat", out=tmp_path / "out")
    text = (tmp_path / "out" / "a.txt").read_text()
    assert text.startswith("half ? pair XGene1")
    for line in (tmp_path / "out" / "a.ann").read_text().splitlines():
        _, place, found = line.split("\t")
        assert text[int(place.split()[1]) : int(place.split()[2])] == found


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
        ([tmp_path / "bad.tsv"], {"format": "brat", "out": tmp_path / "empty"}, "already exists"),
    ):
        with pytest.raises(InputError) as fault:
            ask(*names, **({"format": "jsonl", "out": tmp_path / "out"} | given))
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


def test_a_text_beyond_ascii_in_a_locale_that_knows_ascii_only(folder):
    command = [sys.executable, "-m", "kd_jax.tag", f"--model={folder}", "--format=jsonl", "--text=naïve β XGene1"]
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=environment)
    assert json.loads(done.stdout)["text"] == "naïve β XGene1"
