"""The contract of results.csv, types.csv and the counts files."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.evaluation.score_tables import ScoreTables

ROW = Row("logits", "NCBI", "SM", "softmax", 0.5, 0.5, 0, 0, 1, 3, "test", 81.25, 79.0, 80.1, "train+devel", 20, 10**6,
          61.5, "SM a=0.5")  # fmt: skip
LOST = replace(ROW, seed=4, precision=None, recall=None, f1=None, status="diverged at step 17")
TYPE = TypeRow("logits", "NCBI", "SM a=0.5", "softmax", 3, "test", "train+devel", "Disease", 81.25, 79.0, 80.1, 960)


def test_the_columns_are_the_contract():
    assert ",".join(results.COLUMNS) == (
        "experiment,corpus,model,head,alpha,beta,gamma,kappa,tau,seed,split,precision,recall,f1,"
        "protocol,epochs,tokens,seconds,label,scheme,status,settings,recipe,path,default_f1,teachers,equations"
    )


def test_what_is_written_is_read_back_exactly(tmp_path):
    rows = [replace(ROW, f1=100 / 3, seconds=0.1 + 0.2, corpus='odd, "name"'), LOST]
    results.append(tmp_path / "new" / "results.csv", rows, Row)
    assert results.read(tmp_path / "new" / "results.csv") == rows
    results.append(tmp_path / "types.csv", [TYPE], TypeRow)
    assert results.read_types(tmp_path / "types.csv") == [TYPE]


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path):
    path = tmp_path / "results.csv"
    results.append(path, [ROW, LOST], Row)
    as_written = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + as_written.replace(b"\n", b"\r\n"))
    assert results.read(path) == [ROW, LOST]
    path.write_bytes(as_written.replace(b",", b";"))
    with pytest.raises(InputError, match=r"results.csv:1: its columns are parted by semicolons; save it with commas"):
        results.read(path)


def test_a_second_row_of_a_lane_goes_to_the_end_and_the_first_goes(tmp_path):
    path = tmp_path / "results.csv"
    results.append(path, [ROW, LOST], Row)
    results.append(path, [replace(ROW, f1=90.0, seconds=1.0)], Row)
    assert [row.f1 for row in results.read(path)] == [None, 90.0]
    others = [replace(ROW, **{name: "x"}) for name in ("experiment", "corpus", "split", "protocol", "label")]
    others += [replace(ROW, **{name: 0.75}) for name in ("alpha", "beta", "gamma", "kappa", "tau")]
    others += [replace(ROW, head="crf"), replace(ROW, seed=9)]
    results.append(path, others, Row)
    assert len(results.read(path)) == 2 + len(others)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"f1": math.nan}, r"f1 is nan \(logits: SM a=0.5 on NCBI, .*, seed 3, test\)"),
        ({"seconds": math.inf}, "seconds is inf"),
        ({"f1": 123.0}, "f1 is 123, not in percent"),
        ({"recall": None}, "recall is missing"),
        ({"status": "diverged at step 5"}, "precision is given"),
        ({"status": "fine"}, "write 'ok' or 'diverged at step N'"),
    ],
)
def test_a_row_without_sound_numbers_is_refused_and_the_file_stays(tmp_path, change, said):
    path = tmp_path / "results.csv"
    results.append(path, [ROW], Row)
    before = path.read_bytes()
    with pytest.raises(InputError, match=said):
        results.append(path, [replace(LOST, seed=8), replace(ROW, **change)], Row)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results.csv"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (lambda cells: cells[:-1], ":3: 26 cells under 27 columns"),
        (lambda cells: [*cells[:13], "nan", *cells[14:]], ":3: f1 is nan .*seed 4"),
        (lambda cells: [*cells[:13], "many", *cells[14:]], ":3: f1 is 'many', not a number"),
        (lambda cells: [*cells[:9], "1.5", *cells[10:]], ":3: seed is '1.5', not a whole number"),
        (lambda cells: [*cells[:2], "BIG", *cells[3:]], ":3: model is 'BIG', not STM or MTM or SM"),
        (lambda cells: ["", *cells[1:]], ":3: experiment is '', not a name"),
        (lambda cells: [*cells[:9], "3", *cells[10:]], ":3: repeats line 2"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, said):
    path = tmp_path / "results.csv"
    results.append(path, [ROW, replace(ROW, seed=4)], Row)
    *head, last = path.read_text().splitlines()
    path.write_text("\n".join([*head, ",".join(line(last.split(",")))]) + "\n")
    with pytest.raises(InputError, match=said):
        results.read(path)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        results.read(tmp_path / "results.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match=r"empty\.csv:1: no column experiment"):
        results.read(tmp_path / "empty.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="can't be read"):
        results.read(tmp_path / "bytes.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        results.append(tmp_path / "file" / "results.csv", [ROW], Row)


def test_more_columns_are_read_over_but_not_lost(tmp_path):
    path = tmp_path / "results.csv"
    results.append(path, [ROW], Row)
    header, line = path.read_text().splitlines()
    path.write_text(f"{header},host\n{line},a\n")
    assert results.read(path) == [ROW]
    with pytest.raises(InputError, match="another version"):
        results.append(path, [LOST], Row)
    assert path.read_text().startswith(f"{header},host")


def test_a_file_from_before_there_was_a_column_is_read_and_gets_it(tmp_path):
    path = tmp_path / "results.csv"
    results.append(path, [ROW], Row)
    path.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in path.read_text().splitlines()))
    results.append(path, [LOST], Row)
    assert results.read(path) == [ROW, LOST]


def test_type_rows_of_a_lane_go_with_its_older_model(tmp_path):
    ScoreTables(tmp_path).add([ROW], [TYPE, replace(TYPE, type="Old")])
    ScoreTables(tmp_path).add([ROW], [TYPE])
    assert results.read_types(tmp_path / "types.csv") == [TYPE]
    ScoreTables(tmp_path).add([replace(LOST, seed=ROW.seed)], [])
    assert results.read_types(tmp_path / "types.csv") == []


def test_counts_are_read_back_and_apart(tmp_path):
    counts = np.arange(12).reshape(4, 3)
    path = results.write_counts(tmp_path, ROW, counts)
    assert path == tmp_path / "counts/logits/NCBI/SM-a=0.5-softmax-train+devel-seed3-test.npy"
    np.testing.assert_array_equal(results.read_counts(tmp_path, ROW), counts)
    assert results.read_counts(tmp_path, replace(ROW, seed=5)) is None
    whole = path.read_bytes()
    for damaged in (
        b"junk",
        b"",
        whole[:-1],
        whole.replace(b"'shape'", b"\0 (\xd7 '"),
        whole.replace(b"False", b"[[[[("),
    ):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"test\.npy: not an array") as caught:
            results.read_counts(tmp_path, ROW)
        assert "\n" not in str(caught.value)
    results.write_counts(tmp_path, ROW, np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"not int32 \[N, 3\]"):
        results.read_counts(tmp_path, ROW)


def test_counts_that_may_not_be_read_are_neither_absent_nor_damaged(open_folder, as_nobody):
    path = results.write_counts(open_folder, ROW, np.zeros((3, 3), np.int32))
    for folder in path.parents:
        if folder.is_relative_to(open_folder):
            folder.chmod(0o755)
    path.chmod(0o600)
    with as_nobody(), pytest.raises(InputError, match=r"can.t be read: Permission denied$"):
        results.read_counts(open_folder, ROW)
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(InputError, match="No such file"):
        results.read_counts(open_folder, ROW)
