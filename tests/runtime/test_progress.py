"""What a run shows where it is, and where it is not, on a terminal."""

import io

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
