"""What a CPU computes from the same settings stays what it was: digests of trained parameters, kept beside this file.

After a change that means to change them, TRAINING in kd_jax/sweep/identity.py is raised and the file written again:

    KD_JAX_WRITE_NUMBERS=1 python -m pytest tests/training/test_numbers.py
"""

import hashlib
import json
import os
import platform
from pathlib import Path

import jax
import jaxlib
import numpy as np
import pytest
from helpers.runs import SIZES, ask

from kd_jax.training.saved_model import load_model

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
KEPT = Path(__file__).with_name("numbers.json")


def machine():
    """What decides how a CPU rounds: the compiler, its options, and what the processor and its cores offer."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        flags = sorted(next(line for line in lines if line.startswith(("flags", "Features"))).split(":")[1].split())
    except (OSError, StopIteration):
        flags = []
    about = [jaxlib.__version__, platform.machine(), os.cpu_count(), flags, os.environ.get("XLA_FLAGS", "")]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]


def digests(params):
    """Of every array its bits, and two numbers that survive another machine's rounding."""
    found = {}
    for path, array in jax.tree_util.tree_leaves_with_path(params):
        values = np.asarray(array, np.float64)
        weighed = values * np.cos(np.arange(values.size).reshape(values.shape))
        found[jax.tree_util.keystr(path, simple=True, separator="/")] = {
            "bits": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16],
            "norm": float(np.linalg.norm(values)),
            "weighed": float(weighed.sum()),
        }
    return found


EXPERIMENT = """
from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="kept_{head}",
    title="",
    head="{head}",
    single=("{head}",),
    multi=("{head}",),
    teachers=(Teacher("{head}"),),
    students=({students}),
)
"""
STUDENTS = {
    "softmax": """
        Student("hidden", alpha=0.5, beta=0.5, gamma=0.5, kappa=0.5),
        Student("soft, teacher's words", alpha=0.5, beta=0.5, foreign=True, start="words",
                assignments=("distill.match=soft", "distill.foreign=200")),
    """,
    "crf": """Student("posteriors", alpha=0.0, beta=1.0, tau=2.0, assignments=("distill.match=posteriors",)),""",
}


@pytest.mark.parametrize("head", ["softmax", "crf"])
def test_trained_parameters_are_what_they_were(tmp_path, head):
    file = tmp_path / "experiment.py"
    file.write_text(EXPERIMENT.format(head=head, students=STUDENTS[head]))
    ask(
        SAMPLE, tmp_path / "w", experiment=str(file), seeds="1", epochs=None, datasets=["SampleMix", "SampleGene"],
        targets=["SampleMix"], assignments=(*SIZES, "train.updates=8", "row_length=32", "learning_rate=0.002"),
    )  # fmt: skip
    found = {
        model.parent.name: digests(load_model(model.parent).params)
        for model in sorted((tmp_path / "w").glob("*/**/model.json"))
    }
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    if os.environ.get("KD_JAX_WRITE_NUMBERS"):
        KEPT.write_text(json.dumps(kept | {"machine": machine(), head: found}, indent=1) + "\n")
        return
    assert found.keys() == kept[head].keys(), "models have other ids than before: none that users have would be found"
    same_machine = kept["machine"] == machine()
    for name, arrays in kept[head].items():
        for path, was in arrays.items():
            now = found[name][path]
            assert now["norm"] == pytest.approx(was["norm"], rel=1e-3, abs=1e-6), (name, path)
            assert now["weighed"] == pytest.approx(was["weighed"], rel=2e-3, abs=2e-3 * was["norm"]), (name, path)
            assert now["bits"] == was["bits"] or not same_machine, (name, path)
