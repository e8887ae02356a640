"""Every third-party module that is imported is declared in pyproject.toml, and what is declared for use is imported."""

import ast
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
DISTRIBUTIONS = {  # of modules that are called otherwise
    "PIL": "pillow",
    "absl": "absl-py",
    "orbax": "orbax-checkpoint",
    "torchcrf": "pytorch-crf",
    "IPython": "ipython",
    "huggingface_hub": "huggingface-hub",
    "jaxlib": "jax",  # which brings it
}
INDIRECT = {"flatbuffers"}  # jax.export imports it, and jax does not declare it


LAZY = {
    "curves.py",
    "encoder.py",
    "token_classifier.py",
    "spacy_component.py",
    "remote.py",
    "cluster.py",
}  # imported by functions alone, where an extra is asked for


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


REQUIRED = {name_of(r) for r in PROJECT["dependencies"]}
EXTRAS = {extra: {name_of(r) for r in found} for extra, found in PROJECT["optional-dependencies"].items()}


def sources(folder):
    """Path and code of every file of a folder; of a notebook, that of its cells."""
    for path in sorted((ROOT / folder).rglob("*")):
        if path.suffix == ".py":
            yield path, path.read_text("utf-8")
        elif path.suffix == ".ipynb":
            cells = json.loads(path.read_text("utf-8"))["cells"]
            yield path, "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def modules(tree):
    """Top names of the modules that code imports, by an import or by pytest.importorskip."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip":
            yield node.args[0].value.split(".")[0]


def distributions(folder, *, at_start=False):
    """Distributions of the third-party modules that a folder's files import, with the files.

    With `at_start` what functions import, which an extra may bring, is left out.
    """
    own = {path.stem for top in ("tests", "benchmarks") for path in (ROOT / top).rglob("*.py")}
    own |= {"kd_jax", "tests", "helpers"} | set(sys.stdlib_module_names)
    found = {}
    for path, code in sources(folder):
        tree = ast.parse(code)
        if at_start:
            inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
            tree = ast.Module([n for n in ast.walk(tree) if isinstance(n, ast.stmt) and id(n) not in inside], [])
        for module in set(modules(tree)) - own:
            found.setdefault(DISTRIBUTIONS.get(module, module).lower().replace("_", "-"), set()).add(path.name)
    return found


def test_what_starts_with_the_package_is_required():
    found = distributions("kd_jax", at_start=True)
    assert {name: files - LAZY for name, files in found.items() if name not in REQUIRED and files - LAZY} == {}


def test_what_functions_of_the_package_import_is_required_or_an_extra():
    declared = REQUIRED.union(*(found for extra, found in EXTRAS.items() if extra != "test"))
    assert {name: files for name, files in distributions("kd_jax").items() if name not in declared} == {}


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "experiments", "data", "notebooks"])
def test_what_else_is_imported_is_declared(folder):
    declared = REQUIRED.union(*EXTRAS.values())
    assert {name: files for name, files in distributions(folder).items() if name not in declared} == {}


def test_what_is_required_is_imported():
    assert set(distributions("kd_jax")) >= REQUIRED - INDIRECT


def test_no_test_waits_for_an_extra_that_no_script_installs():
    asked = {
        DISTRIBUTIONS.get(node.args[0].value, node.args[0].value)
        for _, code in sources("tests")
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "importorskip"
    }
    scripts = "".join(path.read_text("utf-8") for path in (ROOT / ".ci").iterdir())
    installed = {extra for found in re.findall(r"'\.\[([\w,]+)\]'", scripts) for extra in found.split(",")}
    assert {"torch", "ray"} < asked
    assert asked <= REQUIRED.union(*(EXTRAS[extra] for extra in installed))
