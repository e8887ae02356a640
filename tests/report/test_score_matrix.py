"""Scores by corpus, model and seed: nothing missing goes unsaid, nothing unlike is averaged."""

import math
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_results import made_rows

from kd_jax.report import published as paper
from kd_jax.report.score_matrix import listed, published, score_matrices


def test_means_are_over_seeds_and_nothing_else():
    rows = made_rows(1)
    (matrix,) = score_matrices([*rows, replace(rows[0], split="devel", f1=1.0, recall=1.0, precision=1.0)])
    assert matrix.corpora == paper.tables()[1].corpora
    assert matrix.labels == paper.tables()[1].labels
    assert matrix.common == matrix.corpora
    assert matrix.notes == ()
    for d, corpus in enumerate(matrix.corpora):
        for m, label in enumerate(matrix.labels):
            mine = [row.f1 for row in rows if (row.corpus, row.label) == (corpus, label)]
            assert matrix.means[d, m] == pytest.approx(np.mean(mine))


def test_experiments_and_protocols_stay_apart():
    rows = made_rows(1, ["NCBI"]) + made_rows(4, ["NCBI"])
    rows += [replace(row, protocol="train") for row in made_rows(1, ["ExPTM"])]
    found = score_matrices(rows)
    assert [(b.experiment, b.protocol, b.table) for b in found] == [
        ("logits", "train+devel", 1), ("intermediate", "train+devel", 4), ("logits", "train", 1)
    ]  # fmt: skip
    assert found[2].corpora == ("ExPTM",)


def test_missing_corpora_leave_the_common_ones_and_are_named():
    rows = [r for r in made_rows(1, ["NCBI", "CRAFT", "ExPTM"]) if (r.corpus, r.label) != ("NCBI", "MTM")]
    (matrix,) = score_matrices(rows)
    assert matrix.common == ("CRAFT", "ExPTM")
    assert math.isnan(matrix.mean("NCBI", "MTM"))
    assert matrix.notes == (
        "No score on NCBI of MTM.",
        "Averages and tests use only CRAFT and ExPTM: they compare models on the same corpora.",
    )


def test_missing_and_lost_seeds_are_named():
    rows = made_rows(1, ["NCBI"])
    lost = replace(rows[4], precision=None, recall=None, f1=None, status="diverged at step 9")
    (matrix,) = score_matrices([*rows[1:4], lost, *rows[5:]])
    assert matrix.notes == (f"MTM on NCBI, seed {lost.seed}, diverged at step 9: left out.",)
    assert rows[0].seed not in matrix.scores["NCBI", "STM"]
    assert len(matrix.scores["NCBI", "MTM"]) == 2
    (matrix,) = score_matrices(
        [r for r in made_rows(1, ["NCBI", "CRAFT"]) if (r.corpus, r.label, r.seed) != ("NCBI", "MTM", 2)]
    )
    assert matrix.notes == ("MTM on NCBI lacks seed 2: its mean is over the others.",)


def test_a_student_that_chose_no_teacher_stands_under_its_tables_seeds():
    rows = [replace(r, gamma=0.5) for r in made_rows(4, ["NCBI", "ExPTM"]) if r.label == "SM task"]
    (usual,) = score_matrices(rows)
    own = [replace(r, beta=0.0, gamma=0.0, kappa=0.0, seed=r.seed + 1000) if r.corpus == "NCBI" else r for r in rows]
    (matrix,) = score_matrices(own)
    assert matrix.scores == usual.scores
    assert {row.seed for row in matrix.rows["NCBI", "SM task"]} == {1001, 1002, 1003}  # where its counts lie
    (note,) = matrix.notes
    assert note.startswith("SM task on NCBI: devel chose weights without a teacher; 1001")
    assert score_matrices([r for r in own if r.corpus == "NCBI"])[0].scores["NCBI", "SM task"].keys() > {1001}


@pytest.mark.parametrize("changed", ["other.column", "table.other"])
def test_what_was_made_otherwise_is_in_no_average(changed):
    rows = [replace(r, recipe="table.column") for r in made_rows(1, ["NCBI", "CRAFT", "ExPTM"])]
    (alike,) = score_matrices(rows)
    assert alike.common == alike.corpora
    odd = next(i for i, r in enumerate(rows) if (r.corpus, r.label) == ("CRAFT", "SM a=0.5"))
    (matrix,) = score_matrices([*rows[:odd], replace(rows[odd], recipe=changed), *rows[odd + 1 :]])
    assert set(matrix.common) == {"NCBI", "ExPTM"}
    assert "On CRAFT models were made with other settings" in matrix.notes[0]
    assert matrix.scores == alike.scores


def test_a_model_lost_in_every_seed_is_not_run_at_all():
    rows = [
        replace(r, precision=None, recall=None, f1=None, status="diverged at step 1") if r.label == "MTM" else r
        for r in made_rows(1, ["NCBI"])
    ]
    (matrix,) = score_matrices(rows)
    assert "MTM" in matrix.labels
    assert matrix.common == ()
    assert matrix.notes[-1] == "Averages and tests use no corpus: they compare models on the same corpora."


def test_a_lane_with_two_sets_of_weights_counts_once_and_is_named():
    rows = made_rows(1, ["NCBI"])
    (matrix,) = score_matrices([*rows, replace(rows[-1], tau=2.0, f1=50.0)])
    assert matrix.scores["NCBI", "SM a=1"][rows[-1].seed] == 50
    assert matrix.notes == ("SM a=1 on NCBI, seed 3, was scored more than once; the last row of results.csv counts.",)


def test_published_boards_are_the_tables():
    for number, table in paper.tables().items():
        matrix = published(number)
        np.testing.assert_array_equal(matrix.means, table.f1)
        assert matrix.table == number


def test_only_keeps_order_and_drops_the_rest():
    (matrix,) = score_matrices(made_rows(1))
    part = matrix.only(["NCBI", "CRAFT"], ["SM a=0", "STM"])
    assert (part.corpora, part.labels) == (("CRAFT", "NCBI"), ("STM", "SM a=0"))
    assert part.means.tolist() == matrix.means[[10, 14]][:, [0, 2]].tolist()


def test_decimals_that_floats_leave_apart_are_ties():
    rows = made_rows(1, ["NCBI"], seeds=(1, 2, 3))
    for row, f1 in zip(rows[:6], (70.1, 70.2, 70.3, 70.3, 70.1, 70.2), strict=True):
        rows[rows.index(row)] = replace(row, f1=f1)
    (matrix,) = score_matrices(rows)
    assert matrix.means[0, 0] == matrix.means[0, 1] == 70.2


def test_listed():
    assert [listed(range(n)) for n in range(4)] == ["", "0", "0 and 1", "0, 1 and 2"]
