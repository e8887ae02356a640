"""Cards say what was measured, and what the runner measured they say again."""

import io
import json
import shutil

import jax
import pytest
from helpers.made_model import made
from helpers.runs import SIZES
from helpers.tiny import tiny_corpus
from rich.console import Console
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

import kd_jax
from kd_jax.corpora.conll import parse, write_split
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.export.cards import write_cards
from kd_jax.export.student_card import teachers_of
from kd_jax.runtime.files import digest
from kd_jax.sweep.request import Request, execute
from kd_jax.training.saved_model import load_model


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Corpora and the work folder of a run, and what the run printed."""
    folder = tmp_path_factory.mktemp("cards")
    (folder / "corpora" / "First").mkdir(parents=True)
    for split, sentences in tiny_corpus("First", sizes=(300, 8, 40)).splits.items():
        write_split(folder / "corpora" / "First" / f"{split}.tsv", sentences)
    return folder / "corpora", folder / "work", run(folder)


def run(folder, work=None):
    console = Console(width=200, file=io.StringIO())
    settings = (*SIZES, "learning_rate=0.05")
    work = work or folder / "work"
    execute(Request("logits", "1", (), (), folder / "corpora", work, 12, assignments=settings), console)
    return console.file.getvalue()


def cards_of(work):
    return {path: json.loads(path.read_text()) for path in sorted(work.glob("students/First/*/card.json"))}


@pytest.mark.slow
def test_a_run_writes_a_card_beside_every_student_and_says_a_line_of_each_column(ran):
    _, work, text = ran
    cards = cards_of(work)
    assert {path.parent for path in cards} == {path.parent for path in work.glob("students/*/*/model.json")}
    assert {card["label"] for card in cards.values()} == {"STM", "SM a=0", "SM a=0.5", "SM a=1"}
    assert any(card["f1"] > 0 for card in cards.values())
    rows = {(row.label, row.seed): row for row in results.read(work / "results.csv")}
    for path, card in cards.items():
        assert card["f1"] == rows[card["label"], card["seed"]].f1
        assert len(card["agreement"]) == (card["label"] in {"SM a=0", "SM a=0.5"})
        assert f"{card['f1']:.2f}" in path.with_suffix(".md").read_text()
        assert f"model cards: {card['label']} on First (1 seed): F1 {card['f1']:.1f}" in text
    assert len({card["speed"]["model"] for card in cards.values()}) == 1


@pytest.mark.slow
def test_what_a_card_says_is_so(ran):
    """By the tagger that a user loads, and by seqeval."""
    corpora, work, _ = ran
    gold = parse(corpora / "First" / "test.tsv")
    for path, card in cards_of(work).items():
        tags = {}
        for constrained in (False, True):
            (model,) = kd_jax.load(path.parent, constrained=constrained).models
            found = model.label(gold.tokens, raw=False)
            tags[constrained] = [[model.labels[k] for k in f.labels] for f in found]
        for constrained, key in ((False, "f1"), (True, "f1_constrained")):
            f1 = f1_score(list(map(list, gold.tags)), tags[constrained], mode="strict", scheme=IOB2, zero_division=0)
            assert card[key] == pytest.approx(100 * f1)
        illegal = ["O I" in " ".join(["O", *(tag[0] for tag in of)]) for of in tags[False]]  # there is one type only
        assert card["illegal_sentences"] == pytest.approx(sum(illegal) / len(illegal))
        for name, f1 in card["agreement"].items():
            (teacher,) = kd_jax.load(work / "teachers" / name, task="First").models
            said = [[teacher.labels[k] for k in f.labels] for f in teacher.label(gold.tokens, raw=False)]
            assert f1 == pytest.approx(100 * f1_score(said, tags[False], mode="strict", scheme=IOB2, zero_division=0))
        arrays = load_model(path.parent).params
        assert card["parameters"] == sum(x.size for x in jax.tree.leaves(arrays))
        assert card["word_parameters"] == arrays["words"].size
        assert card["bytes"] == 4 * card["parameters"]


@pytest.mark.slow
def test_a_second_call_leaves_cards_alone_and_writes_those_that_lack(ran):
    """Also to the bytes that they had: the speed of the architecture is known."""
    _, work, _ = ran
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in work.glob("students/First/*/card.*")}
    assert "model cards" not in run(work.parent)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in before} == before
    lost, damaged = sorted(path for path in before if path.suffix == ".json")[:2]
    lost.unlink()
    damaged.write_bytes(b'{"speed": {"architecture": 1}}')  # tells nothing, and is left alone
    assert run(work.parent).count("model cards") == 1
    assert lost.read_bytes() == before[lost][0]
    damaged.write_bytes(before[damaged][0])


@pytest.mark.slow
def test_a_diverged_student_gets_no_card(ran, tmp_path):
    """It has no score; the others of its cell get theirs."""
    _, work, _ = ran
    copy = tmp_path / "work"
    shutil.copytree(work, copy)
    lost, *others = sorted(path.parent for path in copy.glob("students/First/*/card.json"))
    for folder in (lost, *others):
        (folder / "card.json").unlink()
    about = json.loads((lost / "model.json").read_text())
    about["about"]["status"] = "diverged at step 3"
    del about["sha256"]
    (lost / "model.json").write_text(json.dumps(about | {"sha256": digest(about)}))
    run(work.parent, copy)
    assert not (lost / "card.json").exists()
    assert all((folder / "card.json").exists() for folder in others)


@pytest.mark.slow
def test_the_command_measures_anew_and_prints(ran, capsys):
    corpora, work, _ = ran
    before = cards_of(work)
    write_cards(work, corpora, [], None)
    printed = capsys.readouterr().out
    for path, card in cards_of(work).items():
        assert path.with_suffix(".md").read_text() in printed
        assert card["speed"]["model"] == f"First/{path.parent.name}"
        assert {k: v for k, v in card.items() if k != "speed"} == {
            k: v for k, v in before[path].items() if k != "speed"
        }
    test = corpora / "First" / "test.tsv"
    content = test.read_bytes()
    test.write_text("a\tB-Gene\n")
    with pytest.raises(InputError, match="was trained on another First"):
        write_cards(work, corpora, [], None)
    test.write_bytes(content)


def test_a_single_task_model_that_teaches_is_found(tmp_path):
    corpus, _, _ = made(tmp_path / "w/students/Tiny/STM-softmax-seed1-aaaa")
    said = teachers_of(tmp_path / "w", corpus)
    assert len(said("STM-softmax-seed1-aaaa")) == len(corpus.splits["test"])
    assert said("STM-softmax-seed1-bbbb") is None


def test_no_students(tmp_path):
    with pytest.raises(InputError, match="has no students"):
        write_cards(tmp_path, None, [], None)
