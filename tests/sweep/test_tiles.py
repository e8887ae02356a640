"""A run as a TPU has it, interpreted here: parameters in tiles from call to call, a CPU's models at the end."""

import jax
import numpy as np
import pytest
from helpers.runs import SIZES, carry_out, request

from kd_jax.distill import extract
from kd_jax.models.execution import Execution
from kd_jax.training import loop
from kd_jax.training.known import looked_up
from kd_jax.training.loop import Job
from kd_jax.training.saved_model import load_model

LENGTH = ("updates=12", "learning_rate=0.02", "words.unseen=ngrams", "row_length=16")


def models(corpora, workdir):
    """Everything that a run trains: which epoch was the best by devel, and parameters."""
    carry_out(request(corpora, workdir, experiment="recommended", protocol="train", assignments=(*SIZES, *LENGTH)))
    found = {}
    for file in sorted(workdir.rglob("model.json")):
        model = load_model(file.parent)
        found[file.parent.relative_to(workdir).as_posix()] = model.about, jax.tree.leaves(model.params)
    return found


@pytest.mark.slow
def test_a_run_ends_with_the_models_of_a_cpu(corpora, tmp_path, monkeypatch):
    expected = models(corpora, tmp_path / "cpu")
    how = Execution("tpu", "fused", interpret=True)
    monkeypatch.setattr(Job, "tagger_on", lambda self, _: self.tagger.clone(how=how))
    for module in (loop, extract):
        monkeypatch.setattr(module, "known_to", lambda _, tokens, batches: looked_up(tokens, batches))
    ours = models(corpora, tmp_path / "tpu")
    assert ours.keys() == expected.keys()
    assert len(ours) == 2 * 2 + 2 + 2 * 2  # STMs, MTMs, students
    for name, (about, params) in expected.items():
        assert ours[name][0]["epochs"] == about["epochs"]
        for a, b in zip(ours[name][1], params, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
