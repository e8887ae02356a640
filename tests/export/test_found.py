"""Models are found by people: by corpus, by the column of a table, the best one; nothing finished is orphaned."""

import json
import subprocess
import sys

import pytest
from helpers.made_model import made, made_of

import kd_jax
from kd_jax import __main__ as top
from kd_jax import card, cli, list_models
from kd_jax.errors import InputError
from kd_jax.evaluation.results import Row, append
from kd_jax.export.found import SHIPPED, choose, find_models, open_place


def write(folder, label, corpora, f1, *, kind="SM", seed=1, split="test", status="ok"):
    """The manifest of a model, which is all that is read of it."""
    scores = {name: {"precision": f1, "recall": f1, "f1": f1, "types": {}} for name in corpora}
    about = {"label": label, "model": kind, "head": "softmax", "seed": seed, "protocol": "train+devel"}
    about |= {"split": split, "status": status, "scores": scores}
    folder.mkdir(parents=True)
    content = {"format": 1, "about": about, "settings": {}, "tasks": corpora, "labels": [], "params_sha256": ""}
    (folder / "model.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def work(tmp_path):
    work = tmp_path / "runs" / "w"
    write(work / "students/Gene/SM-beta=1-softmax-seed1-aaaa", "SM a=0", ["Gene"], 80.0)
    write(work / "students/Gene/SM-beta=1-softmax-seed2-bbbb", "SM a=0", ["Gene"], 82.0, seed=2)
    write(work / "students/Gene/STM-softmax-seed1-cccc", "STM", ["Gene"], 70.0, kind="STM")
    write(work / "students/Drug/SM-beta=1-softmax-seed1-dddd", "SM a=0", ["Drug"], 60.0)
    write(work / "students/Drug/SM-x-softmax-seed1-ffff", "SM a=1", ["Drug"], 0.0, status="diverged at step 3")
    write(work / "teachers/MTM-softmax-seed1-eeee", "MTM", ["Gene", "Drug"], 90.0, kind="MTM")
    write(work / "tuning/Gene/SM-beta=2-softmax-seed1-9999", "SM beta=2", ["Gene"], 95.0, split="devel")
    return work


def names(models):
    return [(model.corpus, model.label, model.seed) for model in models]


def test_every_model_below_a_folder_is_found_with_its_column(work):
    found = find_models(work.parent)
    assert names(found) == [
        ("Drug", "SM a=0", 1),
        ("Drug", "SM a=1", 1),
        ("Drug", "MTM", 1),
        ("Gene", "SM a=0", 1),
        ("Gene", "SM a=0", 2),
        ("Gene", "STM", 1),
        ("Gene", "MTM", 1),
        ("Gene", "SM beta=2", 1),
    ]
    assert find_models(found[0].path)[0].path == found[0].path
    assert [model.f1 for model in found[:2]] == [60.0, None]


def test_a_work_folder_may_be_called_like_a_part_of_one(work):
    (work.parent / "report").mkdir()
    moved = work.rename(work.parent / "report" / "knowledge")
    assert len(find_models(work.parent)) == 8
    (moved / "settings.json").touch()
    (moved / "knowledge").mkdir()
    (moved / "students" / "Gene").rename(moved / "knowledge" / "Gene")
    assert len(find_models(work.parent)) == 5


def test_one_model_may_serve_several_tables(work):
    path = "students/Gene/SM-beta=1-softmax-seed1-aaaa"
    rows = [
        Row(experiment, "Gene", "SM", "softmax", 0, 1, 0, 0, 1, 1, "test", 80, 80, 80, "train+devel", 1, 1, 1, label,
            path=path)
        for experiment, label in (("logits", "SM a=0"), ("soft_labels", "SM tau=1"))
    ]  # fmt: skip
    append(work / "results.csv", rows, Row)
    table = (work / "results.csv").read_bytes()
    (work / "results.csv").write_bytes(b"\xef\xbb\xbf" + table.replace(b"\n", b"\r\n"))  # as Excel saves it
    (found,) = (model for model in find_models(work) if model.path == work / path)
    assert found.columns == (("logits", "SM a=0"), ("soft_labels", "SM tau=1"))
    assert choose(find_models(work), work, "Gene", "SM tau=1", best=False).path == work / path


def test_the_best_of_a_corpus_is_a_model_of_it_alone_unless_its_label_is_given(work):
    there = find_models(work)
    assert choose(there, work, "Gene", None, best=True).seed == 2
    assert choose(there, work, "Gene", "MTM", best=True).path == work / "teachers/MTM-softmax-seed1-eeee"
    assert choose(there, work, "Gene", "SM beta=2", best=False).tuning
    assert choose(there, work, "Drug", None, best=True).f1 == 60.0
    below = work / "students/Gene"
    assert choose(find_models(below), below, None, None, best=True).seed == 2


def test_a_trained_model_goes_before_what_was_shipped_of_it(work):
    trained = json.loads((work / "students/Gene/SM-beta=1-softmax-seed2-bbbb/model.json").read_text())
    about = trained["about"] | {"scores": {"Gene": {"f1": 99.0}}}
    (work / "shipped").mkdir()
    (work / "shipped" / "model.json").write_text(json.dumps({"kind": SHIPPED, "corpus": "Gene", "about": about}))
    found = find_models(work)
    assert max(found, key=lambda model: model.f1 or 0).shipped
    assert choose(found, work, "Gene", None, best=True).f1 == 82.0
    assert choose(find_models(work / "shipped"), work, None, None, best=False).shipped


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"corpus": None, "label": None, "best": True}, r"models of Drug, Gene; say which with --corpus=Drug --best"),
        (
            {"corpus": "Gene", "label": None, "best": False},
            r"3 models of Gene; name one, or add --best.*SM a=0 on Gene",
        ),
        ({"corpus": "gene", "label": None, "best": True}, r"no model of 'gene'; did you mean 'Gene'"),
        (
            {"corpus": "Gene", "label": "SM a=0.0", "best": True},
            r"no model of column 'SM a=0.0'; did you mean 'SM a=0'",
        ),
        ({"corpus": "Drug", "label": "SM a=1", "best": True}, r"diverged at step 3, it has no score"),
    ],
)
def test_what_is_not_one_model_is_refused_with_the_way_to_say_it(work, asked, says):
    with pytest.raises(InputError, match=says):
        choose(find_models(work), work, **asked)


def test_what_can_not_be_read_is_said_and_the_others_are_found(work):
    (work / "students/Gene/STM-softmax-seed1-cccc/model.json").write_text("{")
    (work / "students/Drug/SM-beta=1-softmax-seed1-dddd/model.json").write_text('{"format": 1, "about": {}}')
    said = []
    assert len(find_models(work, said.append)) == 6
    assert len(said) == 2
    assert all("model.json: " in line for line in said)


def test_a_folder_without_models_or_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_models(tmp_path / "missing")
    with pytest.raises(InputError, match="no model here, nor below it"):
        open_place(tmp_path, None, None, best=False)


def test_loading_from_a_work_folder(tmp_path):
    folder = tmp_path / "w/students/Tiny/STM-softmax-seed3-1234"
    made(folder)
    made_of(tmp_path / "w/teachers/MTM", {"Tiny": ("Gene",), "Other": ("Drug",)})
    text = "XGene1 aken XGene2"
    alone = kd_jax.load(folder)(text)
    assert alone
    assert kd_jax.load(tmp_path / "w", corpus="Tiny")(text) == alone
    both = kd_jax.load(tmp_path, corpus=["Tiny", "Other"])
    assert [model.name for model in both.models] == ["Tiny", "Other"]
    assert kd_jax.load(tmp_path / "w/teachers/MTM", corpus="Other").models[0].labels == both.models[1].labels


def listed(capsys, *words):
    with pytest.raises(SystemExit) as end:
        cli.run(list_models.COMMAND, words, "kd-jax models")
    out, err = capsys.readouterr()
    return end.value.code, out.splitlines(), err


def test_the_list_has_a_line_a_model_and_its_path_last(capsys, work):
    status, lines, _ = listed(capsys, str(work))
    assert status == 0
    assert lines[0].split() == ["corpus", "column", "head", "seed", "F1", "path"]
    assert [line.split("  ")[-1].strip() for line in lines[1:]] == [
        str(m.path) for m in find_models(work) if not m.tuning
    ]
    assert len(listed(capsys, str(work), "--tuning")[1]) == len(lines) + 1
    _, (_, best), _ = listed(capsys, str(work), "--corpus=Gene", "--best")
    assert best.endswith("SM-beta=1-softmax-seed2-bbbb")
    objects = [json.loads(line) for line in listed(capsys, str(work), "--format=jsonl", "--label=MTM")[1]]
    assert [(found["corpus"], found["f1"]) for found in objects] == [("Drug", 90.0), ("Gene", 90.0)]
    assert listed(capsys, str(work), "--corpus=Gen")[::2] == (2, f"error: {work}: has no model of 'Gen'; did you mean"
                                                              " 'Gene'?\n")  # fmt: skip
    assert listed(capsys)[0] == 2


def test_what_one_corpus_lacks_does_not_hide_the_others_from_the_list(capsys, work):
    write(work / "students/Cell/SM-softmax-seed1-1111", "SM a=0", ["Cell"], 0.0, status="diverged at step 9")
    status, lines, said = listed(capsys, str(work), "--best")
    assert (status, [line.split()[0] for line in lines[1:]]) == (0, ["Drug", "Gene"])
    assert "no model of Cell has a score (diverged at step 9)" in said
    assert listed(capsys, str(work), "--corpus=Cell")[1][1].split()[-1].endswith("1111")
    assert [line.split()[0] for line in listed(capsys, str(work), "--best", "--label=STM")[1][1:]] == ["Gene"]
    status, lines, said = listed(capsys, str(work), "--label=SM b=0")
    assert (status, lines) == (2, [])
    assert "has no model of column 'SM b=0'" in said
    (work / "empty").mkdir()
    assert listed(capsys, str(work / "empty"), "--format=jsonl")[:2] == (0, [])


def test_the_list_needs_no_jax(work):
    code = "import sys, runpy; sys.modules['jax'] = None; sys.argv = ['kd-jax', 'models', sys.argv[1]]; "
    code += "runpy.run_module('kd_jax', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code, work], check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 8
    assert top.COMMANDS["models"] == "kd_jax.list_models"


def test_a_card_of_one_student_by_its_corpus(capsys, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("kd_jax.export.cards.write_cards", lambda *given: asked.append(given))
    made(folder := tmp_path / "w/students/Tiny/STM-softmax-seed3-1234")
    with pytest.raises(SystemExit):
        cli.run(card.COMMAND, [f"--model={tmp_path / 'w'}", "--corpus=Tiny"], "kd-jax card")
    assert [given[0] for given in asked] == [folder]
