"""A work folder's knowledge: computed where it is missing or stale, read back where it is not."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kd_jax.distill import store
from kd_jax.distill.extract import extract, widths
from kd_jax.runtime.files import digest
from kd_jax.structs import Outputs
from kd_jax.training.loop import Job
from kd_jax.training.saved_model import load_model


class TeacherQuery(NamedTuple):
    """What a teacher is asked.

    Attributes:
        branch: name of the corpus whose branch speaks.
        corpus: name of the corpus whose sentences they are.
        content: that corpus's content hash.
        split: of that corpus.
        chosen: indices of sentences within the split; None for all.
    """

    branch: str
    corpus: str
    content: str
    split: str
    chosen: np.ndarray | None = None

    @property
    def name(self) -> Path:
        """Where the answer is among those of a teacher."""
        about = self.corpus if self.branch == self.corpus else f"{self.branch}-on-{self.corpus}"
        return Path(about) / self.split


def answer(
    teacher: Path,
    parameters: str,
    place: Path,
    query: TeacherQuery,
    dtype: str,
    job: Callable[[], Job],
    log: Callable[[str], None],
) -> Outputs:
    """What a teacher says about sentences of a split.

    Args:
        teacher: folder of the trained teacher.
        parameters: checksum of its parameters.
        place: folder of the answer.
        query: whose branch, about which sentences.
        dtype: in which it is stored.
        job: gives the teacher's tokens and sizes; called only where something has to be computed.
        log: is told what is computed again, and why.

    Returns:
        Outputs of the sentences' tokens in order, memory-mapped, fields [N, width].
    """
    source = {
        "teacher": teacher.name,
        "parameters": parameters,
        "branch": query.branch,
        "corpus": query.content,
        "split": query.split,
        "sentences": "all" if query.chosen is None else digest(query.chosen.tolist()),
        "dtype": dtype,
    }
    try:
        return store.read(place, source)
    except store.StaleError as reason:
        if place.exists():
            log(f"{reason}: computing this knowledge again")
    of_teacher = job()
    task = of_teacher.tokens.names.index(query.branch)
    sentences = of_teacher.tokens.sentences(query.corpus, (query.split,))
    sentences = sentences if query.chosen is None else sentences[query.chosen]
    shape = (of_teacher.tokens.count(sentences), widths(of_teacher, task))
    store.write(place, source, shape, dtype, extract(of_teacher, load_model(teacher).params, task, sentences))
    return store.read(place, source)
