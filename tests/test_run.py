"""The whole path on small corpora: files to table, skipped when finished, rebuilt where damaged, refused when wrong."""

import html
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers.runs import SIZES, ask, request, rows_without_times
from helpers.tiny import tiny_corpus

import kd_jax
from kd_jax.corpora.conll import write_split
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.experiment import experiments, load_experiment
from kd_jax.export.found import find_models
from kd_jax.report import curves
from kd_jax.sweep import group as groups
from kd_jax.sweep import totals
from kd_jax.sweep.request import parse_seeds, prepare
from kd_jax.sweep.status import trained_otherwise
from kd_jax.training.manifest import read_manifest
from kd_jax.training.saved_model import load_model

ALONE = "from kd_jax.experiment import Experiment\nEXPERIMENT = Experiment('alone', 'STM alone', multi=())\n"


@pytest.fixture(scope="module")
def finished(corpora, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run") / "work"
    return workdir, ask(corpora, workdir)


def test_table_and_results(finished):
    workdir, text = finished
    assert "Table 1" in text
    assert text.splitlines()[-1] == f"tag: kd-jax tag --model={workdir} --corpus=First --best --text=..."
    rows = results.read(workdir / "results.csv")
    assert {(r.corpus, r.label) for r in rows} == {
        (c, m) for c in ("First", "Second") for m in ("STM", "MTM", "SM a=0", "SM a=0.5", "SM a=1")
    }
    assert len(rows) == 20
    assert all(r.split == "test" and r.protocol == "train+devel" and r.f1 is not None for r in rows)
    assert {r.seed for r in rows if r.label == "SM a=1"} == {1001, 1002}
    assert {(r.alpha, r.beta) for r in rows if r.label == "SM a=0.5"} == {(0.5, 0.5)}
    assert {(r.label, r.teachers) for r in rows} == {
        ("STM", "-"), ("MTM", "-"), ("SM a=0", "own"), ("SM a=0.5", "own"), ("SM a=1", "-")
    }  # fmt: skip
    command = json.loads((workdir / "settings.json").read_text())["command"]
    assert command.startswith("kd-jax train --experiment=logits --seeds=2 --data_dir=")
    assert command in html.unescape((workdir / "report" / "index.html").read_text())
    first = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[0])
    assert {"experiment", "stage", "corpus", "cell", "label", "seed", "epoch", "step", "loss"} <= set(first)


def test_counts_by_sentence_cover_every_gold_entity_of_the_file(finished, corpora):
    workdir, _ = finished
    for row in results.read(workdir / "results.csv"):
        counts = results.read_counts(workdir, row)
        lines = (corpora / row.corpus / "test.tsv").read_text().splitlines()
        assert counts[:, 2].sum() == sum(line.split("\t")[1].startswith("B-") for line in lines if line)
        correct, predicted, gold = counts.sum(0)
        assert row.f1 == pytest.approx(200 * correct / max(predicted + gold, 1))


def test_finished_models_are_not_trained_again(finished, corpora):
    workdir, _ = finished
    before = {p: p.stat().st_mtime_ns for name in ("model.json", "card.*") for p in workdir.rglob(name)}
    assert sum(path.name == "model.json" for path in before) == 18
    rows = rows_without_times(workdir)
    text = ask(corpora, workdir)
    assert "nothing to train" in text
    assert "model cards" not in text
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert rows_without_times(workdir) == rows


def test_a_card_beside_every_student(finished, corpora):
    """With the scores of results.csv; one that is lost comes back with the same bytes, as its speed is known."""
    workdir, text = finished
    cards = {path: json.loads(path.read_text()) for path in workdir.glob("students/*/*/card.json")}
    assert {path.parent for path in cards} == {path.parent for path in workdir.glob("students/*/*/model.json")}
    rows = {(row.corpus, row.label, row.seed): row.f1 for row in results.read(workdir / "results.csv")}
    for path, card in cards.items():
        assert card["f1"] == rows[card["corpus"], card["label"], card["seed"]]
        assert path.with_suffix(".md").read_text().startswith(f"# {card['label']} on {card['corpus']}\n")
        assert len(card["agreement"]) == (card["label"] in {"SM a=0", "SM a=0.5"})
    assert len({card["speed"]["model"] for card in cards.values()}) == 1
    assert text.count("model cards: STM on First (2 seeds)") == 1
    lost = max(cards)
    content = lost.read_bytes()
    lost.unlink()
    assert ask(corpora, workdir).count("model cards") == 1
    assert lost.read_bytes() == content


def test_a_lost_student_is_trained_again_alone_and_equal(finished, corpora, monkeypatch):
    asked = []
    monkeypatch.setattr(groups, "forget_programs", lambda: asked.append(True))
    workdir, _ = finished
    rows = rows_without_times(workdir)
    lost = next((workdir / "students" / "First").glob("SM-alpha=0.5-beta=0.5-*-seed2-*"))
    params, (teacher,) = load_model(lost).params, read_manifest(lost).teachers
    others = {path: path.stat().st_mtime_ns for path in workdir.rglob("model.json") if path.parent != lost}
    shutil.rmtree(lost)
    # its knowledge is damaged meanwhile: noticed, said, computed again
    array = workdir / "knowledge" / teacher.rpartition("-")[2] / "First" / "train" / "logits.npy"
    array.write_bytes(array.read_bytes()[:-4])
    text = ask(corpora, workdir)
    assert asked == [True]  # programs that hold too many memory maps go with the group that they were for
    assert "logits.npy: damaged" in text
    again = load_model(lost).params
    for name in ("words", "encoder", "branch"):
        for a, b in zip(jax.tree.leaves(params[name]), jax.tree.leaves(again[name]), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)
    assert {path: path.stat().st_mtime_ns for path in others} == others
    assert [r["label"] for r in rows_without_times(workdir)] == [r["label"] for r in rows]


def test_train_protocol_keeps_the_epoch_that_is_best_on_devel(corpora, tmp_path):
    ask(corpora, tmp_path / "w", datasets=("First",), seeds="1", epochs=2, protocol="train")
    records = [json.loads(line) for line in (tmp_path / "w" / "metrics.jsonl").read_text().splitlines()]
    for row in results.read(tmp_path / "w" / "results.csv"):
        mine = [r for r in records if (r["label"], r["seed"]) == (row.label, row.seed)]
        best = max(mine, key=lambda r: (r["devel_f1"], -r["epoch"]))
        assert row.epochs == best["epoch"]
        assert row.protocol == "train"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"experiment": "logit"}, "did you mean 'logits'"),
        ({"datasets": ("Frist",)}, "did you mean 'First'"),
        ({"targets": ("Second",), "datasets": ("First",)}, "--targets=Second: is not among --datasets"),
        ({"seeds": "0"}, "--seeds=0"),
        ({"seeds": "1,1"}, "different seeds"),
        ({"seeds": "many"}, "--seeds=many"),
        ({"epochs": 0}, "epochs"),
        ({"assignments": ("lerning_rate=1",)}, "did you mean 'learning_rate'"),
        ({"workdir": "FILE"}, "can't be written"),
        ({"experiment": "ensemble", "assignments": (*SIZES, "distill.ensemble=devel")}, "use --protocol=train"),
    ],
)
def test_wrong_requests(corpora, tmp_path, changes, message):
    if changes.get("workdir") == "FILE":
        (tmp_path / "file").write_text("")
        changes = {"workdir": tmp_path / "file" / "w"}
    with pytest.raises(InputError, match=message):
        ask(corpora, changes.pop("workdir", tmp_path / "w"), **changes)
    assert not (tmp_path / "w").exists()


def test_command_line_answers_with_one_line_and_status_2(tmp_path):
    (tmp_path / "C").mkdir()
    (tmp_path / "C" / "train.tsv").write_text("p53\n")
    (tmp_path / "C" / "test.tsv").write_text("p53\tO\n")
    found = subprocess.run(
        [sys.executable, "-m", "kd_jax.main", f"--data_dir={tmp_path}", f"--workdir={tmp_path / 'w'}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert found.stdout == ""
    assert len(found.stderr.strip().splitlines()) == 1
    assert "train.tsv:1:" in found.stderr
    assert not (tmp_path / "w").exists()


def test_seeds():
    assert parse_seeds("5") == (1, 2, 3, 4, 5)
    assert parse_seeds("3,5,8") == (3, 5, 8)
    assert parse_seeds("7,") == (7,)


def test_dry_run_writes_nothing(corpora, tmp_path):
    text = ask(corpora, tmp_path / "w", dry_run=True)
    assert "STM on First" in text
    assert not (tmp_path / "w").exists()


def test_results_of_other_settings_are_not_averaged_with_these(corpora, tmp_path):
    common = {"datasets": ("First",), "experiment": "baselines"}
    ask(corpora, tmp_path / "w", seeds="1,2", **common)
    ask(corpora, tmp_path / "w", seeds="1", assignments=(*SIZES, "dropout=0.1"), **common)
    rows = results.read(tmp_path / "w" / "results.csv")
    assert {row.seed for row in rows} == {1}
    assert len({row.settings for row in rows if row.label == "STM"}) == 1
    assert {row.seed for row in results.read_types(tmp_path / "w" / "types.csv")} == {1}
    ask(corpora, tmp_path / "w", seeds="1,2", **common)
    assert {row.seed for row in results.read(tmp_path / "w" / "results.csv")} == {1, 2}


def test_clean_protocol_leaves_out_what_stands_in_test(tmp_path):
    corpus = tiny_corpus("First")
    leaked = corpus.splits["test"][0]._replace(tokens=("thisisalongenoughsentencetocount",), tags=("O",))
    (tmp_path / "d" / "First").mkdir(parents=True)
    for split, sentences in corpus.splits.items():
        write_split(tmp_path / "d" / "First" / f"{split}.tsv", (*sentences, leaked))
    tokens = {}
    for protocol in ("train+devel", "train+devel+clean"):
        ask(tmp_path / "d", tmp_path / "w", seeds="1", protocol=protocol)
        rows = results.read(tmp_path / "w" / "results.csv")
        tokens[protocol] = {(row.label, row.tokens) for row in rows if row.protocol == protocol}
    assert {(label, n - 2) for label, n in tokens["train+devel"]} == tokens["train+devel+clean"]


def test_killed_between_the_last_step_and_the_score_goes_on_to_the_same_numbers(corpora, tmp_path, monkeypatch):
    common = {"datasets": ("Second",), "experiment": "baselines", "seeds": "3", "protocol": "train"}
    at_every_chunk = (*SIZES, "saving.minutes=0", "epochs=2")
    ask(corpora, tmp_path / "whole", assignments=at_every_chunk, epochs=None, **common)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(groups, "save_model", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(corpora, tmp_path / "killed", assignments=at_every_chunk, epochs=None, **common)
    text = ask(corpora, tmp_path / "killed", assignments=at_every_chunk, epochs=None, **common)
    assert "resuming after epoch 2" in text
    assert rows_without_times(tmp_path / "killed") == rows_without_times(tmp_path / "whole")
    assert not list((tmp_path / "killed" / "checkpoints").iterdir())


def test_checkpoints_every_so_many_epochs(corpora, tmp_path, monkeypatch):
    positions, save = [], groups.Checkpoints.save

    def noted(checkpoints, saved, number):
        positions.append((saved.position.epoch, saved.position.chunk))
        save(checkpoints, saved, number)

    monkeypatch.setattr(groups.Checkpoints, "save", noted)
    (tmp_path / "alone.py").write_text(ALONE)
    seldom = (*SIZES, "saving.minutes=1e6", "saving.every_epochs=2", "train.epochs=5")
    common = {"datasets": ("Second",), "experiment": str(tmp_path / "alone.py"), "seeds": "1", "epochs": None}
    ask(corpora, tmp_path / "w", assignments=seldom, **common)
    assert positions == [(2, 0), (4, 0)]


def test_vectors_must_cover_what_was_asked(corpora, tmp_path):
    words = sorted({word.lower() for word in (corpora / "First" / "test.tsv").read_text().split() if word.isalpha()})
    (tmp_path / "v.txt").write_text("".join(f"{word} 1 2 3 4 5 6\n" for word in words[:4]))
    vectors = (*SIZES, f"words.vectors={tmp_path / 'v.txt'}")
    plans, sweep_data = prepare(request(corpora, tmp_path / "w", assignments=(*vectors, "least_coverage=0.05")))
    assert plans
    assert sweep_data.vectors.keys() == set(words[:4])
    with pytest.raises(
        InputError, match=r"v\.txt: vectors for .* at least 90\.0 % are wanted; .*lower words\.least_cov"
    ):
        prepare(request(corpora, tmp_path / "w", assignments=(*vectors, "least_coverage=0.9")))


def test_a_work_folder_of_another_way_to_train_is_said(finished, corpora, tmp_path):
    workdir = shutil.copytree(finished[0], tmp_path / "w")
    settings = json.loads((workdir / "settings.json").read_text())
    assert trained_otherwise(workdir) is None
    del settings["training"]  # as 0.1.0 wrote it
    settings["versions"]["kd_jax"] = "0.1.0"
    (workdir / "settings.json").write_text(json.dumps(settings))
    assert "models are of kd_jax 0.1.0, which trained otherwise" in ask(corpora, workdir)
    assert "which trained otherwise" not in ask(corpora, workdir)


def test_a_work_folder_whose_files_an_editor_on_windows_wrote_again(finished, corpora, tmp_path):
    """With byte order marks and CR LF: everything is read as before; a vocabulary alone is held to its checksum."""
    workdir = shutil.copytree(finished[0], tmp_path / "w")
    rows, models = rows_without_times(workdir), find_models(workdir)
    points = curves.read_metrics(workdir / "metrics.jsonl")
    written = [p for kind in ("json", "jsonl", "csv") for p in workdir.rglob(f"*.{kind}")]
    written = [path for path in written if "params" not in path.parts and path.name != "vocabulary.json"]
    assert {path.name for path in written} >= {
        "settings.json", "model.json", "manifest.json", "section.json", "metrics.jsonl",
        "results.csv", "types.csv", "card.json",
    }  # fmt: skip
    for path in written:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert curves.read_metrics(workdir / "metrics.jsonl") == points
    assert find_models(workdir) == models
    assert totals.recorded_rate(prepare(request(corpora, workdir))[0]) is not None
    text = ask(corpora, workdir)
    assert "nothing to train" in text
    assert "model cards" not in text
    assert rows_without_times(workdir) == rows
    assert kd_jax.load(workdir, corpus="First", label="SM a=0.5", best=True)("XGene1 aken") is not None


@pytest.mark.slow
def test_killed_between_two_saved_models_goes_on_to_the_same_bits(corpora, tmp_path, monkeypatch):
    """The lanes that were begun together are trained together again: a lane's bits depend on the shapes of all."""
    (tmp_path / "alone.py").write_text(ALONE)
    common = {"datasets": ("Second",), "experiment": str(tmp_path / "alone.py"), "seeds": "3"}
    ask(corpora, tmp_path / "whole", **common)
    save, saved = groups.save_model, []

    def killed_at_the_second(*arguments):
        if saved:
            raise KeyboardInterrupt
        saved.append(save(*arguments))

    with monkeypatch.context() as patch:
        patch.setattr(groups, "save_model", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            ask(corpora, tmp_path / "killed", **common)
    (first,) = (tmp_path / "killed").rglob("model.json")
    written = first.stat().st_mtime_ns
    ask(corpora, tmp_path / "killed", **common)
    assert first.stat().st_mtime_ns == written
    assert rows_without_times(tmp_path / "killed") == rows_without_times(tmp_path / "whole")
    for whole in (tmp_path / "whole").rglob("model.json"):
        again = tmp_path / "killed" / whole.relative_to(tmp_path / "whole")
        sums = [json.loads(path.read_text())["params_sha256"] for path in (whole, again)]
        assert sums[0] == sums[1]


@pytest.mark.slow
def test_every_experiment_runs_to_its_tables_and_a_second_call_does_nothing(corpora, tmp_path):
    text = ask(corpora, tmp_path / "w", experiment="paper", seeds="1")
    for table in range(1, 8):
        assert f"Table {table}." in text
    paper = load_experiment("paper")
    beyond = [name for name in experiments() if name not in ("paper", *paper.parts)]
    (tmp_path / "text.txt").write_text("The p53 gene binds DNA in cells. Mutations of BRCA1 cause cancer.\n" * 20)
    for name in beyond:
        ask(corpora, tmp_path / "w", experiment=name, seeds="1", text=tmp_path / "text.txt" if name == "text" else None)
    rows = [row for row in results.read(tmp_path / "w" / "results.csv") if row.split == "test"]
    assert all(row.status == "ok" for row in rows)
    for name in experiments():
        for part in load_experiment(name).parts or (name,):
            experiment = load_experiment(part)
            labels = {row.label for row in rows if row.experiment == part}
            assert {student.label for student in experiment.students} < labels
    assert "nothing to train" in ask(corpora, tmp_path / "w", experiment="paper", seeds="1")
