"""A display that fails is no reason to stop."""

import io
import os
import subprocess
import sys

import pytest
from rich.console import Console

from kd_jax.runtime.display import NARROWEST, Coloured, Display, standard_console


class Failing(io.StringIO):
    """Takes so many writes, then refuses."""

    def __init__(self, writes, fault):
        super().__init__()
        self.left, self.fault = writes, fault

    def write(self, text):
        if not self.left:
            raise self.fault
        self.left -= 1
        return super().write(text)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (BrokenPipeError(32, "Broken pipe"), ""),
        (
            OSError(28, "No space left on device"),
            "standard output can't be written (No space left on device): going on",
        ),
        (OSError(5, "Input/output error"), "standard output can't be written (Input/output error): going on"),
        (ValueError("I/O operation on closed file"), "standard output can't be written (I/O operation on closed file)"),
    ],
)
def test_the_first_refusal_is_the_last_write(capsys, fault, says):
    file = Failing(1, fault)
    console = Console(file=Display(file))
    for word in ("one", "two", "three"):
        console.print(word)
    assert file.getvalue() == "one\n"
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", bool(says))
    assert told.err.startswith(says)


def test_a_stream_that_is_closed_shows_nothing():
    console = Console(file=Display(None))
    console.print("one")
    assert not console.is_terminal


def test_what_is_not_writing_is_the_streams_own():
    file = io.TextIOWrapper(io.BytesIO(), "latin-1")
    shown = Display(file)
    assert (shown.encoding, shown.isatty()) == ("latin-1", False)
    shown.write("é")
    shown.flush()
    assert file.buffer.getvalue() == b"\xe9"


def test_a_process_goes_on_without_its_reader_and_ends_quietly(tmp_path):
    program = (
        "import sys\nfrom kd_jax import cli\nfrom kd_jax.runtime.display import standard_console\n"
        "def work():\n    console = standard_console()\n"
        "    for _ in range(1000):\n        console.print('x' * 99)\n"
        "    open(sys.argv[1], 'w').close()\ncli.leave(work)\n"
    )
    call = [sys.executable, "-c", program, str(tmp_path / "done")]
    for stdout in (subprocess.PIPE, os.open("/dev/full", os.O_WRONLY)):
        with subprocess.Popen(call, stdout=stdout, stderr=subprocess.PIPE, text=True) as process:
            if process.stdout:
                process.stdout.close()
            told = process.stderr.read()
        assert process.returncode == 0
        assert told.count("\n") == (stdout != subprocess.PIPE)
        (tmp_path / "done").unlink()


def test_a_terminal_too_narrow_for_tables_gets_those_of_a_narrow_one(monkeypatch):
    for columns, width in (("1", NARROWEST), ("100", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        assert standard_console().width == width


def test_what_is_asked_for_ends_with_its_reader():
    with pytest.raises(BrokenPipeError):
        Coloured(file=Failing(0, BrokenPipeError())).print("one")
