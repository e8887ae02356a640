"""The examples in docstrings give what they say."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import kd_jax

ROOT = Path(kd_jax.__file__).parent
EXAMPLE = re.compile(r">>> (?!.*doctest: \+SKIP)")
WITH_EXAMPLES = [path for path in sorted(ROOT.rglob("*.py")) if EXAMPLE.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples(path):
    module = importlib.import_module(".".join(("kd_jax", *path.relative_to(ROOT).with_suffix("").parts)))
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


def test_there_are_some():
    assert len(WITH_EXAMPLES) > 8
