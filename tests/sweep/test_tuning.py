"""Weights that devel chooses: by the epoch that models which are shown will be used at."""

from dataclasses import replace
from io import StringIO

import pytest
from helpers.runs import SIZES, carry_out, request
from rich.console import Console

from kd_jax.errors import InputError
from kd_jax.sweep.request import execute, prepare
from kd_jax.training.manifest import read_manifest

CHOOSING = """
from kd_jax.experiment import Experiment, Grid, Student, Teacher
STUDENT = Student("SM", alpha=0.5, beta=Grid(0.1, 1.0))
EXPERIMENT = Experiment("choosing", "One weight", teachers=(Teacher("softmax"),), students=(STUDENT,))
"""


@pytest.mark.parametrize(("protocol", "last"), [("train+devel", True), ("train", False)])
def test_candidates_and_their_teachers_are_scored_at_the_epoch_that_will_be_used(corpora, tmp_path, protocol, last):
    """Devel chooses weights; where the table's models are of their last epoch, it chooses no epoch for candidates."""
    (tmp_path / "choosing.py").write_text(CHOOSING)
    asked = request(corpora, tmp_path / "w", experiment=str(tmp_path / "choosing.py"), targets=("First",),
                    protocol=protocol, epochs=3, assignments=(*SIZES, "learning_rate=1e-9"))  # fmt: skip
    carry_out(asked)
    (plan,), _ = prepare(asked)
    tried = [spec.folder for group in plan.tuning for spec in (*group.specs, *group.teachers)]
    assert len(set(tried)) == 6
    # Without learning all epochs are equal, and of equals devel would choose the first.
    assert {read_manifest(folder).epochs for folder in tried} == {3 if last else 1}


def test_scores_that_were_decoded_otherwise_are_refused(corpora, tmp_path):
    """Nothing would be trained, and the table would show legal sequences' F1 under a run that asked for any."""
    asked = request(corpora, tmp_path / "w", experiment="baselines", targets=("First",), seeds="1")
    carry_out(asked)
    before = (tmp_path / "w" / "results.csv").read_bytes()
    otherwise = replace(asked, assignments=(*SIZES, "constrained=false"))
    for dry_run in (True, False):
        with pytest.raises(InputError, match=r"scored with model\.constrained=true; .* evaluate --noconstrained, or"):
            execute(replace(otherwise, dry_run=dry_run), Console(file=StringIO()))
    assert (tmp_path / "w" / "results.csv").read_bytes() == before


def test_a_candidate_of_another_epoch_is_another_model(corpora, tmp_path):
    (tmp_path / "choosing.py").write_text(CHOOSING)
    ids = []
    for protocol in ("train+devel", "train"):
        asked = request(corpora, tmp_path / "w", experiment=str(tmp_path / "choosing.py"), protocol=protocol)
        (plan,), _ = prepare(asked)
        ids.append({spec.model_id for group in plan.tuning for spec in (*group.specs, *group.teachers)})
    assert not ids[0] & ids[1]
