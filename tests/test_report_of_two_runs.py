"""Two work folders beside each other: what is compared with what, what is left out, and what is refused."""

import re
from dataclasses import replace

import pytest
from helpers.made_reports import CORPORA, made_workdir, records, reported
from helpers.made_results import made_rows

from kd_jax.errors import InputError
from kd_jax.evaluation import results


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "A"
    folder.mkdir()
    return made_workdir(folder, made_rows(1, CORPORA, seeds=(1, 2, 3)))


def test_two_runs_are_compared_model_by_model(tmp_path, workdir):
    other = tmp_path / "B"
    other.mkdir()
    rows = made_rows(1, CORPORA)
    better = [replace(row, f1=row.f1 + 5) for row in rows if row.label != "SM a=1"]
    made_workdir(other, better, better=0.1)
    shown = reported(workdir, other)
    assert "logits: B against A" in shown
    assert re.search(r"STM \[B\] − STM \[A\] +3:0", shown)
    assert "SM a=1 was run in one of the two only." in shown
    assert "+5.0" in shown
    assert re.search(r"STM \[B\] beats STM \[A\] on", shown)
    index = workdir / "report" / "against-B" / "index.html"
    page = index.read_text()
    order = ["kd-jax report /", "F1 of the second run less the first&#39;s", "What the second run gains",
             "What the tests say", "A: logits, its own table", "hashes of"]  # fmt: skip
    assert [page.index(part) for part in order] == sorted(page.index(part) for part in order)
    assert "ranks.png" not in {path.name for path in (index.parent / "logits-train+devel").iterdir()}
    assert (index.parent / "logits-train+devel" / "gains.png").exists()
    tests = records(index.parent / "logits-train+devel" / "tests.csv")
    assert len(tests) == 4 + 3 * 4
    assert all(row["first"].split(" [")[0] == row["second"].split(" [")[0] for row in tests)


def test_corpora_of_one_run_alone_stay_out_of_the_comparison(tmp_path, workdir):
    other = tmp_path / "B"
    other.mkdir()
    made_workdir(other, made_rows(1, ["NCBI", "CRAFT", "AnatEM"], seeds=(1, 2)))
    shown = reported(workdir, other)
    for corpus in ("ExPTM", "AnatEM"):
        assert f"{corpus} was not run in both for every model: left out of the tests." in shown
    assert "2 corpora with scores of every model" in shown


def test_runs_that_cannot_be_compared_are_refused(tmp_path, workdir):
    other = tmp_path / "B"
    other.mkdir()
    results.append(other / "results.csv", made_rows(7, CORPORA), results.Row)
    with pytest.raises(InputError, match="no experiment under the same protocol in both: A has logits"):
        reported(workdir, other)
    with pytest.raises(InputError, match="given 3 times"):
        reported(workdir, other, other)
    (other / "results.csv").unlink()
    results.append(
        other / "results.csv", [replace(r, label="X " + r.label) for r in made_rows(1, CORPORA)], results.Row
    )
    with pytest.raises(InputError, match="have no model in common"):
        reported(workdir, other)
