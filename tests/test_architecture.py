"""The house stands: an import goes down only, nothing imports experiments, and no file has outgrown its idea."""

import ast
from pathlib import Path

import kd_jax

ROOT = Path(kd_jax.__file__).parent
FLOORS = [
    {"errors", "types", "interrupt", "device"},
    {"settings", "peer"},
    {"floor"},
    {"experiment"},
    {"files"},
    {"hosts"},
    {"paper", "data"},
    {"models"},
    {"losses"},
    {"training"},
    {"throughput"},
    {"startup"},
    {"knowledge"},
    {"evaluation"},
    {"tagging"},
    {"plan", "catalogue"},
    {"material", "lane_groups"},
    {"cells"},
    {"teaching"},
    {"run"},
    {"report"},
    {"forecast"},
    {"totals"},
    {"request"},
    {"benchmark", "benchmark_table"},
    {"tag_benchmark"},
    {"main", "corpora", "bench", "tag", "ship", "card", "doctor"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def modules():
    return [path for path in ROOT.rglob("*.py") if "_bundled" not in path.parts and path != ROOT / "__init__.py"]


def room(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "kd_jax":
            names = [node.module] if node.module != "kd_jax" else [f"kd_jax.{alias.name}" for alias in node.names]
            yield from (name.split(".")[1] for name in names if "." in name)
        elif isinstance(node, ast.Import):
            yield from (a.name.split(".")[1] for a in node.names if a.name.startswith("kd_jax."))


def test_every_room_has_a_floor():
    assert {room(path) for path in modules()} <= set(FLOOR)


def test_imports_go_down_only():
    upward = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path in modules()
        for other in imported(path)
        if other in FLOOR and other != room(path) and FLOOR[other] >= FLOOR[room(path)]
    ]
    assert upward == []


def test_nothing_imports_experiments():
    assert not [path for path in modules() if "import experiments" in path.read_text(encoding="utf-8")]


def test_files_stay_short():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {name: n for name, n in lengths.items() if n > 350} == {}
    assert lengths["main.py"] < 80
