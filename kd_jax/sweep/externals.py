"""Teachers that are none of ours, as an experiment names them: whether they were asked about what its students read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from kd_jax.distill.cache import TeacherQuery
from kd_jax.distill.external import identity
from kd_jax.distill.raw_text import TEXT, RawText
from kd_jax.experiment import Experiment
from kd_jax.settings import Settings, override
from kd_jax.structs import Corpus
from kd_jax.sweep.job import style_of_corpus
from kd_jax.tagging.tokenizer import Style


class _Heard(NamedTuple):
    """What else than its student's own sentences some student hears a teacher about."""

    others: bool = False
    text: bool = False


def external_ids(
    experiment: Experiment,
    settings: Settings,
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
        settings: of the run, which say how many sentences of each kind students are shown.
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
    for name, heard in _heard(experiment, settings).items():
        for target in targets:
            queries = [
                TeacherQuery(target, of, hashes[of], split)
                for of in ([target, *(other for other in corpora if other != target)] if heard.others else [target])
                for split in splits
                if split in corpora[of].splits
            ]
            if heard.text and text:
                style = style_of_corpus(corpora[target])
                queries.append(TeacherQuery(target, TEXT, text[style].content, style))
            ids[name, target] = identity(workdir, name, queries)
    return ids


def _heard(experiment: Experiment, settings: Settings) -> dict[str, _Heard]:
    """External teachers by name, each with what some student hears it about."""
    heard: dict[str, _Heard] = {}
    for student in experiment.students:
        shown = override(settings, student.assignments).distill
        for teacher in experiment.teachers if student.teachers is None else student.teachers:
            if teacher.external:
                before = heard.get(teacher.external, _Heard())
                others, text = (student.foreign and bool(number) for number in (shown.foreign, shown.text))
                heard[teacher.external] = _Heard(before.others or others, before.text or text)
    return heard
