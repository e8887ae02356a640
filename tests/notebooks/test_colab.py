"""The Colab notebook runs from top to bottom on a CPU with the bundled sample."""

import json
from pathlib import Path

import pytest

import kd_jax

NOTEBOOK = Path(kd_jax.__file__).parents[1] / "notebooks" / "kd_jax_colab.ipynb"


def test_it_is_committed_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    for cell in code:
        compile("".join(cell["source"]), "cell", "exec")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the kernel's own
def test_it_runs(tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    monkeypatch.setenv("PYTHONPATH", str(Path(kd_jax.__file__).parents[1]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    shorter = '"logits", 1, {"datasets": ["SampleGene"], "epochs": 2}'
    parameters.source += f"\nINSTALL = False\nEXPERIMENT, SEEDS, OPTIONS = {shorter}"
    nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    texts = ["".join(out.get("text", "") for out in c.outputs) for c in notebook.cells if c.cell_type == "code"]
    assert any("verdict: OK" in text for text in texts)
    assert any("labels: O, B-Gene" in text for text in texts)
    assert (tmp_path / "student" / "program.stablehlo").is_file()
