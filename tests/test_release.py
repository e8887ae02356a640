"""What says which version this is says the same everywhere; the Pythons that are promised are those that are tried."""

import re
import tomllib
from pathlib import Path

import kd_jax

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def read(path):
    return (ROOT / path).read_text("utf-8")


def test_one_version():
    cited = re.search(r"^version: (.+)$", read("CITATION.cff"), re.MULTILINE)[1]
    newest, *_ = re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
    assert cited == newest == kd_jax.__version__


def test_every_promised_python_is_tried():
    promised = [c.rsplit(" ", 1)[1] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert promised[0] == PROJECT["requires-python"].removeprefix(">=")
    assert promised == re.findall(r'"(3\.\d+)"', re.search(r"python: \[.*\]", read(".github/workflows/tests.yml"))[0])


def test_the_package_says_that_it_is_typed():
    assert (Path(kd_jax.__file__).parent / "py.typed").is_file()
