"""The command: what it reads and writes, and what it refuses."""

import io
import json
import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from helpers.made_model import made, made_of

import kd_jax
from kd_jax.corpora.conll import parse, write_split
from kd_jax.errors import InputError
from kd_jax.export import tag_files
from kd_jax.tagging.reading import documents, records


@pytest.fixture
def ask(folder, capsysbinary, monkeypatch):
    """Tag, and give what goes to standard output, which the capture doesn't let be reconfigured."""

    def run(*names, **given):
        monkeypatch.setattr(sys.stdout, "reconfigure", lambda **_: None, raising=False)
        tag_files.tag_files(
            tag_files.TagRequest(**({"model": [str(folder)], "names": [str(name) for name in names]} | given))
        )
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
