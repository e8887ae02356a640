"""What a run shows where it is, and where it is not, on a terminal."""

import io
import re

import pytest
from rich.console import Console

from kd_jax.runtime import progress
from kd_jax.runtime.progress import ProgressMeter


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("file", [io.StringIO, Terminal])
def test_a_bar_on_a_terminal_only_whatever_force_color_says(tmp_path, monkeypatch, file):
    """Jupyter sets it for what a cell starts; a bar there would be a line of output for every frame."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "PLAIN_EVERY", -1.0)
    console = Console(file=file(), width=120)
    with ProgressMeter(100, tmp_path / "metrics.jsonl", console) as meter:
        for _ in range(3):
            meter.advance("STM on First epoch 1/1", 10, 1.0, 0.5)
    text = console.file.getvalue()
    assert ("\x1b[2K" in text) == (file is Terminal)
    assert text.count("ETA 0:") == (0 if file is Terminal else 3)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_however_narrow_the_terminal_bar_and_eta_are_there(tmp_path, width):
    console = Console(file=Terminal(), width=width)
    with ProgressMeter(100, tmp_path / "metrics.jsonl", console) as meter:
        meter.begin("compiling " + "students on SampleSpecies [15 lanes] " * 4)
        first = shown(console)
        meter.advance("students on SampleSpecies (15 lanes) epoch 3/20", 40, 1.0, 0.5)
        second = shown(console)
    assert all(len(line) <= width for line in (first, second))
    assert first.startswith("compi")
    for line in (first, second):
        assert re.search("[━╺╸]{8}", line)
        assert re.search(r"\d+% 0:00:0\d ETA ", line)
    assert " 40% " in second


def shown(console):
    """What a bar shows now."""
    console.file.truncate(0)
    live = console._live_stack[-1] if hasattr(console, "_live_stack") else console._live  # rich before 14
    live.refresh()
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r|\n|\0", "", console.file.getvalue())


def test_every_record_is_a_point_of_the_curves_too(tmp_path):
    told = []

    class Curves:
        add = staticmethod(told.append)

        def close(self):
            told.append("closed")

    console = Console(file=io.StringIO())
    with ProgressMeter(1, tmp_path / "metrics.jsonl", console, Curves()) as meter:
        meter.record(loss=0.5, step=3)
    assert told == [{"loss": 0.5, "step": 3}, "closed"]
    assert '"loss": 0.5' in (tmp_path / "metrics.jsonl").read_text()
