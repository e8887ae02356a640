"""Teachers that are none of ours, as an experiment names them: whether they were asked about what its students read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from kd_jax.distill.cache import TeacherQuery
from kd_jax.distill.external import identity
from kd_jax.distill.raw_text import TEXT, RawText
from kd_jax.experiment import Experiment, Student
from kd_jax.structs import Corpus
from kd_jax.sweep.job import style_of_corpus
from kd_jax.tagging.tokenizer import Style


def external_ids(
    experiment: Experiment,
    corpora: Mapping[str, Corpus],
    hashes: Mapping[str, str],
    targets: Sequence[str],
    protocol: str,
    workdir: Path,
    text: Mapping[Style, RawText] = MappingProxyType({}),
) -> dict[tuple[str, str], str]:
    """Hashes of what an experiment's external teachers said, by (name, corpus).

    Args:
        experiment: that names them.
        corpora: of the run, by name.
        hashes: of their content.
        targets: corpora that get students.
        protocol: what these are trained on.
        workdir: the work folder, where it was stored.
        text: sentences without labels, by style.

    Raises:
        InputError: for what such a teacher was not asked about, with the command that asks.
    """
    splits = [part for part in protocol.split("+") if part != "clean"]
    ids = {}
    for name, shown in _wanted(experiment).items():
        for target in targets:
            queries = [
                TeacherQuery(target, of, hashes[of], split)
                for of in ([target, *(other for other in corpora if other != target)] if shown else [target])
                for split in splits
                if split in corpora[of].splits
            ]
            if shown and text:
                style = style_of_corpus(corpora[target])
                queries.append(TeacherQuery(target, TEXT, text[style].content, style))
            ids[name, target] = identity(workdir, name, queries)
    return ids


def _wanted(experiment: Experiment) -> dict[str, bool]:
    """External teachers by name, each with whether some student hears it about other corpora's sentences."""
    wanted: dict[str, bool] = {}

    def add(student: Student) -> None:
        for teacher in experiment.teachers if student.teachers is None else student.teachers:
            if teacher.external:
                wanted[teacher.external] = wanted.get(teacher.external, False) or student.foreign

    for student in experiment.students:
        add(student)
    return wanted
