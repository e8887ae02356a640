"""Files or standard input to files or standard output: tagged as a user asked for."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from itertools import groupby
from os.path import exists
from pathlib import Path
from typing import IO, Any

from kd_jax.corpora.registry import warn
from kd_jax.errors import InputError
from kd_jax.export.load import load
from kd_jax.runtime.display import Coloured
from kd_jax.runtime.files import replacing, whole_folder
from kd_jax.tagging import writing
from kd_jax.tagging.reading import STDIN, documents, records
from kd_jax.tagging.tagger import Tagged, TextTagger


@dataclass(frozen=True)
class TagRequest:
    """What to tag, unchecked; fields as the flags, and the names of files and folders."""

    model: Sequence[str | Path] = ()
    corpus: Sequence[str] = ()
    label: str | None = None
    best: bool = False
    task: Sequence[str] = ()
    names: Sequence[str | Path] = ()
    text: str | None = None
    input: Any = None
    record: Any = "line"
    format: str = "terminal"
    out: Path | None = None
    constrained: bool | None = None
    min_score: float = 0.0


def tag_files(request: TagRequest) -> None:
    """Tag and write.

    Raises:
        InputError: for whatever is wrong with what was asked, a model or the input; no file is then left behind.
    """
    if not request.model:
        raise InputError("--model=FOLDER is needed: a work folder, a model's own, or what kd_jax.ship wrote")
    if request.text is not None and request.names:
        raise InputError(f"{request.names[0]}: give either --text or files")
    inputs = [] if request.text is not None else documents(request.names, request.input, warn)
    into_folder = request.format == "brat" and request.out is not None and str(request.out) != STDIN
    if request.format == "brat" and not into_folder and len(inputs) > 1:
        raise InputError(f"--format=brat: {len(inputs)} documents need a folder; name it with --out")
    tagger = load(
        request.model,
        corpus=request.corpus,
        label=request.label,
        best=request.best,
        task=request.task,
        constrained=request.constrained,
        min_score=request.min_score,
        say=warn,
    )
    if request.text is not None:
        if " " not in request.text and exists(request.text):
            warn(f"{request.text}: tagged as a text, though it is a file; to tag that, leave out --text")
        stream = tagger.stream([tagger.read(request.text)])
    else:
        stream = tagger.stream(record for document in inputs for record in records(tagger, document, request.record))
    if into_folder and request.out is not None:
        _write_folder(tagger, stream, request.out)
    else:
        named = len(inputs) > 1 or any(Path(name).is_dir() for name in request.names)
        asked_for_each = any(document.path is None for document in inputs)
        _write(request, tagger, stream, named=named, at_once=asked_for_each)


def _write(request: TagRequest, tagger: TextTagger, stream: Iterable[Tagged], *, named: bool, at_once: bool) -> None:
    with _output(request.out, "replace" if request.format == "brat" else "backslashreplace") as file:
        console = Coloured(file=file, highlight=False, soft_wrap=True)
        writers: dict[str, Callable[[TextTagger, Tagged], str]] = {
            "conll": writing.conll(),
            "jsonl": partial(writing.jsonl, named=named),
            "brat": writing.brat(),
        }
        for tagged in stream:
            if request.format == "terminal":
                console.print(writing.coloured(tagger, tagged), end="")
            else:
                file.write(writers[request.format](tagger, tagged))
            if at_once:
                file.flush()  # whoever writes to standard input may wait for each answer


@contextmanager
def _output(out: Path | None, errors: str = "backslashreplace") -> Iterator[IO[str]]:
    """Standard output, where no file or - is named, or the file, which is there whole or not at all."""
    if out is None or str(out) == STDIN:
        # JSON can hold half of a surrogate pair, for which UTF-8 has no bytes: it is written as JSON writes it, or as
        # one sign where offsets count. So is what a terminal of another encoding lacks.
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors=errors, newline="")  # type: ignore[union-attr]
        yield sys.stdout
        return
    with replacing(out) as file:
        text = TextIOWrapper(file, "utf-8", errors=errors, newline="")
        yield text
        text.flush()
        text.detach()  # the file is synced and moved once it is whole


def _write_folder(tagger: TextTagger, stream: Iterable[Tagged], folder: Path) -> None:
    """An .ann and its .txt of every document."""
    if folder.exists():
        raise InputError(f"--out={folder}: already exists; name another folder")
    with whole_folder(folder) as made:
        for name, group in groupby(stream, key=lambda tagged: tagged.record.place.document):
            stem = made / Path(name).stem.replace(" ", "_")
            texts, annotations = stem.with_name(f"{stem.name}.txt"), stem.with_name(f"{stem.name}.ann")
            if texts.exists():
                raise InputError(f"{name}: two documents are called {stem.name}; tag them into folders of their own")
            write = writing.brat()
            with (
                # Half of a surrogate pair has no bytes; one sign for each keeps offsets.
                texts.open("w", encoding="utf-8", errors="replace", newline="") as text,
                annotations.open("w", encoding="utf-8", errors="replace", newline="") as annotation_file,
            ):
                for tagged in group:
                    text.write(tagged.record.text + tagged.record.place.ending)
                    annotation_file.write(write(tagger, tagged))
