"""A command with every kind of flag."""

import signal

import pytest
from helpers.commands import ended

from kd_jax import cli


@pytest.fixture(autouse=True)
def usual_interrupts():
    """Commands that end change how their process answers Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def ran():
    """A command with every kind of flag, which keeps what it was given."""
    seen = []

    def define(flags):
        flags.text("text", None, "A text.")
        flags.whole("steps", 3, "Steps.")
        flags.number("alpha", 0.05, "Level.", 0.01, 0.5)
        flags.choice("posthoc", "nemenyi", ("nemenyi", "conover"), "Test.")
        flags.yes("starts", "Starts.", default=True)
        flags.words("datasets", [], "Corpora.")
        flags.repeated("set", "Setting.", "KEY=VALUE")
        flags.path("workdir", "Folder.")
        flags.path("json", "File.", "file")
        flags.path("out", "Either.", "any", dash=True)
        flags.paths("model", "Folders.", several="comma")
        flags.paths("both", "Folders.", several="repeat")

    command = cli.Command(
        "About it.\n\n  An example.", define, lambda given, words: seen.append((given, words)), "[FILE]"
    )
    return lambda *words: (ended(cli.run, command, words, "it"), seen[-1] if seen else None)
