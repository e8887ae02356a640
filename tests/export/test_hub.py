"""What stands beside a shipped model: a card whose metadata a hub reads, and the packages that it needs, no others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from helpers.made_model import made

import kd_jax
from kd_jax.export.delivery import ship
from kd_jax.export.hub import CARD, NEEDED, REQUIREMENTS, hub_card

SCORES = {"precision": 80.0, "recall": 60.0, "f1": 68.571428}
ABOUT = {
    "label": 'SM: "soft"',
    "head": "crf",
    "split": "test",
    "teachers": ["minilm"],
    "scores": {"NCBI": SCORES | {"types": {"Drug": SCORES | {"support": 3}, "Gene": SCORES | {"support": 9}}}},
}


def metadata(card):
    _, front, body = card.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines())
    return {name: json.loads(value) for name, value in fields.items()}, body


def test_metadata_and_scores():
    found, body = metadata(hub_card("NCBI", ("O", "B-Drug", "I-Drug", "B-Gene", "I-Gene"), ABOUT))
    assert (found["library_name"], found["pipeline_tag"]) == ("kd_jax", "token-classification")
    (index,) = found["model-index"]
    assert index["name"] == 'SM: "soft" on NCBI'
    (result,) = index["results"]
    assert result["dataset"] == {"type": "NCBI", "name": "NCBI", "split": "test"}
    assert {m["type"]: m["value"] for m in result["metrics"]} == {"precision": 80.0, "recall": 60.0, "f1": 68.57}
    assert "| all | 80.00 | 60.00 | 68.57 |" in body
    assert "| Gene | 80.00 | 60.00 | 68.57 |" in body
    assert "Taught by minilm." in body


def test_the_hubs_own_library_reads_the_metadata():
    hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = hub.ModelCard(hub_card("NCBI", ("O", "B-Drug", "I-Drug", "B-Gene", "I-Gene"), ABOUT))
    assert (card.data.library_name, card.data.pipeline_tag, card.data.language) == (
        "kd_jax",
        "token-classification",
        "en",
    )
    assert card.data.model_name == 'SM: "soft" on NCBI'
    assert {(r.dataset_name, r.dataset_split, r.metric_type): r.metric_value for r in card.data.eval_results} == {
        ("NCBI", "test", "precision"): 80.0,
        ("NCBI", "test", "recall"): 60.0,
        ("NCBI", "test", "f1"): 68.57,
    }
    again = hub.ModelCard(str(card))  # as the hub's library writes it
    assert again.data.to_dict() == card.data.to_dict()
    assert card.text.lstrip().startswith('# SM: "soft" on NCBI')


def test_known_corpora_are_tags_and_no_data_sets_of_a_hub():
    for name in ("NCBI", "Mine"):
        found, _ = metadata(hub_card(name, ("O", "B-Gene", "I-Gene"), {}))
        assert "datasets" not in found
        assert (name in found["tags"]) == (name == "NCBI")


def test_a_model_without_scores_claims_none():
    found, body = metadata(hub_card("NCBI", ("O", "B-Gene", "I-Gene"), {}))
    assert "model-index" not in found
    assert "| all |" not in body


def test_a_shipped_folder_has_both(folder, tmp_path):
    ship(folder, tmp_path / "out", "int8", None, None)
    assert metadata((tmp_path / "out" / CARD).read_text("utf-8"))[1].startswith("# STM on Tiny")
    lines = (tmp_path / "out" / REQUIREMENTS).read_text("utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"jax>={jax.__version__}", *NEEDED]


@pytest.mark.slow
def test_an_empty_environment_needs_nothing_else(tmp_path):
    made(tmp_path / "student")
    ship(tmp_path / "student", tmp_path / "out", "float32", None, None)
    text = "XGene1 aken XGene2"
    expected = [tuple(span) for span in kd_jax.load(tmp_path / "out")(text)]
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", tmp_path / "out" / REQUIREMENTS], check=True)
    # As `pip install --no-deps of a clone` would put it there, and nothing of this environment beside it.
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages" / "kd_jax").symlink_to(Path(kd_jax.__file__).parent)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "packages")}
    asked = f"import kd_jax; print([tuple(s) for s in kd_jax.load({str(tmp_path / 'out')!r})({text!r})])"
    for command in (
        ["-c", asked],
        ["-m", "kd_jax.tag", f"--model={tmp_path / 'out'}", f"--text={text}", "--format=conll"],
    ):
        done = subprocess.run([python, *command], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(expected)) or "XGene1\t" in done.stdout
