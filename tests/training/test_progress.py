"""What a run shows where it is, and where it is not, on a terminal."""

import io

import pytest
from rich.console import Console

from kd_jax.training import progress
from kd_jax.training.progress import Meter, gather


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("file", [io.StringIO, Terminal])
def test_a_bar_on_a_terminal_only_whatever_force_color_says(tmp_path, monkeypatch, file):
    """Jupyter sets it for what a cell starts; a bar there would be a line of output for every frame."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "PLAIN_EVERY", -1.0)
    console = Console(file=file(), width=120)
    with Meter(100, tmp_path / "metrics.jsonl", console) as meter:
        for _ in range(3):
            meter.advance("STM on First epoch 1/1", 10, 1.0, 0.5)
    text = console.file.getvalue()
    assert ("\x1b[2K" in text) == (file is Terminal)
    assert text.count("ETA 0:") == (0 if file is Terminal else 3)


def test_lines_of_other_hosts_are_gathered_whole(tmp_path):
    """Where a writer was stopped in mid-line, the next line begins anew."""
    metrics = tmp_path / "metrics.jsonl"
    for number, written in enumerate(['{"a": 1}\n{"b"', '{"c": 2}\n{"d": 3}\n']):
        (tmp_path / f"{number}.jsonl").write_text(written)
        gather(metrics, tmp_path / f"{number}.jsonl")
    gather(metrics, tmp_path / "none.jsonl")
    assert metrics.read_text() == '{"a": 1}\n{"b"\n{"c": 2}\n{"d": 3}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
