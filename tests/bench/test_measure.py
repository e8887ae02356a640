"""The bench from its flags to its JSON, with a peer made up here; no clock is looked at."""

import io
import json
import subprocess
import sys

import pytest
from helpers.tiny import tiny_corpus
from rich.console import Console

from kd_jax.bench import measure as benchmark
from kd_jax.bench import peer
from kd_jax.bench.measure import BenchRequest, measure
from kd_jax.bench.tables import tables
from kd_jax.corpora.conll import read_split, write_split
from kd_jax.cost.timing import Cost, predicted_bytes
from kd_jax.errors import InputError
from kd_jax.settings import Settings

SIZES = ("words.dim=6", "chars.dim=4", "chars.units=4", "shared_units=4", "task_units=4", "hidden_units=4", "rows=3")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    for name in ("First", "Second"):
        (folder / name).mkdir()
        for split, sentences in tiny_corpus(name, sizes=(60, 8, 8)).splits.items():
            write_split(folder / name / f"{split}.tsv", sentences)
    return folder


def asked(corpora, **changes):
    wanted = {"data_dir": corpora, "assignments": SIZES, "steps": 2, "repeats": 2, "starts": False}
    return BenchRequest(**(wanted | changes))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(benchmark.device, "matmul_rate", lambda _: 1e9)
    monkeypatch.setattr(benchmark.device, "copy_rate", lambda: 1e9)
    monkeypatch.setattr(benchmark, "compile_cost", lambda job: Cost(1.0, predicted_bytes(job)))
    monkeypatch.setattr(benchmark, "ROWS_TRIED", (1, 2))


def test_two_corpora_and_two_numbers_of_lanes(corpora):
    found = measure(asked(corpora, lanes=("1", "2", "1")), lambda _: None)
    assert [run["lanes"] for run in found["runs"]] == [1, 2]
    assert found["corpora"] == ["First", "Second"]
    for run in found["runs"]:
        assert run["lane_tokens_per_s"] == pytest.approx(run["lanes"] * run["tokens_per_s"])
        assert len(run["lane_tokens_per_s_repeats"]) == 2
        assert run["share_of_matmul_rate"] == pytest.approx(run["flops_a_token"] * run["lane_tokens_per_s"] / 1e9)
        assert 0 < run["real_share"] <= 1
        assert run["predicted_bytes"] == run["program_bytes"]
    assert json.loads(json.dumps(found)) == found
    console = Console(width=200, file=io.StringIO())
    for table in tables(found):
        console.print(table)
    assert "shared BiLSTM" in console.file.getvalue()


def test_floor_of_bfloat16_reads_half_the_bytes(corpora):
    layers = {}
    for dtype in ("float32", "bfloat16"):
        found = measure(asked(corpora, datasets=("First",), dtypes=(dtype,)), lambda _: None)
        layers[dtype] = {layer["name"]: layer for layer in found["layers"]}["shared BiLSTM"]
    assert layers["float32"]["recurrent"] == 2 * layers["bfloat16"]["recurrent"] > 0
    assert layers["float32"]["operations"] == layers["bfloat16"]["operations"]


def test_peer_runs_in_turn_with_ours(corpora, monkeypatch):
    order = []

    def speed(self, layout):
        order.append(layout)
        assert read_split(self.corpus / "train.tsv") == read_split(corpora / "First" / "train.tsv")
        rate = 300.0 if "padded" in layout and "3600" in layout else 100.0
        about = {"tokens_a_step": 1, "device": "cpu", "threads": 1, "torch": "2"}
        asked_for = {"layout": layout[1], "tokens_per_step": 3600}
        return about | {"tokens_per_s": rate, "tag_tokens_per_s": 50.0, "settings": asked_for}

    ours = []
    monkeypatch.setattr(peer, "check_peer", lambda: None)
    monkeypatch.setattr(peer.Peer, "speed", speed)
    plain = benchmark.Entrant.run
    monkeypatch.setattr(benchmark.Entrant, "run", lambda self: (ours.append(len(order)), plain(self)))
    found = measure(asked(corpora, datasets=("First",), peer=True), lambda _: None)
    tried = len(peer.layouts("cpu"))
    assert order[tried + 1 :: 2] == [peer.layouts("cpu")[2]] * 2
    assert order[tried::2] == [peer.trained_as_usual(found["runs"][0]["tokens_a_step"])] * 2
    assert {tried, tried + 2} <= set(ours)
    run = found["runs"][0]
    assert run["ratio_to_peer"] == pytest.approx(run["lane_tokens_per_s"] / 100)
    best = max(run["lane_tokens_per_s"], found["best"]["float32"]["lane_tokens_per_s"])
    assert found["ratio_to_peer_best"] == pytest.approx(best / 300)
    assert found["ratio_to_peer"] == run["ratio_to_peer"]
    console = Console(width=200, file=io.StringIO())
    for table in tables(found):
        console.print(table)
    assert "Beside PyTorch" in console.file.getvalue()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": ("0",)}, "--lanes=0"),
        ({"lanes": ("many",)}, "--lanes=many"),
        ({"dtypes": ("float8",)}, "float8"),
        ({"steps": 0}, "--steps"),
        ({"data_dir": None, "datasets": ("NCBI",)}, "needs --data_dir"),
        ({"peer": True}, "name it, as in --datasets=First"),
        ({"peer": True, "datasets": ("First",), "assignments": ("task_units=3",)}, "BiLSTMs of equal size"),
    ],
)
def test_what_is_refused(corpora, changes, message, monkeypatch):
    monkeypatch.setattr(peer, "check_peer", lambda: None)
    with pytest.raises(InputError, match=message):
        measure(asked(corpora, **changes), lambda _: None)


def test_a_missing_peer_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(peer.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install -e '\.\[peer\]'"):
        peer.check_peer()
    monkeypatch.setattr(peer, "SCRIPT", tmp_path / "torch_peer.py")
    with pytest.raises(InputError, match="part of a checkout"):
        peer.check_peer()


def test_a_peer_that_fails_is_told_of(tmp_path):
    pytest.importorskip("torch")
    wanted = peer.Peer(tmp_path, benchmark.peer_sizes(Settings()), 1, "float32")
    with pytest.raises(InputError, match="no such file"):
        wanted.speed(peer.trained_as_usual(900))


def test_the_real_peer_answers(corpora):
    pytest.importorskip("torch")
    sizes = ["--word_dim", "6", "--char_dim", "4", "--filters", "4", "--units", "4", "--hidden", "4"]
    told = peer.Peer(corpora / "First", sizes, 2, "float32").speed(peer.layouts("cpu")[0])
    assert told["tokens_per_s"] > 0
    assert told["settings"]["layout"] == "padded"


@pytest.mark.slow
def test_command_with_fresh_starts(corpora, tmp_path):
    """The whole command, in small."""
    target = tmp_path / "out.json"
    flags = [f"--data_dir={corpora}", "--datasets=First", "--steps=2", "--repeats=1", f"--json={target}"]
    command = [sys.executable, "-m", "kd_jax.bench", *flags, *(f"--set={size}" for size in SIZES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(target.read_text())
    assert found["start_cold_s"] > 0 < found["start_warm_s"]
    assert found["runs"][0]["peak_bytes"] > 0
    tagging = found["tagging"]
    assert tagging["sentences"] == 8
    assert set(tagging["starts_s"]) == {"trained", "shipped"}
    assert tagging["ours"]["tokens_per_s"] > 0 < tagging["ours"]["p50_ms"] <= tagging["ours"]["p95_ms"]
    assert "What it takes" in done.stdout
    assert "Tagging text" in done.stdout
    wrong = subprocess.run([*command, "--lanes=x"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr.strip().splitlines()[-1][:8]) == (2, "error: -")
