"""The text of --text, read for the corpora that get students: how much there is, and how much of it stands in test."""

import sys
from collections.abc import Sequence
from pathlib import Path

from kd_jax.corpora.overlap import without_overlap
from kd_jax.distill.raw_text import TEXT, RawText, read_text
from kd_jax.errors import InputError
from kd_jax.experiment import Experiment
from kd_jax.settings import Settings, override
from kd_jax.structs import Corpus
from kd_jax.sweep.job import style_of_corpus
from kd_jax.tagging.tokenizer import Style


def read_texts(
    path: Path, experiments: Sequence[Experiment], settings: Sequence[Settings], targets: Sequence[Corpus]
) -> dict[Style, RawText]:
    """A sample of a text for each style in which some corpora are cut, and a line on standard error about each corpus.

    Args:
        path: what --text says.
        experiments: of the run.
        settings: of each of them.
        targets: the corpora that get students.

    Raises:
        InputError: where no student is shown it, or it can't be read.
    """
    students = [(student, of) for e, of in zip(experiments, settings, strict=True) for student in e.students]
    wanted = [override(of, student.assignments).distill.text for student, of in students if student.foreign]
    if not any(wanted):
        raise InputError(
            f"--text={path}: no student of {experiments[0].name} is shown it; take one with foreign=True and"
            " distill.text above 0, such as those of --experiment=transfer or recommended"
        )
    if clash := [corpus.name for corpus in targets if corpus.name == TEXT]:
        raise InputError(f"--text={path}: a corpus is called {clash[0]}, as the text is; rename its folder")
    styles = {corpus.name: style_of_corpus(corpus) for corpus in targets}
    said: dict[str, None] = {}  # once, however many styles the text is cut in
    texts = {style: read_text(path, style, max(wanted), said.setdefault) for style in dict.fromkeys(styles.values())}
    for line in said:
        print(line, file=sys.stderr)
    for corpus in targets:
        text = texts[styles[corpus.name]]
        sample = len(text.sentences)
        in_test = sample - len(without_overlap(text.sentences, [corpus.splits["test"]]))
        long = f", {text.too_long:,} of them too long" if text.too_long else ""
        print(
            f"{path}: {text.read:,} sentences{long}; {sample:,} are sampled, of which {in_test:,} also occur in"
            f" {corpus.name}'s test split and are left out",
            file=sys.stderr,
        )
    return texts
