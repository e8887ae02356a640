"""F1 against size: each column's card beside its scores, in the table and in the picture."""

import csv
import json
from dataclasses import replace

import pytest
from helpers.made_results import made_rows

from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row
from kd_jax.report.frontier import frontier_figure, frontier_points, smallest_near, write_frontier

COLUMNS = {"SM 200": (900, 600), "SM 50": (350, 300), "alone 200": (900, 600), "MTM": (0, 0)}


@pytest.fixture
def workdir(tmp_path):
    template, rows = made_rows(corpora=["NCBI"], seeds=(1,))[0], []
    for label, (parameters, words) in COLUMNS.items():
        for seed in (1, 2):
            kind, taught = ("MTM" if label == "MTM" else "SM"), label.startswith("SM")
            place = f"students/NCBI/{label}-{seed}"
            f1 = 80.0 + parameters / 100 + 2 * taught + seed
            fields = {"experiment": "frontier", "model": kind, "label": label, "seed": seed, "f1": f1, "path": place}
            rows.append(replace(template, beta=float(taught), **fields))
            if kind == "SM":
                (tmp_path / place).mkdir(parents=True)
                card = {
                    "f1": f1, "parameters": parameters, "word_parameters": words, "bytes": 4 * parameters,
                    "weights": {"alpha": 1.0, "beta": float(taught), "gamma": 0.0, "kappa": 0.0},
                    "speed": {"tokens_per_s": 100.0 * seed, "latency_p50_ms": 2.0},
                }  # fmt: skip
                (tmp_path / place / "card.json").write_text(json.dumps(card))
    results.append(tmp_path / "results.csv", [*rows, replace(template, label="SM other")], Row)
    return tmp_path


def test_points_are_means_of_cards(workdir):
    points, teachers = frontier_points(workdir)
    assert [(p.label, p.taught, p.parameters, p.inner, p.bytes) for p in points] == [
        ("SM 200", True, 900, 300, 3600),
        ("SM 50", True, 350, 50, 1400),
        ("alone 200", False, 900, 300, 3600),
    ]
    assert [p.f1 for p in points] == [92.5, 87.0, 90.5]
    assert {(p.seeds, p.tokens_per_s, p.latency) for p in points} == {(2, 150.0, 2.0)}
    assert teachers == {"NCBI": 81.5}


def test_runs_of_another_protocol_are_no_seeds(workdir):
    rows = results.read(workdir / "results.csv")
    (workdir / "results.csv").unlink()
    before = [replace(row, protocol="train", f1=row.f1 - 20) for row in rows]
    results.append(workdir / "results.csv", before + rows[:-1], Row)
    points, teachers = frontier_points(workdir)
    assert {p.seeds for p in points} == {2}
    assert [p.f1 for p in points] == [92.5, 87.0, 90.5]
    assert teachers == {"NCBI": 81.5}


def test_the_picture_shows_every_point_over_both_sizes(workdir):
    figure = frontier_figure(*frontier_points(workdir))
    whole, inner = figure.axes
    lines = [[[*map(tuple, line.get_xydata())] for line in axes.lines] for axes in (whole, inner)]
    assert lines[0][:2] == [[(350, 87.0), (900, 92.5)], [(900, 90.5)]]
    assert lines[1][:2] == [[(50, 87.0), (300, 92.5)], [(300, 90.5)]]
    assert {y for _, y in lines[0][2]} == {81.5}
    assert {text.get_text() for text in whole.texts} == {"200", "50"}


def test_files(workdir):
    table, said, picture = write_frontier(workdir, workdir / "report")
    assert table.row_count == 4
    assert said == [
        "NCBI: the smallest student within 1 F1 of the teacher's 81.5 is SM 50 with 87.0: 350 parameters, 50 without"
        " words, 150 tokens/s."
    ]
    assert picture.is_file()
    with (workdir / "report" / "frontier.csv").open(newline="") as file:
        assert [row["inner"] for row in csv.DictReader(file)] == ["300", "50", "300"]


def test_the_smallest_student_near_the_teacher(workdir):
    points, _ = frontier_points(workdir)
    assert "is SM 200 with 92.5" in smallest_near(points, "NCBI", 93.5)
    assert smallest_near(points, "NCBI", 93.6) == "NCBI: no student is within 1 F1 of the teacher's 93.6."


def test_what_is_missing_is_one_line(workdir, tmp_path_factory):
    path = next((workdir / "students" / "NCBI").glob("*/card.json"))
    card = json.loads(path.read_text())
    del card["word_parameters"]
    path.write_text(json.dumps(card))
    with pytest.raises(InputError, match="of an older version; write the cards again"):
        frontier_points(workdir)
    path.unlink()
    with pytest.raises(InputError, match="can't be read"):
        frontier_points(workdir)
    other = tmp_path_factory.mktemp("other")
    results.append(other / "results.csv", made_rows(corpora=["NCBI"], seeds=(1,)), Row)
    with pytest.raises(InputError, match="run --experiment=frontier into it"):
        frontier_points(other)
