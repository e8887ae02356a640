"""Tag text with trained or shipped models.

  python -m kd_jax.tag --model=W/students/NCBI/SM-... --text="p53 mutations in colorectal cancer"
  python -m kd_jax.tag --model=GENES,DISEASES --format=jsonl abstracts.txt > entities.jsonl
  python -m kd_jax.tag --model=W/teachers/MTM-... --task=BC2GM,NCBI --text="BRCA1 and breast cancer"
  python -m kd_jax.tag --model=SHIPPED --format=brat --out=annotated folder/

Files, folders and - (standard input) are read as text, CoNLL (one token a line) or JSONL (objects with a text), as
their endings (.txt, .tsv .conll .iob, .jsonl) or --input say; where nothing is named, standard input is. Memory does
not grow with the input; no sentence is cut. Several models tag in one pass. An entity's score is the least probability
among its tokens' labels.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from absl import app, flags, logging
from rich.console import Console

from kd_jax.errors import InputError
from kd_jax.runtime.files import whole_folder

FLAGS = flags.FLAGS


@dataclass(frozen=True)
class Asked:
    """What to tag, unchecked; fields as the flags, and the names of files and folders."""

    model: Sequence[str] = ()
    task: Sequence[str] = ()
    names: Sequence[str] = ()
    text: str | None = None
    input: Any = None
    record: Any = "line"
    format: str = "terminal"
    out: str | None = None
    constrained: bool | None = None


def main(argv: Sequence[str]) -> None:
    """Tag what the flags describe; exit 2 with one line where they, a model or the input are wrong."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    logging.set_verbosity(logging.WARNING)
    try:
        given: dict[str, Any] = {name: FLAGS[name].value for name in Asked.__dataclass_fields__ if name != "names"}
        tag(Asked(names=argv[1:], **given))
        sys.stdout.flush()
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever reads has seen enough
    except KeyboardInterrupt:
        sys.exit(130)


def tag(asked: Asked) -> None:
    """Tag and write.

    Raises:
        InputError: for whatever is wrong with what was asked, a model or the input; no file is then left behind.
    """
    if not asked.model:
        raise InputError("--model=FOLDER is needed: of a student (W/students/CORPUS/...), or what kd_jax.ship wrote")
    if asked.text is not None and asked.names:
        raise InputError(f"{asked.names[0]}: give either --text or files")
    from kd_jax.export.load import load  # noqa: PLC0415
    from kd_jax.tagging.reading import documents, records  # noqa: PLC0415 - `--help` needs no JAX

    found = [] if asked.text is not None else documents(asked.names, asked.input)
    if asked.format == "brat" and asked.out is None and len(found) > 1:
        raise InputError(f"--format=brat: {len(found)} documents need a folder; name it with --out")
    tagger = load(asked.model, task=asked.task, constrained=asked.constrained)
    if asked.text is not None:
        stream = tagger.stream([tagger.read(asked.text)])
    else:
        stream = tagger.stream(record for document in found for record in records(tagger, document, asked.record))
    if asked.format == "brat" and asked.out is not None:
        _write_folder(tagger, stream, Path(asked.out))
    else:
        _write(asked, tagger, stream)


def _write(asked: Asked, tagger: Any, stream: Iterable[Any]) -> None:
    from kd_jax.tagging import writing  # noqa: PLC0415

    with _output(asked.out) as file:
        if asked.format == "terminal":
            console = Console(file=file, highlight=False, soft_wrap=True)
            for tagged in stream:
                console.print(writing.coloured(tagger, tagged), end="")
            return
        write = {"conll": writing.conll, "jsonl": writing.jsonl, "brat": writing.brat()}[asked.format]
        for tagged in stream:
            file.write(write(tagger, tagged))


@contextmanager
def _output(out: str | None) -> Iterator[IO[str]]:
    """Standard output, or the file of --out, which is there whole or not at all."""
    if out is None:
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="")  # type: ignore[union-attr]
        yield sys.stdout
        return
    path = Path(out)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        partial.replace(path)
    except OSError as fault:
        raise InputError(f"{path}: can't be written: {fault.strerror or fault}") from None
    finally:
        partial.unlink(missing_ok=True)


def _write_folder(tagger: Any, stream: Iterable[Any], folder: Path) -> None:
    """An .ann and its .txt of every document."""
    from kd_jax.tagging.writing import brat  # noqa: PLC0415

    if folder.exists():
        raise InputError(f"--out={folder}: is there already; name a folder that isn't")
    with whole_folder(folder) as partial:
        for name, group in groupby(stream, key=lambda tagged: tagged.record.place.document):
            stem = partial / Path(name).stem.replace(" ", "_")
            texts, annotations = stem.with_name(f"{stem.name}.txt"), stem.with_name(f"{stem.name}.ann")
            if texts.exists():
                raise InputError(f"{name}: two documents are called {stem.name}; tag them into folders of their own")
            write = brat()
            with (
                texts.open("w", encoding="utf-8", newline="") as text,
                annotations.open("w", encoding="utf-8", newline="") as found,
            ):
                for tagged in group:
                    text.write(tagged.record.text + tagged.record.place.ending)
                    found.write(write(tagger, tagged))


def _define_flags() -> None:
    flags.DEFINE_list("model", [], "Folders of trained or shipped models; several tag in one pass.")
    flags.DEFINE_list("task", [], "Of a model of several corpora, those whose entities are wanted.")
    flags.DEFINE_string("text", None, "A text to tag, in place of files.")
    flags.DEFINE_enum("input", None, ["text", "conll", "jsonl"], "What the input is; default: what file names end in.")
    flags.DEFINE_enum("record", "line", ["line", "paragraph"], "What of running text is tagged as a whole.")
    flags.DEFINE_enum("format", "terminal", ["terminal", "conll", "jsonl", "brat"], "What is written.")
    flags.DEFINE_string("out", None, "File that gets it, for brat a folder; default: standard output.")
    flags.DEFINE_boolean(
        "constrained", None, "Rule out the tag sequences that IOB2 forbids; default: as the model was scored."
    )
    FLAGS.set_gnu_getopt()


if __name__ == "__main__":
    _define_flags()
    app.run(main)
