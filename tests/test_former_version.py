"""What version 0.1.0 left behind is still read: a work folder, its models, a shipped model.

`kept/version_0_1_0.zip` was made by 0.1.0 (commit a2e9df8) from made-up text: `corpora/` (helpers.tiny), `work/` as
`python -m kd_jax.main --experiment=kept.py --targets=First --seeds=1 --epochs=40` left it, without its report,
`shipped/` by `kd_jax.ship`, and in `expected/` the tags that its `kd_jax.tag` gave `text.tsv`.
"""

import json
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from helpers.runs import SIZES, ask

from kd_jax.corpora.conll import read_split
from kd_jax.distill import store
from kd_jax.distill.cache import QUERIED, reading_job
from kd_jax.distill.extract import extract
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.experiment import load_experiment
from kd_jax.export.cards import write_cards
from kd_jax.export.delivery import ship
from kd_jax.export.tag_files import TagRequest, tag_files
from kd_jax.report.build import write_report
from kd_jax.training.manifest import read_manifest
from kd_jax.training.saved_model import load_model

SM, CRF = (
    "work/students/First/SM-alpha=0.5-beta=0.5-softmax-seed1-e99c1c38f0e2",
    "work/students/First/STM-crf-seed1-1d58b7023610",
)
MTM = "work/teachers/MTM-softmax-seed1-48e6aee21eed"


@pytest.fixture
def kept(tmp_path):
    with zipfile.ZipFile(Path(__file__).parent / "kept" / "version_0_1_0.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def tags(kept, model, **asked):
    tag_files(TagRequest([kept / model], names=[kept / "text.tsv"], format="conll", out=kept / "now.conll", **asked))
    return (kept / "now.conll").read_text()


@pytest.mark.parametrize(
    ("model", "task", "name"),
    [(SM, (), "SM"), (CRF, (), "STM-CRF"), (MTM, ("Second",), "MTM"), ("shipped", (), "shipped")],
)
def test_its_models_tag_as_they_did(kept, model, task, name):
    if name == "shipped" and jax.__version_info__ < (0, 10):
        pytest.skip("the kept folder's program is of jax 0.10, which earlier versions can't read")
    assert tags(kept, model, task=task) == (kept / "expected" / f"{name}.conll").read_text()


def test_its_student_is_shipped_anew(kept):
    ship(kept / SM, kept / "again", "float32", None, None)
    assert tags(kept, "again") == (kept / "expected" / "SM.conll").read_text()


def test_its_teacher_says_what_it_said(kept):
    """To rounding, as its stored outputs show; the store itself is of another format, which is one line."""
    teacher = load_model(kept / MTM)
    for place in (kept / "work" / "knowledge" / "48e6aee21eed" / "First").iterdir():
        job, params, task = reading_job(teacher, "First", read_split(kept / "corpora" / "First" / f"{place.name}.tsv"))
        for rows, now in extract(job, params, task, job.tokens.sentences("First", (QUERIED,))):
            for name, values in now._asdict().items():
                np.testing.assert_allclose(np.load(place / f"{name}.npy")[rows], values, atol=1e-5)
        with pytest.raises(store.StaleError, match=r"First/\w+: format 1, this version writes \d+$"):
            store.read(place, {})


def test_its_scores_are_shown_and_its_cards_written_again(kept):
    page = write_report(kept / "work").read_text()
    assert all(score in page for score in ("66.7", "70.6"))
    before = {path: json.loads(path.read_text()) for path in kept.rglob("card.json")}
    assert len(before) == 2
    write_cards(kept / "work", kept / "corpora", ())
    for path, card in before.items():
        again = json.loads(path.read_text())
        assert again["f1"] == card["f1"] == read_manifest(path.parent).scores["First"].f1
        assert again["f1_constrained"] == pytest.approx(card["f1_constrained"])
        assert again["calibration_error"] == pytest.approx(card["calibration_error"], abs=1e-5)


def test_a_run_in_its_work_folder_says_what_changed_and_leaves_its_models(kept):
    work = kept / "work"
    before = {path: path.read_bytes() for path in work.glob("*/*/*/**/*") if path.is_file()}
    rows = {(row.experiment, row.label): row.f1 for row in results.read(work / "results.csv")}
    (kept / "alone.py").write_text(
        "from kd_jax.experiment import Experiment\nEXPERIMENT = Experiment('alone', 'STM alone', multi=())\n"
    )
    asked = {"experiment": str(kept / "alone.py"), "datasets": ("First",), "seeds": "1"}
    said = ask(kept / "corpora", work, assignments=SIZES, **asked)
    assert (
        said.count("this folder's models are of kd_jax 0.1.0, which trained otherwise: they stay, and are not used")
        == 1
    )
    assert {path: path.read_bytes() for path in before} == before
    now = {(row.experiment, row.label): row.f1 for row in results.read(work / "results.csv")}
    assert now.items() > rows.items()
    assert now.keys() - rows.keys() == {("alone", "STM")}


def test_its_experiment_files_are_answered_in_one_line(kept):
    with pytest.raises(InputError, match=r"kept\.py: teachers has 'softmax'; write Teacher\(head=\.\.\.\)"):
        load_experiment(str(kept / "kept.py"))
