"""What several teachers are as one chain, and a teacher of fewer corpora than the run has."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers.runs import SIZES, carry_out, request

from kd_jax.distill.upkeep import GB, stored
from kd_jax.experiment import Experiment, Student, Teacher
from kd_jax.models.crf import Transitions
from kd_jax.sweep import teachers
from kd_jax.sweep.request import prepare
from kd_jax.sweep.teachers import queries_of
from kd_jax.sweep.units import TeacherOutputs
from kd_jax.training.manifest import read_manifest


@pytest.fixture
def group(monkeypatch):
    """Three teachers, the second with a softmax head; what they read last is the group's corpus, of 3 labels."""
    rng = np.random.default_rng(0)
    shapes = {"start": (2, 5), "stop": (2, 5), "pairs": (2, 5, 5)}
    models = {
        name: SimpleNamespace(
            tasks=["Other", "Own"],
            labels=[("O",) * 5, ("O",) * 3],
            params={"crf": {field: np.float32(rng.normal(size=shape)) for field, shape in shapes.items()}},
        )
        for name in "ac"
    }
    monkeypatch.setattr(teachers, "load_model", models.__getitem__)
    heads = {"a": "crf", "b": "softmax", "c": "crf"}
    specs = [SimpleNamespace(folder=name, head=head) for name, head in heads.items()]
    return SimpleNamespace(teachers=specs, corpora=("Own",)), models


def own(model):
    crf = model.params["crf"]
    return Transitions(crf["start"][1, :3], crf["stop"][1, :3], crf["pairs"][1, :3, :3])


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 5.0]])
def test_a_softmax_teachers_transitions_are_0_in_the_mean(group, weights):
    asked, models = group
    shares = np.ones(3) if weights is None else np.array(weights)
    expected = [shares[0] * a + shares[2] * c for a, c in zip(own(models["a"]), own(models["c"]), strict=True)]
    found = teachers.mean_transitions(asked.teachers, "Own", weights)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y / shares.sum(), rtol=1e-6)


def test_one_teacher_is_itself_and_softmax_teachers_have_none(group):
    asked, models = group
    first, second, _ = asked.teachers
    for x, y in zip(teachers.mean_transitions([first], "Own"), own(models["a"]), strict=True):
        np.testing.assert_array_equal(x, y)
    assert teachers.mean_transitions([second], "Own") is None


def test_each_query_is_one_unit_with_a_folder_of_its_own(corpora, tmp_path):
    """Units that run side by side never write one folder, and what two groups ask is computed once."""
    shown = [Student(f"SM {n}", 0.5, 0.5, foreign=bool(n), assignments=(f"distill.foreign={n}",)) for n in (0, 2, 3)]
    asked = Experiment(name="asked", title="", teachers=(Teacher("softmax"),), students=tuple(shown))
    (plan,), sweep_data = prepare(request(corpora, tmp_path / "w", experiment=asked, targets=("First",), seeds="1,"))
    groups = plan.students(None)
    units = [
        [TeacherOutputs(plan, group, group.teachers[0], query) for query in queries_of(sweep_data, group)]
        for group in groups
    ]
    folders = {(unit.key, unit.query.stored) for of_group in units for unit in of_group}
    assert len({key for key, _ in folders}) == len({place for _, place in folders}) == len(folders)
    own = [{unit.key for unit in of_group if unit.query.corpus == "First"} for of_group in units]
    assert own[0] == own[1] == own[2]
    others = [{unit.query.stored for unit in of_group if unit.query.corpus != "First"} for of_group in units]
    assert not others[0]
    assert others[1].isdisjoint(others[2])


def test_outputs_that_are_replaced_do_not_count_beside_what_replaces_them(corpora, tmp_path):
    where = {"seeds": "1", "datasets": ("First",), "experiment": "logits"}
    carry_out(request(corpora, tmp_path / "w", **where))
    in_float32 = sum(one.bytes for one in stored(tmp_path / "w"))
    bound = f"saving.knowledge_gb={0.9 * in_float32 / GB}"
    carry_out(request(corpora, tmp_path / "w", assignments=(*SIZES, "distill.dtype=bfloat16", bound), **where))
    assert sum(one.bytes for one in stored(tmp_path / "w")) < 0.9 * in_float32


def test_a_teacher_of_one_corpus_among_two_teaches_it(corpora, tmp_path):
    (tmp_path / "fewer.py").write_text(
        "from kd_jax.experiment import Experiment, Student, Teacher\n"
        "STUDENT = Student('SM', 0.5, 0.5, foreign=True)\n"
        "EXPERIMENT = Experiment('fewer', 'f', teachers=(Teacher(corpora=('First',)),), students=(STUDENT,))\n"
    )
    where = {"experiment": str(tmp_path / "fewer.py"), "targets": ("First",), "seeds": "1"}
    rows = carry_out(request(corpora, tmp_path / "w", **where)).rows
    assert {(row.label, row.corpus) for row in rows} == {
        ("STM", "First"), ("MTM", "First"), ("SM", "First"),
    }  # fmt: skip
    learnt = [sorted(read_manifest(folder).corpora) for folder in (tmp_path / "w" / "teachers").iterdir()]
    assert sorted(learnt) == [["First"], ["First", "Second"]]
    for folder in (tmp_path / "w").glob("students/First/*"):
        assert read_manifest(folder).styles == {"First": "fine"}  # of its corpus, whatever else it is shown
