"""Experiment files: what is accepted, and what is refused in one line."""

from dataclasses import replace

import pytest

from kd_jax.errors import InputError
from kd_jax.experiment import check_own, experiments, load_experiment


def test_experiment_files_of_ones_own(tmp_path):
    good = tmp_path / "mine.py"
    built_in = experiments()["logits"].read_text()
    good.write_text(built_in.replace('"logits"', '"mine"'))
    assert load_experiment(str(good)).name == "mine"
    good.write_text(built_in)
    with pytest.raises(InputError, match="is a built-in experiment's"):
        load_experiment(str(good))
    for content, message in (("", "sets no EXPERIMENT"), ("1/0", "ZeroDivisionError"), ("EXPERIMENT = 3", "sets no")):
        good.write_text(content)
        with pytest.raises(InputError, match=message):
            load_experiment(str(good))
    with pytest.raises(InputError, match="did you mean 'logits'"):
        load_experiment("logit")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("teachers=(Teacher('softmax', seeds=(1, 1)),)", r"seeds=\(1, 1\)\); write different whole numbers"),
        ("teachers=(Teacher('softmax', seeds=()),)", r"seeds=\(\)\); write different whole numbers"),
        ("teachers=(Teacher('softmax', seeds=(1, 'x')),)", r"seeds=\(1, 'x'\)\); write different whole numbers"),
        ("pairs=(('STM', 'MTN'),)", r"pairs has 'MTN'; did you mean 'MTM'\?"),
        ("pairs=(('STM', 'STM'),)", "write two different columns"),
        ("teachers=(Teacher('bert'),)", r"Teacher\(head='bert'\); known: crf, softmax"),
        ("teachers=('softmax',)", r"teachers has 'softmax'; write Teacher"),
        ("head='crff'", r"head='crff'; did you mean 'crf'\?"),
        ("single=('soft',)", "single has 'soft'"),
        ("students=(Student('a', -1.0, 1.0),)", r"a: alpha=-1.0; write a finite number, 0 or more"),
        ("students=(Student('a', 1.0, Grid(0, float('nan'))),)", "a: beta=nan"),
        ("students=(Student('a', 0.0, 0.0),)", "a: no term reaches the logits"),
        ("students=(Student('a', 1.0, 0.0), Student('a', 0.5, 0.5))", "two columns have the label 'a'"),
        (
            "students=(Student('SM a', 1.0, 0.0), Student('sm-a', 0.5, 0.5))",
            "labels 'SM a' and 'sm-a' are one as a file's name",
        ),
        ("averages=(Average('STM', 'STM'),)", "'STM' is the column of a plain model; give yours a name of its own"),
        ("multi=('crf',), students=(Student('MTM-CRF', 1.0, 0.0),)", "'MTM-CRF' is the column of a plain model"),
        ("students=(Student('a', 1.0, 0.0, start='word'),)", r"start='word'; did you mean 'words'\?"),
        ("students=(Student('a', 1.0, 0.0, tau=0.0),)", "tau=0.0; write a finite number, more than 0"),
        ("students=(Student('a', True, 0.0),)", "a: alpha=True; write a finite number"),
        ("students=(Student('a', 1.0, Grid(1, 1)),)", r"beta=Grid\(1, 1\): a value stands there twice"),
        ("students=(Student('a', 0.5, 0.5))", "students=Student.* is no tuple; write .*, with a comma"),
        ("students=None", "students=None is no tuple"),
        ("students='abc'", "students='abc' is no tuple"),
        ("students=(Student(None, 0.5, 0.5),)", "label None; write one line of text"),
        ("students=(Student('a\\nb', 0.5, 0.5),)", r"label 'a\\nb'; write one line of text"),
        ("students=(Student('a', 0.5, 0.5, foreign='no'),)", "a: foreign='no'; write True or False"),
        ("students=(Student('a', 0.5, 0.5, assignments=['match=soft']),)", r"assignments=\['match=soft'\] is no tuple"),
        ("students=(Student('a', 0.5, 0.5, assignments=('unts=3',)),)", "a: unts: no such setting"),
        ("students=(Student('a', 0.5, 0.5, teachers=Teacher()),)", "teachers=Teacher.* is no tuple"),
        ("students=(Student('a', 0.5, 0.5, teachers=()),)", "a: beta=0.5 is of a teacher, and it has none"),
        (
            "teachers=(), students=(Student('a', 1.0, 0.0, foreign=True),)",
            "foreign=True is of a teacher, and it has none",
        ),
        ("teachers=(), students=(Student('a', 1.0, 0.0, start='words'),)", "start='words' is of a teacher"),
        ("teachers=(Teacher(), Teacher())", "teachers has Teacher.* twice"),
        ("teachers=(Teacher(seeds=(2**40,)),)", "write different whole numbers"),
        ("teachers=(Teacher(external='../x'),)", r"external='../x'\); write a name of kd-jax teach"),
        ("teachers=(Teacher(corpora=('A', 'A')),)", "write different names"),
        ("teachers=(Teacher(corpora='A'),)", "write different names"),
        ("teachers=(Teacher(model='STM', corpora=('A',)),)", "learns the student's corpus; leave"),
        ("single=('softmax', 'softmax')", "single has 'softmax' twice"),
        ("single=('softmax', 'crf', 'crf')", "single has 'crf' twice"),
        ("pairs=((['a'], 'STM'),)", "write two different columns"),
        ("students=(Student('a', 10**400, 0.0),)", "a: alpha=.*; write a finite number"),
        ("students=(Student('a', 1.0, Grid()),)", r"beta=Grid\(\) has no values"),
        ("pairs=(('STM', 'MTM-CRF'),)", "pairs has 'MTM-CRF'"),
        ("table=99", "table=99; write the number of one of the paper's"),
        ("parts=('logits', 'nope')", "parts has 'nope'"),
        ("parts=('logits', 'logits')", "parts has 'logits' twice"),
        ("parts=('paper',)", "parts has 'paper', which is made of parts itself"),
        ("parts=('logits',), students=(Student('a', 0.5, 0.5),)", "an experiment of parts has no columns of its own"),
    ],
)
def test_experiment_files_are_checked_as_strictly_as_flags(tmp_path, change, message):
    path = tmp_path / "mine.py"
    path.write_text(
        "from kd_jax.experiment import Average, Experiment, Grid, Student, Teacher\n"
        f"EXPERIMENT = Experiment(name='mine', title='mine', {change})\n"
    )
    with pytest.raises(InputError, match=message):
        load_experiment(str(path))


@pytest.mark.parametrize("name", ["Logits", "logits-grid", "", "../x", "a\nb", None, "x" * 200])
def test_a_name_is_a_folders_and_no_other_experiments(tmp_path, name):
    path = tmp_path / "mine.py"
    path.write_text(f"from kd_jax.experiment import Experiment\nEXPERIMENT = Experiment({name!r}, 'mine')\n")
    with pytest.raises(InputError, match="name=") as fault:
        load_experiment(str(path))
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize("content", ["raise SystemExit(3)", "raise ValueError('a\\nb')", "x = (", "\0", "import nope"])
def test_a_file_that_fails_is_one_line(tmp_path, content):
    path = tmp_path / "mine.py"
    path.write_text(content)
    with pytest.raises(InputError, match="can't be run") as fault:
        load_experiment(str(path))
    assert "\n" not in str(fault.value)


def test_a_students_settings_go_over_its_experiments(tmp_path):
    path = tmp_path / "mine.py"
    student = "Student('a', 0.5, 0.5, assignments=('divergence=reverse-kl',))"
    head = "from kd_jax.experiment import Experiment, Student\n"
    path.write_text(f"{head}EXPERIMENT = Experiment('m', 'm', assignments=('match=soft',), students=({student},))\n")
    assert load_experiment(str(path)).name == "m"
    path.write_text(f"{head}EXPERIMENT = Experiment('m', 'm', students=({student},))\n")
    with pytest.raises(InputError, match=r"a: .*divergence"):
        load_experiment(str(path))


def test_what_comes_along_may_be_given_as_an_object_too():
    check_own(load_experiment("logits"))
    with pytest.raises(InputError, match="is a built-in experiment's"):
        check_own(replace(load_experiment("logits"), title="another"))
