"""The house stands: imports go down eight floors only, nothing imports experiments, no file has outgrown its idea."""

import ast
import sys
from pathlib import Path

import kd_jax

ROOT = Path(kd_jax.__file__).parent
FLOORS = [
    {"structs", "errors"},
    {"settings", "runtime", "cli"},
    {"experiment", "corpora", "data", "evaluation"},
    {"models", "report"},
    {"training", "tagging"},
    {"distill", "cost", "export"},
    {"sweep", "bench", "tag", "ship", "card", "doctor", "teach", "vectors", "list_models", "clean"},
    {"main"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
COMMANDS = {"corpora/__main__.py", "report/__main__.py", "evaluation/__main__.py", "bench/__main__.py", "__main__.py"}


def modules():
    return [path for path in ROOT.rglob("*.py") if "_bundled" not in path.parts and path != ROOT / "__init__.py"]


def room(path):
    """The room of a file; what `python -m` runs of a room is a command, on the top floor."""
    inside = path.relative_to(ROOT)
    return "main" if inside.as_posix() in COMMANDS else inside.with_suffix("").parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "kd_jax":
            names = [node.module] if node.module != "kd_jax" else [f"kd_jax.{alias.name}" for alias in node.names]
            yield from (name.split(".")[1] for name in names if "." in name)
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("kd_jax."))


def arrows():
    return sorted(
        {(room(path), other) for path in modules() for other in imported(path) if other in FLOOR}
        - {(name, name) for name in FLOOR}
    )


def test_every_room_has_a_floor():
    assert {room(path) for path in modules()} <= set(FLOOR)


def test_imports_go_down_only():
    assert [(a, b) for a, b in arrows() if FLOOR[b] >= FLOOR[a]] == []


def test_the_top_is_what_can_be_run_and_what_all_stand_on():
    assert len(list(ROOT.glob("*.py"))) <= 14


def test_no_module_shadows_the_standard_library_or_the_face():
    names = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert not names & (sys.stdlib_module_names - {"__main__"})
    assert not names & set(kd_jax.__all__)


def test_nothing_imports_experiments():
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                of_package = isinstance(node, ast.ImportFrom) and names[0].split(".")[0] == "kd_jax"
                assert of_package or "experiments" not in {name.split(".")[0] for name in names}, path


def test_files_stay_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: n for name, n in lengths.items() if n > 350} == {}
    assert lengths["main.py"] < 80


def test_no_test_file_imports_another():
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    assert len(files) > 30
    found = {
        (path.name, name)
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None) or "", *(alias.name for alias in node.names))
        if {file.stem for file in files} & set(name.split("."))
    }
    assert found == set()
