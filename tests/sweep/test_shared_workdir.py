"""One work folder for many runs: other settings, other corpora, another clock; nothing is lost or mixed."""

import io
import json
import os
import time
from itertools import count

import pytest
from helpers.runs import SIZES, ask, rows_without_times
from rich.console import Console

from kd_jax.runtime import progress
from kd_jax.runtime.progress import ProgressMeter
from kd_jax.sweep import group as groups
from kd_jax.sweep import request as requests


@pytest.fixture
def common(tmp_path):
    (tmp_path / "alone.py").write_text(
        "from kd_jax.experiment import Experiment\nEXPERIMENT = Experiment('alone', 'STM alone', multi=())\n"
    )
    return {"datasets": ("First",), "experiment": str(tmp_path / "alone.py"), "seeds": "1"}


def files_of(models):
    return {path: path.read_bytes() for model in models for path in model.parent.rglob("*") if path.is_file()}


@pytest.mark.parametrize("change", [pytest.param("settings", marks=pytest.mark.slow), "corpora"])
def test_another_run_in_the_folder_loses_and_mixes_nothing(corpora, tmp_path, common, change):
    train = corpora / "First" / "train.tsv"
    text = train.read_text()
    ask(corpora, tmp_path / "w", **common)
    (first,) = (tmp_path / "w").rglob("model.json")
    files, rows = files_of([first]), rows_without_times(tmp_path / "w")
    if change == "settings":
        said = ask(corpora, tmp_path / "w", assignments=(*SIZES, "dropout=0.1"), **common)
        assert "not the text" not in said
    else:
        train.write_text(text + "\nXGene1\tB-Gene\n")
        try:
            said = ask(corpora, tmp_path / "w", **common)
        finally:
            train.write_text(text)
        assert said.count("First: not the text that this folder's last run read") == 1
    assert "nothing to train" not in said
    (second,) = {*(tmp_path / "w").rglob("model.json")} - {first}
    assert files_of([first]) == files
    assert [row["settings"] for row in rows_without_times(tmp_path / "w")] != [row["settings"] for row in rows]
    assert len(rows_without_times(tmp_path / "w")) == len(rows)
    assert "nothing to train" in ask(corpora, tmp_path / "w", **common)
    assert files_of([first]) == files
    assert second.is_file()
    assert rows_without_times(tmp_path / "w") == rows


def test_what_another_run_finished_until_it_let_go_is_not_trained_again(corpora, tmp_path, common, monkeypatch):
    def after_the_other(workdir):
        monkeypatch.setattr(requests, "open_workdir", open_workdir)
        ask(corpora, tmp_path / "w", **common)
        open_workdir(workdir)

    open_workdir = requests.open_workdir
    monkeypatch.setattr(requests, "open_workdir", after_the_other)
    assert "nothing to train" in ask(corpora, tmp_path / "w", **common)


def test_results_do_not_depend_on_the_clock(corpora, tmp_path, common, monkeypatch):
    """Time runs backwards by an hour a call, and files of the run before seem to come from the future."""
    common |= {"assignments": (*SIZES, "saving.minutes=0", "epochs=2"), "epochs": None}
    ask(corpora, tmp_path / "whole", **common)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(groups, "save_model", killed)
        with pytest.raises(KeyboardInterrupt):
            ask(corpora, tmp_path / "again", **common)
    future = time.time() + 10**8
    for place, path in enumerate(sorted((tmp_path / "again").rglob("*"))):
        os.utime(path, (future - place, future - place))
    start, calls = time.time(), count()
    monkeypatch.setattr(time, "time", lambda: start - 3600 * next(calls))
    assert "resuming after epoch 2" in ask(corpora, tmp_path / "again", **common)
    assert next(calls) > 1
    assert rows_without_times(tmp_path / "again") == rows_without_times(tmp_path / "whole")
    sums = [
        [json.loads(path.read_text())["params_sha256"] for path in (tmp_path / name).rglob("model.json")]
        for name in ("whole", "again")
    ]
    assert sums[0] == sums[1]


def test_the_time_that_is_left_is_never_negative(tmp_path, monkeypatch):
    """The clock goes back, and more is trained than was asked for: lanes that were begun together are finished so."""
    start, calls = time.time(), count()
    monkeypatch.setattr(time, "time", lambda: start - 3600 * next(calls))
    monkeypatch.setattr(progress, "PLAIN_EVERY", -1.0)
    meter = ProgressMeter(100, tmp_path / "metrics.jsonl", Console(width=200, file=io.StringIO()))
    meter._began -= 3600
    meter.skip(80)
    for _ in range(3):
        meter.advance("x", 40, 1.0, 0.5)
    lines = meter._console.file.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.endswith("ETA 0:00") for line in lines)
