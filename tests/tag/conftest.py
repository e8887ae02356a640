"""Tagging as the command does it, with what it shows."""

import sys

import pytest

from kd_jax.export import tag_files


@pytest.fixture
def ask(folder, capsysbinary, monkeypatch):
    """Tag, and give what goes to standard output, which the capture doesn't let be reconfigured."""

    def run(*names, **given):
        monkeypatch.setattr(sys.stdout, "reconfigure", lambda **_: None, raising=False)
        tag_files.tag_files(
            tag_files.TagRequest(**({"model": [str(folder)], "names": [str(name) for name in names]} | given))
        )
        return capsysbinary.readouterr().out.decode()

    return run
