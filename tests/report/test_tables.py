"""Tables: means, deviations, places, averages, and four renderings of the same numbers."""

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.made_results import made_rows
from rich.console import Console

from kd_jax.evaluation.results import TypeRow
from kd_jax.experiment import load_experiment
from kd_jax.report import formats
from kd_jax.report.score_matrix import published, score_matrices
from kd_jax.report.tables import experiment_table, experiment_tables, score_table, type_tables


def shown(renderable, width=80):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(renderable)
    return console.file.getvalue()


def test_cells_hold_mean_deviation_reference_and_delta():
    rows = made_rows(1, ["NCBI", "CRAFT"])
    (table,) = experiment_tables(rows, 1)
    assert table.title == "Table 1. Students distilled from the softmax teacher's logits"  # of rows of before 0.2.0
    name, cells = table.rows[1]
    scores = [row.f1 for row in rows if row.corpus == "NCBI" and row.label == "SM a=0.5"]
    cell = cells[table.labels.index("SM a=0.5")]
    assert (name, cell.seeds, cell.reference) == ("NCBI", 3, 85.3)
    assert cell.mean == pytest.approx(np.mean(scores))
    assert cell.sd == pytest.approx(np.std(scores, ddof=1))
    assert cell.delta == pytest.approx(np.mean(scores) - 85.3)


def test_the_average_is_over_seeds_means_and_the_papers_over_the_same_corpora():
    rows = made_rows(1, ["NCBI", "CRAFT", "ExPTM"])
    (table,) = experiment_tables(rows, 1)
    ((name, cells),) = table.averages
    by_seed = [np.mean([r.f1 for r in rows if r.label == "MTM" and r.seed == s]) for s in (1, 2, 3)]
    cell = cells[table.labels.index("MTM")]
    assert name == "Average of 3"
    assert (cell.mean, cell.sd) == pytest.approx((np.mean(by_seed), np.std(by_seed, ddof=1)))
    assert cell.reference == pytest.approx((85.0 + 82.3 + 80.9) / 3)


def test_corpora_that_the_paper_lacks_get_no_figure_and_the_average_says_which():
    rows = [replace(r, corpus="mine") if r.corpus == "CRAFT" else r for r in made_rows(1, ["NCBI", "CRAFT", "ExPTM"])]
    (table,) = experiment_tables(rows, 1)
    assert [name for name, _ in table.rows] == ["ExPTM", "NCBI", "mine"]
    assert all(cell.reference is None for cell in table.rows[2][1])
    everything, known = table.averages
    assert (everything[0], known[0]) == ("Average of 3", "Of 2 in the paper")
    assert all(cell.reference is None for cell in everything[1])
    assert known[1][0].reference == pytest.approx((73.5 + 84.3) / 2)


def test_corpora_not_run_for_every_model_stay_out_of_the_average():
    rows = [r for r in made_rows(1, ["NCBI", "CRAFT", "ExPTM"]) if (r.corpus, r.label) != ("NCBI", "MTM")]
    (table,) = experiment_tables(rows, 1)
    assert table.averages[0][0] == "Average of 2"
    stm = [r.f1 for r in rows if r.label == "STM" and r.corpus != "NCBI"]
    assert table.averages[0][1][0].mean == pytest.approx(np.mean(stm))
    assert "No score on NCBI of MTM." in table.notes
    assert "–" in shown(experiment_table(rows, 1))


def test_places_go_by_what_is_shown():
    (table,) = experiment_tables(made_rows(1, ["NCBI"], seeds=(1,), noise=0), 1)
    places = {label: cell.place for label, cell in zip(table.labels, table.rows[0][1], strict=True)}
    assert places == {"STM": 0, "MTM": 2, "SM a=0": 0, "SM a=0.5": 1, "SM a=1": 0}
    for _, cells in score_table(published(1), "", {}).rows:
        best = max(cell.mean for cell in cells)
        assert all((cell.place == 1) == (cell.mean == best) for cell in cells)
        second = max(cell.mean for cell in cells if cell.mean < best)
        assert len({cell.mean for cell in cells}) > 2
        assert all((cell.place == 2) == (cell.mean == second) for cell in cells)


def test_of_two_models_only_the_better_has_a_place():
    for _, cells in score_table(published(1).only(["NCBI", "ExPTM"], ["STM", "MTM"]), "", {}).rows:
        assert [cell.place for cell in cells] == [0, 1]
    ((_, cells),) = score_table(published(1).only(["AnatEM"], ["STM", "MTM"]), "", {}).rows
    assert [cell.place for cell in cells] == [0, 0]


def test_an_experiment_of_ones_own_keeps_the_baselines_figures():
    (table,) = experiment_tables(made_rows(1, ["NCBI"], experiment="transfer"), None)
    assert table.title == f"{load_experiment('transfer').title} (transfer)"
    assert [cell.reference for cell in table.rows[0][1]] == [84.3, 85.0, None, None, None]


def test_the_terminal_shows_every_column_whole_at_any_width():
    rows = made_rows(3)
    for width in (40, 80, 200):
        text = shown(experiment_table(rows, 3, width), width)
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text
        cells = re.findall(r"\d\d\.\d ± \d\.\d", text)
        assert len(cells) == 16 * 6
    assert text.startswith("Table 3. Students of an ensemble")


def test_the_caption_names_scorer_protocol_and_seeds():
    rows = made_rows(1, ["NCBI"])
    (table,) = experiment_tables(rows, 1)
    assert "seqeval, strict IOB2" in table.caption
    assert "trained on train+devel" in table.caption
    assert "seeds 1, 2 and 3" in table.caption
    (table,) = experiment_tables([replace(r, seed=r.seed + 10) if r.label == "SM a=1" else r for r in rows], 1)
    assert "seeds 1, 2 and 3 (SM a=1: 11, 12 and 13)" in table.caption


def test_f1_in_seqevals_default_mode_is_said_where_it_is_known():
    rows = made_rows(1, ["NCBI", "CRAFT"])
    assert not any("default mode" in note for note in experiment_tables(rows, 1)[0].notes)
    alike = [replace(row, default_f1=row.f1) for row in rows]
    assert any("every score is the same" in note for note in experiment_tables(alike, 1)[0].notes)
    better = [replace(row, default_f1=row.f1 + (1 if row.label == "STM" else 0)) for row in rows]
    (table,) = experiment_tables(better, 1)
    stm, mtm = (cell.mean for cell in table.averages[0][1][:2])
    (note,) = (note for note in table.notes if "default mode" in note)
    assert f"STM {stm + 1:.1f}, MTM {mtm:.1f}" in note


def test_types_of_corpora_with_several():
    (matrix,) = score_matrices(made_rows(1, ["NCBI", "CRAFT"]))
    rows = [
        TypeRow("logits", corpus, label, "softmax", seed, "test", "train+devel", kind, 50.0, 50.0, 50.0 + seed + m, 7)
        for corpus, kinds in (("NCBI", ["Disease"]), ("CRAFT", ["Gene", "Species"]))
        for m, label in enumerate(matrix.labels)
        for kind in kinds
        for seed in (1, 2)
    ]
    others = [replace(row, protocol="train", f1=1.0) for row in rows] + [
        replace(r, split="devel", f1=2.0) for r in rows
    ]
    (table,) = type_tables(rows + others, matrix)
    assert table.title == "CRAFT by entity type"
    assert [name for name, _ in table.rows] == ["Gene (7)", "Species (7)"]
    assert [cell.mean for cell in table.rows[0][1]] == [51.5, 52.5, 53.5, 54.5, 55.5]


def test_csv_holds_every_number():
    tables = experiment_tables(made_rows(1), 1)
    records = list(csv.DictReader(io.StringIO(formats.tidy_csv(tables))))
    assert len(records) == 16 * 5
    for record, cell in zip(records, [c for _, cells in tables[0].rows for c in cells], strict=False):
        assert float(record["mean"]) == pytest.approx(cell.mean, abs=1e-6)
        assert float(record["mean"]) - float(record["reference"]) == pytest.approx(float(record["delta"]), abs=2e-6)
        assert (record["average"], record["seeds"]) == ("false", "3")


def test_markdown_is_a_table_with_as_many_cells_in_every_line():
    rows = [replace(r, corpus="a|b_c") for r in made_rows(1, ["NCBI"])]
    text = formats.markdown(experiment_tables(rows, 1))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert r"a\|b\_c" in text
    assert len(re.findall(r"\*\*\d", text)) == 1


def test_latex_is_balanced_and_escaped():
    rows = [replace(r, corpus="a_b & 50%") for r in made_rows(4, ["NCBI"])]
    text = formats.latex(experiment_tables(rows, 4))
    assert text.count("{") == text.count("}")
    assert text.count("$") % 2 == 0
    assert r"a\_b \& 50\%" in text
    assert [text.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 1, 1]
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {4}
    assert text.isascii()


def test_a_table_that_is_wider_than_a_page_goes_on_in_another():
    rows = [replace(r, label=f"{r.label}, kind {k}") for r in made_rows(1, ["NCBI", "CRAFT"]) for k in range(3)]
    (table,) = experiment_tables(rows, 1)
    text = formats.latex([table])
    blocks = text.split(r"\begin{table}")[1:]
    assert len(blocks) > 1
    heads = [block.split(r"\toprule")[1].split(r"\\")[0].split("&")[1:] for block in blocks]
    assert [label.strip() for head in heads for label in head] == [*table.labels]
    for block, head in zip(blocks, heads, strict=True):
        assert len("BioNLP09") + sum(len(label) + 2 for label in head) <= 76
        assert block.count("NCBI &") == block.count("Average of 2 &") == 1
        assert block.count(r"\begin{tabular}{@{}l" + "r" * len(head) + "@{}}") == 1
    assert ["continued" in block for block in blocks] == [False] + [True] * (len(blocks) - 1)
    assert text.isascii()
