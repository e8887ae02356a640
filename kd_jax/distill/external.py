"""Teachers that are none of ours: what they said, kept in a work folder under a name that experiments use.

external/NAME/CORPUS/SPLIT             what it says of the corpus's own sentences
external/NAME/CORPUS-on-OTHER/SPLIT    of another corpus's sentences, in this corpus's labels
"""

import re
from pathlib import Path
from typing import Any

from kd_jax.distill import store
from kd_jax.distill.cache import TeacherQuery
from kd_jax.distill.raw_text import TEXT
from kd_jax.errors import InputError
from kd_jax.runtime.files import digest

EXTERNAL = "external"
DTYPE = "float32"
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,99}")


def folder_of(workdir: Path, name: str) -> Path:
    """Where a work folder keeps an external teacher.

    Raises:
        InputError: for a name that no folder should have.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r:.60}: no name for a teacher; use letters, digits, and . _ + - within")
    return workdir / EXTERNAL / name


def source_of(teacher: str, parameters: str, query: TeacherQuery) -> dict[str, Any]:
    """What knowledge of an external teacher was made from.

    Args:
        teacher: its own name.
        parameters: checksum of it.
        query: what it was asked: always about whole splits.
    """
    return {
        "teacher": teacher,
        "parameters": parameters,
        "branch": query.branch,
        "corpus": query.content,
        "split": query.split,
        "sentences": "all",
    }


def known_source(workdir: Path, name: str, query: TeacherQuery) -> dict[str, Any]:
    """What an external teacher's knowledge of a split was made from, of this text.

    Raises:
        InputError: where it was not asked about the split, or about another text.
    """
    place = folder_of(workdir, name) / query.name
    text = f"{query.corpus} {query.split}"
    about = text if query.branch == query.corpus else f"{text} in the labels of {query.branch}"
    on = " --text=..." if query.corpus == TEXT else "" if query.branch == query.corpus else f" --on={query.corpus}"
    more = f" --datasets={query.branch}{on}"
    again = f"run kd-jax teach --from=... --name={name} --workdir={workdir}{more}"
    try:
        source = store.source(place)
    except store.StaleError as reason:
        raise InputError(f"external teacher {name}: nothing of {about} ({reason}); {again}") from None
    if source != source_of(str(source.get("teacher")), str(source.get("parameters")), query):
        raise InputError(f"external teacher {name}: {place} is of another text than {text} is now; {again}")
    return source


def identity(workdir: Path, name: str, queries: list[TeacherQuery]) -> str:
    """Hash of everything that decides what an external teacher says of some splits.

    Raises:
        InputError: as of `known_source`, or where the splits were read by different teachers.
    """
    sources = [known_source(workdir, name, query) for query in queries]
    by = {source["parameters"]: query for source, query in zip(sources, queries, strict=True)}
    if len(by) > 1:
        first, second = [f"{query.corpus} {query.split}" for query in by.values()][:2]
        raise InputError(
            f"external teacher {name}: {first} and {second} were read by different ones; run kd-jax teach again on both"
        )
    return digest([[source["parameters"], source["corpus"]] for source in sources])[:12]


def read_external(workdir: Path, name: str, query: TeacherQuery) -> store.Stored:
    """What an external teacher says of a whole split.

    Raises:
        InputError: as of `known_source`, or where it is damaged.
    """
    source, place = known_source(workdir, name, query), folder_of(workdir, name) / query.name
    try:
        return store.read(place, source)
    except store.StaleError as reason:
        raise InputError(f"external teacher {name}: {reason}; remove {place} and run kd-jax teach again") from None
