"""The report command: from the files of a work folder, of two, or of the paper, to a page, tables and pictures."""

import json
import re
import shutil
from dataclasses import replace

import pytest
from helpers.made_reports import CORPORA, made_workdir, records, reported
from helpers.made_results import made_rows

from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.report import build as report


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "A"
    folder.mkdir()
    return made_workdir(folder, made_rows(1, CORPORA, seeds=(1, 2, 3)))


def test_a_work_folder_becomes_a_page_tables_and_pictures(workdir):
    shown = reported(workdir)
    assert "Table 1. Students distilled from the softmax teacher's logits" in shown
    assert "Tests over 3 corpora" in shown
    assert "Within each corpus" in shown
    assert str(workdir / "report" / "index.html") in shown
    section = workdir / "report" / "logits-train+devel"
    names = {path.name for path in section.iterdir()}
    assert {
        f"{name}.{kind}" for name in ("average", "ranks", "pairs", "scores", "gains", "loss") for kind in ("png", "svg")
    } < names
    index = (workdir / "report" / "index.html").read_text(encoding="utf-8")
    assert index.count("<svg") == 1 + 3 + 4 + 1 + 1 + 3
    assert not re.search(r"(src|href)=\"(?!data:|#)", index)
    assert "http" not in re.sub(r"data:[^\"]*", "", index)
    for part in (
        "kd-jax train --seeds=3",
        "1 x cpu",
        "ffffffffffff…",
        "CRAFT by entity type",
        "Time and tokens",
        "What the tests say",
    ):
        assert part in index
    tables = records(workdir / "report" / "tables.csv")
    assert {row["row"] for row in tables} == {*CORPORA, "Average of 3", "Gene (80)", "Species (80)"}
    assert "booktabs" in (workdir / "report" / "tables.tex").read_text()
    assert "**" in (workdir / "report" / "tables.md").read_text()
    tests = records(section / "tests.csv")
    assert len(tests) == 10 + 3 * 10
    assert {row["verdict"] for row in tests} <= {"different", "no difference", "undecided"}
    assert all((float(row["holm_p"]) < 0.05) == (row["verdict"] == "different") for row in tests)


def test_unchanged_sections_are_kept_and_changed_ones_drawn_again(workdir):
    index = report.write_report(workdir)
    assert index == workdir / "report" / "index.html"
    picture = index.parent / "logits-train+devel" / "ranks.png"
    before, first = picture.stat().st_mtime_ns, index.read_bytes()
    report.write_report(workdir)
    assert picture.stat().st_mtime_ns == before
    assert index.read_bytes() == first
    rows = results.read(workdir / "results.csv")
    results.append(workdir / "results.csv", [replace(rows[0], f1=99.0)], results.Row)
    report.write_report(workdir)
    assert picture.stat().st_mtime_ns != before
    assert index.read_bytes() != first


def test_sections_of_experiments_that_are_gone_are_removed(workdir):
    report.write_report(workdir)
    (workdir / "results.csv").unlink()
    results.append(workdir / "results.csv", made_rows(7, CORPORA, seeds=(1,)), results.Row)
    report.write_report(workdir)
    folders = [path.name for path in (workdir / "report").iterdir() if path.is_dir()]
    assert folders == ["soft_labels-train+devel"]


@pytest.mark.parametrize(("name", "equations", "said"), [
    ("controls", "standardised", "Controls: what gives a student's gain without what the student has (controls)"),
    ("of_mine", "printed", "Experiment of_mine"),
    ("ensemble", "printed", "Table 2. Students of an ensemble of softmax teachers"),
])  # fmt: skip
def test_a_table_has_the_title_of_its_experiment_and_whose_losses_they_are(tmp_path, name, equations, said):
    rows = [replace(row, equations=equations) for row in made_rows(1, ["NCBI"], seeds=(1,), experiment=name)]
    results.append(tmp_path / "results.csv", rows, results.Row)
    (subject,) = report.subjects_of(tmp_path)
    assert subject.table.title == f"{said}, {equations} equations"


@pytest.mark.parametrize(("students", "equations"), [(False, "printed"), (True, "-")])
def test_a_table_of_which_it_is_not_known_says_nothing_of_losses(tmp_path, students, equations):
    rows = made_rows(1, ["NCBI"], seeds=(1,), experiment="of_mine")
    rows = [replace(row, equations=equations) for row in rows if students or row.model != "SM"]
    results.append(tmp_path / "results.csv", rows, results.Row)
    (subject,) = report.subjects_of(tmp_path)
    assert subject.table.title == "Experiment of_mine"


def test_one_corpus_one_seed_and_nothing_else_is_enough(tmp_path):
    results.append(tmp_path / "results.csv", made_rows(1, ["NCBI"], seeds=(1,)), results.Row)
    shown = reported(tmp_path)
    assert "too few for a test over corpora" in shown
    assert "No counts by sentence of STM, MTM, SM a=0, SM a=0.5 and SM a=1 on NCBI" in " ".join(shown.split())
    assert "no settings.json" in (tmp_path / "report" / "index.html").read_text()


def test_missing_seeds_lost_lanes_and_missing_corpora_are_said(workdir):
    rows = made_rows(1, CORPORA, seeds=(1, 2))
    lost = replace(rows[0], precision=None, recall=None, f1=None, status="diverged at step 3")
    kept = [row for row in rows[1:] if (row.corpus, row.label) != ("ExPTM", "MTM")]
    (workdir / "results.csv").unlink()
    results.append(workdir / "results.csv", [lost, *kept[:-1]], results.Row)
    shown = reported(workdir)
    index = (workdir / "report" / "index.html").read_text()
    for said in (f"STM on {lost.corpus}, seed 1, diverged at step 3: left out.", "No score on ExPTM of MTM.",
                 "SM a=1 on NCBI lacks seed 2"):  # fmt: skip
        assert said in shown
        assert said in index
    assert "2 corpora with scores of every model" in shown


def test_a_corpus_whose_models_all_diverged_is_said_and_the_others_are_shown(workdir):
    rows = [
        replace(row, precision=None, recall=None, f1=None, status="diverged at step 3")
        if row.corpus == "CRAFT"
        else row
        for row in results.read(workdir / "results.csv")
    ]
    (workdir / "results.csv").unlink()
    results.append(workdir / "results.csv", rows, results.Row)
    shown = reported(workdir)
    assert "STM on CRAFT, seed 1, diverged at step 3: left out." in shown
    assert "2 corpora with scores of every model" in shown


def test_curves_are_those_of_the_models_that_are_shown(workdir):
    """Teachers that only choose weights are trained under another protocol, with the same label and seed."""
    point = {"experiment": "logits", "corpus": "NCBI", "label": "MTM", "seed": 1, "epoch": 1, "devel_f1": None}
    with (workdir / "metrics.jsonl").open("w") as file:
        for protocol, loss in (("train+devel", 1.0), ("train", 9.0)):
            file.write(json.dumps(point | {"protocol": protocol, "loss": loss}) + "\n")
    (subject,) = report.subjects_of(workdir)
    assert [p.loss for p in subject.points] == [1.0]


def test_nan_is_refused_with_its_row(workdir):
    text = (workdir / "results.csv").read_text().splitlines()
    cells = text[4].split(",")
    cells[13] = "nan"
    (workdir / "results.csv").write_text("\n".join([*text[:4], ",".join(cells), *text[5:]]) + "\n")
    with pytest.raises(InputError, match=r"results\.csv:5: f1 is nan \(logits: MTM on CRAFT, .*seed 1, test\)"):
        report.write_report(workdir)
    assert not (workdir / "report").exists()


def test_choosing_weights_has_pictures_and_a_cost_but_no_curves_and_no_column(tmp_path):
    rows = made_rows(4, CORPORA, seeds=(1,))
    student = next(row for row in rows if row.label == "SM task")
    grid = [
        replace(student, corpus=c, label=f"SM beta={b:g} gamma={g:g}", beta=b, gamma=g, split="devel", protocol="train")
        for c in CORPORA for b in (0.0, 0.5, 1.0) for g in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    made_workdir(tmp_path, [*rows, *grid])
    shown = reported(tmp_path)
    assert "beta=" not in shown
    section = tmp_path / "report" / "intermediate-train+devel"
    assert (section / "weights-softmax.png").exists()
    assert not (section / "temperature-softmax.png").exists()
    assert "gamma=" not in (section / "loss.svg").read_text()
    assert "choosing weights" in (tmp_path / "report" / "index.html").read_text()


def test_tests_are_about_the_pairs_that_were_named_before_the_run(workdir):
    """Those alone: a correction for pairs that nobody asked about costs power."""
    settings = json.loads((workdir / "settings.json").read_text())
    settings["experiment"]["pairs"] = [["SM a=0.5", "STM"], ["MTM", "STM"], ["no such", "STM"]]
    (workdir / "settings.json").write_text(json.dumps(settings))
    (subject,) = report.subjects_of(workdir)
    named = {frozenset(pair[:2]) for pair in subject.comparison.pairs}
    assert named == {frozenset(("SM a=0.5", "STM")), frozenset(("MTM", "STM"))}
    del settings["experiment"]["pairs"]
    (workdir / "settings.json").write_text(json.dumps(settings))
    (every,) = report.subjects_of(workdir)
    assert len(every.comparison.pairs) > 2
    p = {frozenset(pair[:2]): pair.wilcoxon for pair in every.comparison.pairs}
    assert all(pair.wilcoxon <= p[frozenset(pair[:2])] for pair in subject.comparison.pairs)


def test_wrong_requests_are_answered(tmp_path, workdir):
    with pytest.raises(InputError, match="name a work folder"):
        reported()
    with pytest.raises(InputError, match="leave --workdir out"):
        reported(workdir, of_paper=True)
    with pytest.raises(InputError, match="no such file; is this the work folder"):
        reported(tmp_path)
    (workdir / "settings.json").write_text("{")
    with pytest.raises(InputError, match=r"settings\.json: can't be read as JSON"):
        reported(workdir)
    results.append(tmp_path / "results.csv", [replace(made_rows(1, ["NCBI"])[0], split="devel")], results.Row)
    with pytest.raises(InputError, match="no scores on test yet"):
        reported(tmp_path)


@pytest.mark.slow
def test_the_paper_under_the_same_tests(tmp_path):
    shown = reported(of_paper=True, output=tmp_path / "paper")
    for figure in ("chi2 = 8.459, p = 0.076", "chi2 = 33.158", "chi2 = 18.061", "at 0.05: 1.211", "at 0.05: 1.575",
                   "SM task 1.733, SM task+shared 2.200, MTM 2.433, STM 3.633", "Of 49 claims"):  # fmt: skip
        assert figure in shown
    index = (tmp_path / "paper" / "index.html").read_text()
    assert all(f"Table {number}." in index for number in range(1, 8))
    assert index.count("<svg") > 7 * 15
    assert "points are seeds" not in index
    assert "The paper&#39;s claims" in index


def test_a_report_leaves_alone_what_a_user_put_beside_and_into_its_sections(workdir, tmp_path):
    output = tmp_path / "rep"
    reported(workdir, output=output)
    section = output / "logits-train+devel"
    shutil.copytree(section, output / "kept for the talk")
    shutil.copytree(section, output / "old-name")
    stale = json.loads((section / "section.json").read_text()) | {"name": "stale"}
    (output / "stale").mkdir()
    for file in stale["files"]:
        (output / "stale" / file).touch()
    (output / "stale" / "section.json").write_text(json.dumps(stale))
    (output / "notes").mkdir()
    (section / "mine.png").touch()
    reported(workdir, output=output)
    assert {path.name for path in output.iterdir() if path.is_dir()} == {
        section.name, "kept for the talk", "old-name", "notes",
    }  # fmt: skip
    assert (section / "mine.png").exists()
    assert (output / "old-name" / "ranks.png").exists()


@pytest.mark.parametrize("name", ["index.html", "tables.md", "logits-train+devel/plan.txt"])
def test_a_folder_that_holds_somebody_elses_page_is_refused(workdir, tmp_path, name):
    path = tmp_path / "docs" / name
    path.parent.mkdir(parents=True)
    path.write_text("<html>mine</html>")
    with pytest.raises(InputError, match=r"already exists and is no.*--output"):
        reported(workdir, output=tmp_path / "docs")
    assert [str(p.relative_to(tmp_path / "docs")) for p in (tmp_path / "docs").rglob("*") if p.is_file()] == [name]
    assert path.read_text() == "<html>mine</html>"


def test_a_report_that_was_stopped_among_its_tables_is_written_again(tmp_path, monkeypatch):
    results.append(tmp_path / "results.csv", made_rows(7, ["NCBI"], seeds=(1,)), results.Row)
    whole = report.replace_file

    def stopped_at_the_last_table(path, content):
        if path.name == "tables.tex":
            raise KeyboardInterrupt
        whole(path, content)

    monkeypatch.setattr(report, "replace_file", stopped_at_the_last_table)
    with pytest.raises(KeyboardInterrupt):
        report.write_report(tmp_path)
    monkeypatch.undo()
    index = report.write_report(tmp_path)
    assert index.exists()
    assert (index.parent / "tables.tex").exists()
