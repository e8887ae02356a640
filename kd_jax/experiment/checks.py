"""Experiments are refused where they could not be run as they say, as strictly as flags are."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

from kd_jax.errors import InputError, nearest
from kd_jax.experiment.bundled import experiments
from kd_jax.experiment.columns import Average, Experiment, Grid, Student, Teacher, plain_label
from kd_jax.runtime.files import name_part
from kd_jax.settings import Head, Settings, override

STARTS = ("random", "words", "parameters")
_HEADS = get_args(Head)
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.+-]*"


def check_experiment(experiment: Experiment, where: str) -> None:
    """Refuse an experiment that could not be run as it says.

    Args:
        experiment: what a file sets.
        where: the file.

    Raises:
        InputError: naming the field, its value and what it may be.
    """
    _check_name(experiment, where)
    _check_tuples(experiment, where, "an Experiment's")
    for field in ("single", "multi"):
        heads = getattr(experiment, field)
        for head in heads:
            if head not in _HEADS:
                raise InputError(f"{where}: {field} has {head!r:.60}; {nearest(str(head), _HEADS)}")
        if len(set(heads)) < len(heads):
            twice = next(head for head in heads if heads.count(head) > 1)
            raise InputError(f"{where}: {field} has {twice!r} twice; once is enough")
    if experiment.head not in _HEADS:
        raise InputError(f"{where}: head={experiment.head!r:.60}; {nearest(str(experiment.head), _HEADS)}")
    _check_assignments(experiment.assignments, where)
    _check_parts(experiment, where)
    _check_teachers(experiment.teachers, where)
    for student in experiment.students:
        _check_student(student, where)
        _check_assignments(student.assignments, f"{where}: {student.label}", experiment.assignments)
        of_student = f"{where}: {student.label}"
        _check_teachers(student.teachers or (), of_student)
        _check_taught(student, experiment.teachers if student.teachers is None else student.teachers, of_student)
    _check_columns(experiment, where)


def _check_name(experiment: Experiment, where: str) -> None:
    name = experiment.name
    # Folders, files and keys of rows are named after it, also on disks that know no capitals.
    if not isinstance(name, str) or not re.fullmatch(_NAME, name) or len(name) > 100:
        raise InputError(f"{where}: name={name!r:.60}; write letters, digits, _ and -, such as 'my_students'")
    if name.endswith("-grid") and not experiment.grid:
        raise InputError(f"{where}: name={name!r} is what --grid gives its points; write one without -grid")
    if experiment.table is not None and experiment.table not in range(1, 8):
        raise InputError(f"{where}: table={experiment.table!r:.60}; write the number of one of the paper's, 1 to 7")
    if not isinstance(experiment.title, str) or not experiment.title.isprintable():
        raise InputError(f"{where}: title={experiment.title!r:.60}; write one line of text")


def _check_tuples(holder: Any, where: str, whose: str) -> None:
    """Fields that hold several things are tuples: a comma is soon forgotten, and a list can't be part of an id."""
    for field in fields(holder):
        value = getattr(holder, field.name)
        several = str(field.type).removesuffix(" | None").startswith("tuple[")
        if several and not isinstance(value, tuple) and not (value is None and "None" in str(field.type)):
            raise InputError(
                f"{where}: {whose} {field.name}={value!r:.60} is no tuple; write (...,), with a comma after the first"
            )


def _check_assignments(assignments: tuple[str, ...], where: str, before: tuple[str, ...] = ()) -> None:
    for assignment in assignments:
        if not isinstance(assignment, str):
            raise InputError(f"{where}: assignments has {assignment!r:.60}; write text such as 'train.dropout=0.3'")
    try:
        override(Settings(), (*before, *assignments))
    except InputError as fault:
        raise InputError(f"{where}: {str(fault).removeprefix('--set ')}") from None


def _check_parts(experiment: Experiment, where: str) -> None:
    for part in experiment.parts:
        if part not in experiments():
            raise InputError(f"{where}: parts has {part!r:.60}; {nearest(str(part), experiments())}")
        if experiment.parts.count(part) > 1:
            raise InputError(f"{where}: parts has {part!r} twice; once is enough")
    if experiment.parts and (experiment.students or experiment.averages):
        raise InputError(f"{where}: an experiment of parts has no columns of its own; put them into a part")


def _check_columns(experiment: Experiment, where: str) -> None:
    for average in experiment.averages:
        if not isinstance(average, Average):
            raise InputError(f"{where}: averages has {average!r:.60}; write Average(label, model=...)")
        _check_kind(average, where)
    labels = [*(s.label for s in experiment.students), *(a.label for a in experiment.averages)]
    plain = [plain_label(kind, head) for kind in ("STM", "MTM") for head in _HEADS]
    shown = [plain_label("STM", head) for head in experiment.single]
    shown += [plain_label("MTM", head) for head in experiment.multi]
    for label in labels:
        if not _one_line(label):
            raise InputError(f"{where}: label {label!r:.60}; write one line of text, such as 'SM a=0.5'")
        if labels.count(label) > 1:
            raise InputError(f"{where}: two columns have the label {label!r}; give each a name of its own")
        if label in plain:  # rows of both would have one key, and the later ones would replace the others
            raise InputError(f"{where}: {label!r} is the column of a plain model; give yours a name of its own")
    written: dict[str, str] = {}
    for label in (*shown, *labels):  # counts by sentence are kept in files named after labels
        other = written.setdefault(name_part(label).casefold(), label)
        if other != label:
            raise InputError(f"{where}: labels {other!r} and {label!r} are one as a file's name; change more of one")
    for pair in experiment.pairs:
        if not isinstance(pair, tuple) or not all(isinstance(end, str) for end in pair) or len(set(pair)) != 2:
            raise InputError(f"{where}: pairs has {pair!r:.60}; write two different columns, such as ('SM a=0', 'STM')")
        for label in pair:
            if label not in (*labels, *shown):
                raise InputError(f"{where}: pairs has {label!r}; {nearest(str(label), (*labels, *shown))}")


def _check_student(student: Student, where: str) -> None:
    if not isinstance(student, Student):
        raise InputError(f"{where}: students has {student!r:.60}; write Student(...)")
    _check_tuples(student, where, f"Student {student.label!r:.40}'s")
    for field in ("alpha", "beta", "gamma", "kappa", "tau"):
        value = getattr(student, field)
        for number in value if isinstance(value, Grid) else (value,):
            least = "more than 0" if field == "tau" else "0 or more"
            if not _finite(number) or number < 0 or (field == "tau" and not number):
                raise InputError(f"{where}: {student.label}: {field}={number!r:.40}; write a finite number, {least}")
        if isinstance(value, Grid) and not value:
            raise InputError(
                f"{where}: {student.label}: {field}=Grid() has no values; write some, such as Grid(0, 0.5)"
            )
        if isinstance(value, Grid) and len(set(value)) < len(value):
            raise InputError(f"{where}: {student.label}: {field}=Grid{tuple(value)!r:.40}: a value stands there twice")
    if not student.choices:
        raise InputError(f"{where}: {student.label}: no term reaches the logits; give alpha or beta a weight")
    rate = student.learning_rate
    if rate is not None and not (_finite(rate) and rate > 0):
        raise InputError(f"{where}: {student.label}: learning_rate={rate!r:.40}; write a finite number, more than 0")
    if student.start not in STARTS:
        raise InputError(
            f"{where}: {student.label}: start={student.start!r:.40}; {nearest(str(student.start), STARTS)}"
        )
    if not isinstance(student.foreign, bool):
        raise InputError(f"{where}: {student.label}: foreign={student.foreign!r:.40}; write True or False")


def _check_taught(student: Student, teachers: tuple[Teacher, ...], where: str) -> None:
    """Refuse what its teachers can't give: none of them anything, one that is none of ours no BiLSTM states."""
    wants = list(dict.fromkeys(_wants(student)))
    if wants and not teachers:
        raise InputError(f"{where}: {wants[0]} is of a teacher, and it has none; write teachers=(Teacher(...),)")
    external = [teacher.external for teacher in teachers if teacher.external]
    if not external:
        return
    if any(weights.gamma or weights.kappa for weights in student.choices):
        raise InputError(
            f"{where}: external teacher {external[0]!r} gives logits and no BiLSTM states; set gamma and kappa to 0"
        )
    if student.start != "random":
        raise InputError(
            f'{where}: external teacher {external[0]!r} has no {student.start} to start from; write start="random"'
        )


def _wants(student: Student) -> Iterator[str]:
    """What a student takes from a teacher."""
    for weights in student.choices:
        yield from (
            f"{name}={getattr(weights, name):g}" for name in ("beta", "gamma", "kappa") if getattr(weights, name)
        )
    if student.foreign:
        yield "foreign=True"
    if student.start != "random":
        yield f"start={student.start!r}"


def _check_teachers(teachers: tuple[Teacher, ...], where: str) -> None:
    for teacher in teachers:
        _check_teacher(teacher, where)
        if teachers.count(teacher) > 1:
            raise InputError(f"{where}: teachers has {teacher!r:.60} twice; once is enough")


def _check_teacher(teacher: Teacher, where: str) -> None:
    if not isinstance(teacher, Teacher):
        raise InputError(f"{where}: teachers has {teacher!r:.60}; write Teacher(head=...)")
    if teacher.external:
        if not isinstance(teacher.external, str) or not re.fullmatch(_NAME, teacher.external):
            raise InputError(f"{where}: Teacher(external={teacher.external!r:.60}); write a name of kd-jax teach")
        if teacher != Teacher(external=teacher.external):
            raise InputError(
                f"{where}: Teacher(external={teacher.external!r}) has no head, model, seeds or corpora; leave them out"
            )
    _check_kind(teacher, where)
    names = teacher.corpora
    if not isinstance(names, tuple) or len(set(names)) < len(names) or not all(isinstance(n, str) for n in names):
        raise InputError(f"{where}: Teacher(corpora={names!r:.60}); write different names, such as ('NCBI', 'BC5CDR')")
    if names and teacher.model != "MTM":
        raise InputError(f"{where}: Teacher(model={teacher.model!r}) learns the student's corpus; leave corpora out")
    value, known = teacher.seeds, ("own", "first", "every")
    if isinstance(value, tuple):
        whole = all(type(n) is int and 0 <= n < 2**31 for n in value)
        if not value or len(set(value)) < len(value) or not whole:
            raise InputError(f"{where}: Teacher(seeds={value!r:.60}); write different whole numbers, such as (1, 2, 3)")
    elif value not in ("", *known):
        raise InputError(f"{where}: Teacher(seeds={value!r:.60}); {nearest(str(value), known)}")


def _check_kind(column: Teacher | Average, where: str) -> None:
    for field, known in (("head", _HEADS), ("model", ("MTM", "STM"))):
        value = getattr(column, field)
        if value not in known:
            raise InputError(f"{where}: {type(column).__name__}({field}={value!r:.60}); {nearest(str(value), known)}")


def _finite(number: object) -> bool:
    # A whole number of 400 digits is finite, but no float.
    return isinstance(number, int | float) and not isinstance(number, bool) and abs(number) < 1e300


def _one_line(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip()) and text.isprintable()
