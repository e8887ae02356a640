"""What is trained, how often, and what two experiments share."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Grid, Student, Teacher, experiments, load_experiment
from kd_jax.report.published import NUMBERS
from kd_jax.settings import Settings, override, to_dict
from kd_jax.structs import ALPHA_ONE_SEEDS, LossWeights
from kd_jax.sweep import teachers as teaching
from kd_jax.sweep.checks import check_plan
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.status import Status, simplest

CORPORA = {"A": "hash of A", "B": "hash of B"}
SEEDS = (1, 2, 3)


def plan(name, seeds=SEEDS, protocol="train+devel", corpora=CORPORA, assignments=(), targets=None):
    experiment = load_experiment(name)
    settings = override(Settings(), [*experiment.assignments, *assignments])
    return Plan(experiment, settings, corpora, seeds, protocol, Path("work"), tuple(targets or corpora))


def specs(a_plan, kind):
    return {m for group in Status().groups_of(a_plan) if group.kind == kind for m in group.specs}


@pytest.mark.parametrize("name", experiments())
def test_every_shipped_experiment_reads_and_plans(name):
    experiment = load_experiment(name)
    assert experiment.name == name
    assert experiment.table == NUMBERS.get(name)
    described = to_dict(experiment)
    assert [student["label"] for student in described["students"]] == [s.label for s in experiment.students]
    assert [student["gamma"] for student in described["students"]] == [
        list(s.gamma) if isinstance(s.gamma, Grid) else s.gamma for s in experiment.students
    ]
    for part in experiment.parts or (name,):
        found = plan(part)
        folders = [m.folder for group in Status().groups_of(found) for m in group.specs]
        assert len(set(folders)) == len(folders)


def test_students_of_own_and_of_shared_teachers_are_one_column():
    """Rows of one column whose settings differ would replace each other."""
    teachers = (Teacher("softmax"), Teacher("crf", seeds="first"))
    mixed = Experiment(name="mixed", title="", teachers=teachers, students=(Student("SM", alpha=0.5, beta=0.5),))
    found = specs(replace(plan("logits"), experiment=mixed), "SM")
    assert len({m.model_id for m in found}) == len(SEEDS) * len(CORPORA)
    for corpus in CORPORA:
        assert len({m.config_hash for m in found if m.corpora == (corpus,)}) == 1


def test_paper_has_all_seven_tables():
    parts = [load_experiment(part) for part in load_experiment("paper").parts]
    assert [part.table for part in parts] == [1, 2, 3, 4, 5, 6, 7]


def test_experiments_share_what_two_of_them_need():
    assert specs(plan("logits"), "STM") == specs(plan("ensemble"), "STM")
    assert specs(plan("logits"), "MTM") < specs(plan("intermediate"), "MTM")  # which has those of its tuning too
    assert specs(plan("crf"), "STM") == specs(plan("crf_softmax"), "STM")
    softmax = {m for m in specs(plan("crf_softmax"), "MTM") if m.head == "softmax"}
    assert softmax == specs(plan("logits"), "MTM")
    taught = [{m for m in specs(plan(name), "SM") if m.weights.beta} for name in ("logits", "ensemble")]
    assert not taught[0] & taught[1]
    for name in ("ensemble", "ensemble_crf"):
        assert alpha_one(plan(name)) == alpha_one(plan("logits"))
    assert alpha_one(plan("crf")) == alpha_one(plan("crf_softmax")) != alpha_one(plan("logits"))


def alpha_one(a_plan):
    return {m.folder for m in specs(a_plan, "SM") if m.label.endswith("a=1")}


def test_columns_that_devel_gave_the_same_weights_are_one_model():
    found = plan("intermediate")
    same = LossWeights(1.0, 0.5, 0.5, 0.0, 1.0)
    groups = found.students({(c, s.label): same for c in CORPORA for s in found.experiment.students})
    assert {m.label for m in groups[0].specs} == {"SM task", "SM task+shared"}
    assert len({m.folder for m in groups[0].specs}) == 1
    assert len(Status().missing(groups[0])) == 1


def test_targets_get_students_and_teachers_learn_from_all():
    found = plan("logits", targets=("B",))
    assert {c.corpora for c in Status().groups_of(found) if c.kind != "MTM"} == {("B",)}
    assert specs(found, "MTM") == specs(plan("logits"), "MTM")
    assert specs(found, "SM") < specs(plan("logits"), "SM")


def test_weights_are_chosen_by_runs_as_short_as_wanted():
    found = plan("soft_labels", assignments=("updates=0", "tuning_epochs=3", "epochs=9"))
    assert {c.length.epochs for c in found.tuning} == {3}
    assert {c.length.epochs for c in found.students(None)} == {9}


@pytest.mark.parametrize(
    ("updates", "tuning", "expected"), [(900, 0, 900), (900, 300, 300), (200, 300, 200), (0, 300, 0)]
)
def test_runs_that_choose_weights_take_no_more_updates_than_others(updates, tuning, expected):
    found = plan("soft_labels", assignments=(f"updates={updates}", f"tuning_updates={tuning}"))
    assert {c.length.updates for c in found.tuning} == {expected}
    assert {c.length.updates for c in found.students(None)} == {updates}


def test_more_seeds_keep_the_models_of_fewer():
    for kind in ("STM", "MTM", "SM"):
        assert specs(plan("logits", (1, 2)), kind) < specs(plan("logits", (1, 2, 3)), kind)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"protocol": "train"}, set()),
        ({"assignments": ("dropout=0.1",)}, set()),
        ({"assignments": ("distill.equations=printed",)}, {"STM", "MTM"}),
        ({"assignments": ("teacher_updates=3",)}, {"STM"}),
        ({"assignments": ("teacher_learning_rate=0.001",)}, {"STM"}),
        ({"assignments": ("teacher_learning_rate=0.008",)}, {"STM", "MTM", "SM"}),  # learning_rate's default
        ({"assignments": ("sampling=sqrt",)}, {"STM"}),
        ({"assignments": ("train.updates=1500", "tuning_epochs=3")}, {"STM", "MTM", "SM"}),
        ({"assignments": ("tuning_updates=3",)}, {"STM", "MTM", "SM"}),
        ({"assignments": ("distill.foreign=9", "distill.ensemble=devel")}, {"STM", "MTM", "SM"}),
        ({"assignments": ("saving.minutes=1", "saving.every_epochs=1")}, {"STM", "MTM", "SM"}),
        ({"assignments": ("words.train_after=1",)}, set()),
        ({"assignments": ("words.vectors=v", "words.least_coverage=0.5")}, {"STM", "MTM", "SM"}),
        ({"corpora": {"A": "hash of A", "B": "other"}}, set()),
    ],
)
def test_identity_is_what_decides_a_model_and_nothing_else(change, same):
    for kind in ("STM", "MTM", "SM"):
        assert (specs(plan("logits"), kind) == specs(plan("logits", **change), kind)) == (kind in same)


def test_decoding_is_part_of_a_model_only_where_devel_chooses_its_epoch():
    for protocol in ("train+devel", "train"):
        legal, any_tags = (
            {m.model_id for m in specs(plan("logits", protocol=protocol, assignments=(f"constrained={value}",)), "STM")}
            for value in ("true", "false")
        )
        assert (legal == any_tags) == (protocol == "train+devel")


def test_students_that_differ_in_more_than_weights_choose_by_their_own_candidates():
    choices = {"alpha": 0.5, "beta": Grid(0.25, 1.0)}
    students = tuple(
        Student(match, **choices, assignments=(f"distill.match={match}",), learning_rate=rate)
        for match, rate in (("soft", None), ("hard", None), ("mse", 0.001))
    )
    experiment = Experiment("two", "Two", teachers=(Teacher("softmax"),), students=students)
    found = replace(plan("logits"), experiment=experiment)
    better = {"soft": 0.25, "hard": 1.0, "mse": 0.25}
    f1 = {
        spec.folder: float(spec.weights.beta == better[group.settings.distill.match])
        for group in found.tuning
        for spec in group.specs
    }
    assert len(f1) == 3 * 2 * 2 * 2  # students, weights, seeds, corpora
    columns = {(m.corpora, m.label, m.seed) for group in found.tuning for m in group.specs}
    assert len(columns) == len(f1)  # no row of results.csv takes another's place

    class Scored(Status):
        def devel_f1(self, spec):
            return f1[spec.folder]

    chosen = Scored().choose(found)
    assert {key: weights.beta for key, weights in chosen.items()} == {
        (name, label): beta for name in CORPORA for label, beta in better.items()
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (0.0, (0.25, 1.0, 0.5)),  # the best alone
        (1.0, (0.5, 0.5, 0.0)),  # 80 and its error 1: 79.5 and 79.2 are near, alpha 0.5 is larger, and has fewer terms
    ],
)
def test_the_simplest_within_one_standard_error_of_the_best(error, expected):
    of = {(0.25, 1.0, 0.5): 80.0, (0.5, 0.5, 0.0): 79.2, (0.5, 0.5, 0.5): 79.5, (1.0, 0.0, 0.0): 78.9}
    f1 = {
        LossWeights(alpha, beta, gamma, kappa=0.0, tau=1.0): [mean - error, mean + error]
        for (alpha, beta, gamma), mean in of.items()
    }
    found = simplest(f1)
    assert (found.alpha, found.beta, found.gamma) == expected


def test_a_teacher_has_its_own_learning_rate():
    found = plan("logits", assignments=("teacher_learning_rate=0.001", "learning_rate=0.004"))
    rates = {kind: {spec.learning_rate for spec in specs(found, kind)} for kind in ("STM", "MTM", "SM")}
    assert rates == {"STM": {None}, "MTM": {0.001}, "SM": {None}}
    alone = specs(plan("logits", assignments=("learning_rate=0.001",)), "MTM")
    assert {spec.model_id for spec in alone} == {spec.model_id for spec in specs(found, "MTM")}


def taught(a_plan):
    return {m.config_hash for m in specs(a_plan, "SM") if m.weights.beta}


def test_students_of_other_teachers_are_not_averaged():
    first = {"assignments": ("distill.teacher=first",)}
    assert taught(plan("logits", seeds=(1, 2), **first)) == taught(plan("logits", seeds=(1, 3), **first))
    assert not taught(plan("logits", seeds=(1, 2), **first)) & taught(plan("logits", seeds=(3, 2), **first))
    assert taught(plan("logits", seeds=(1, 2))) == taught(plan("logits", seeds=(3, 2)))
    assert not taught(plan("ensemble", seeds=(1, 2))) & taught(plan("ensemble", seeds=(1, 2, 3)))


def test_teachers_of_numbered_seeds_are_the_same_whatever_seeds_are_run():
    """So that one seed of a table can be finished before the next begins."""
    first, all_three = (plan("reproduction", seeds=seeds) for seeds in ((1,), (1, 2, 3)))
    ensemble = [
        {spec for group in a_plan.students(None) for spec in group.specs if spec.label == "SM ensemble a=0.5"}
        for a_plan in (first, all_three)
    ]
    assert len(ensemble[0]) == 2
    assert ensemble[0] < ensemble[1]
    assert specs(first, "MTM") == specs(all_three, "MTM")


def test_a_teacher_of_fewer_corpora_is_another_model_and_only_teaches():
    fewer, whole = Teacher(corpora=("B", "A")), Teacher(corpora=("C", "B", "A"))
    students = tuple(
        Student(name, 0.5, 0.5, teachers=(t,)) for name, t in (("f", fewer), ("w", whole), ("n", Teacher()))
    )
    asked = Experiment("mine", "mine", students=students)
    corpora = {name: f"hash of {name}" for name in "ABC"}
    found = Plan(asked, Settings(), corpora, (1, 2), "train+devel", Path("work"), ("A",))
    taught_by = {spec.label: group.teachers for group in found.students(None) for spec in group.specs}
    assert taught_by["w"] == taught_by["n"]
    assert {t.corpora for t in taught_by["f"]} == {("A", "B")}
    shown = [g for g in found.fixed if g.kind == "MTM" and g.purpose == "table"]
    hidden = [g for g in found.fixed if g.purpose == "teach"]
    assert [g.corpora for g in shown] == [("A", "B", "C")]
    assert [(g.corpora, len(g.specs)) for g in hidden] == [(("A", "B"), 2)]
    check_plan(replace(found, targets=("A", "B")))
    with pytest.raises(InputError, match="can't speak of C; add it there"):
        check_plan(replace(found, targets=("C",)))
    with pytest.raises(InputError, match="'B' is not among --datasets"):
        check_plan(replace(found, corpora={"A": "hash of A"}))


def test_the_search_has_the_recommended_student_first():
    """Its recipe stands in two files, which must not drift apart."""
    first = load_experiment("recommended_search").students[0].label
    ids = [
        {spec.model_id for spec in specs(plan(name), "SM") if spec.label == label}
        for name, label in (("recommended", "SM recommended"), ("recommended_search", first))
    ]
    assert ids[0] == ids[1]
    assert len(ids[0]) == len(SEEDS) * len(CORPORA)


def recipes(a_plan):
    found = {}
    for group in Status().groups_of(a_plan):
        found.setdefault(group.kind, set()).add(a_plan.identity.comparison_key(group))
    return found


@pytest.mark.parametrize("assignments", [(), ("distill.teacher=first",)])
def test_corpora_of_one_run_share_their_recipes_and_those_of_another_do_not(assignments):
    both = recipes(plan("logits", assignments=assignments))
    assert [len(of_kind) for of_kind in both.values()] == [1, 1, 1]
    assert len({comparison_key.split(".")[0] for of_kind in both.values() for comparison_key in of_kind}) == 1
    assert recipes(plan("logits", assignments=assignments, targets=("B",))) == both
    fewer = recipes(plan("logits", assignments=assignments, corpora={"A": "hash of A"}))
    assert {kind for kind in both if fewer[kind] == both[kind]} == {"STM"}
    other = recipes(plan("logits", assignments=(*assignments, "dropout=0.1")))
    assert not {r.split(".")[0] for of in other.values() for r in of} & {
        r.split(".")[0] for of in both.values() for r in of
    }


def test_alpha_one_has_seeds_of_its_own():
    seeds = {m.label: set() for m in specs(plan("logits"), "SM")}
    for m in specs(plan("logits"), "SM"):
        seeds[m.label].add(m.seed)
    assert seeds["SM a=1"] == {seed + ALPHA_ONE_SEEDS for seed in SEEDS}
    assert seeds["SM a=0.5"] == set(SEEDS)


def test_teachers():
    first = plan("logits", assignments=("distill.teacher=first",)).students(None)
    assert [[t.seed for t in group.teachers] for group in first] == [[1], [1]]
    assert [t.seed for t in plan("ensemble").students(None)[0].teachers] == [1, 2, 3]
    crf = plan("ensemble_crf").students(None)[0].teachers
    assert [t.label for t in crf] == ["MTM", "MTM-CRF"]
    own = plan("logits").students(None)
    assert [[t.seed for t in group.teachers] for group in own if group.corpora == ("A",)] == [[1], [2], [3]]
    (hidden,) = (group for group in plan("crf_softmax").fixed if group.purpose == "teach")
    assert (hidden.head, len(hidden.specs)) == ("softmax", len(SEEDS))
    itself = {s.label: s for s in load_experiment("controls").students}["self-training"]
    assert {t.model for t in itself.teachers} == {"STM"}
    taught_by = {t.folder for g in plan("controls").students(None) if g.corpora == ("A",) for t in g.teachers}
    assert {m.folder for g in plan("controls").fixed if g.corpora == ("A",) for m in g.specs} <= taught_by


def test_cells_have_the_chosen_weights_once_all_of_the_grid_was_tried(monkeypatch):
    found = plan("soft_labels")
    assert {m.weights.tau for m in Status().groups_of(found)[-1].specs} == {1.0}
    best = LossWeights(0.5, 0.5, 0.0, 0.0, 3.0)
    tried = {
        m.folder: SimpleNamespace(devel_f1=float(m.weights == best), ok=True)
        for group in found.tuning
        for m in group.specs
    }
    monkeypatch.setattr(Status, "manifest", lambda _, spec: tried.get(spec.folder))
    assert {m.weights for m in Status().groups_of(found)[-1].specs} == {best}
    for about in tried.values():  # what diverged is chosen last
        about.ok = not about.devel_f1
    assert {m.weights.tau for m in Status().groups_of(found)[-1].specs} == {1.0}
    del tried[found.tuning[0].specs[0].folder]
    assert {m.weights.tau for m in Status().groups_of(found)[-1].specs} == {1.0}


def test_a_teacher_that_diverged_does_not_teach(monkeypatch):
    found = plan("logits")
    group = found.students(None)[0]
    monkeypatch.setattr(Status, "manifest", lambda *_: SimpleNamespace(status="diverged at step 3", ok=False))
    with pytest.raises(InputError, match="diverged at step 3, so it has nothing to teach"):
        teaching.checksum(group.teachers[0], Status())


def test_tuning_shares_lanes_and_uses_train_and_two_seeds():
    found = plan("intermediate")
    group = found.tuning[0]
    weights = [m.weights for m in group.specs]
    assert len(weights) == len(set(weights)) == 24 + 18
    of_first = [g for g in found.tuning if g.corpora == group.corpora]
    assert [{m.seed for m in g.specs} for g in of_first] == [{1}, {2}]
    assert {t.protocol for g in of_first for t in g.teachers} == {"train"}
    assert group.protocol == "train"
    assert all(w.alpha or w.beta for w in weights)
    assert len(plan("soft_labels").tuning[0].specs) == 5
    chosen = {(c, s.label): s.choices[-1] for c in CORPORA for s in found.experiment.students}
    final = found.students(chosen)
    assert {m.weights for m in final[0].specs} == {s.choices[-1] for s in found.experiment.students}
    assert all(c.protocol == "train+devel" for c in final)
