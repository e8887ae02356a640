"""Raw text, CoNLL and JSONL as records to tag, read as they come: memory is that of the longest line or paragraph."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Literal, NamedTuple

from kd_jax.corpora.conll import is_document_mark
from kd_jax.errors import InputError
from kd_jax.runtime.files import kind_of
from kd_jax.tagging.tagger import Columns, Place, Record, TextTagger

Kind = Literal["text", "conll", "jsonl"]
Unit = Literal["line", "paragraph"]
KINDS: dict[str, Kind] = {
    ".txt": "text", ".text": "text", ".tsv": "conll", ".conll": "conll", ".iob": "conll", ".jsonl": "jsonl",
}  # fmt: skip
STDIN = "-"


class Document(NamedTuple):
    """Something to read: a file, or standard input.

    Attributes:
        name: for messages.
        path: of the file; None for standard input.
        kind: of what it holds.
    """

    name: str
    path: Path | None
    kind: Kind


def documents(names: Sequence[str], kind: Kind | None) -> list[Document]:
    """What the user names: files, folders of files, or - for standard input, which is also read where nothing is named.

    Args:
        names: paths; of a folder its files of known endings are read.
        kind: of all of them; None for what their endings say, and text where they say nothing.

    Raises:
        InputError: for a path that isn't there, a folder without such files, or two documents of one name.
    """
    found: list[Document] = []
    for name in names or [STDIN]:
        path = Path(name)
        if name == STDIN:
            found.append(Document("standard input", None, kind or "text"))
        elif (there := kind_of(path)) == "folder":
            inside = [p for p in sorted(path.iterdir()) if p.is_file() and p.suffix.lower() in KINDS]
            if not inside:
                raise InputError(f"{path}: holds no file that ends in {', '.join(KINDS)}; name the files themselves")
            found += [Document(str(p), p, kind or KINDS[p.suffix.lower()]) for p in inside]
        elif there == "file":
            found.append(Document(str(path), path, kind or KINDS.get(path.suffix.lower(), "text")))
        else:
            raise InputError(f"{path}: no such file or folder; give text with --text, or - for standard input")
    return found


def records(tagger: TextTagger, document: Document, unit: Unit) -> Iterator[Record]:
    """A document's records in order, at least one.

    Args:
        tagger: that is to tag them.
        document: what to read.
        unit: what a record of raw text is; in CoNLL it is a sentence, in JSONL a line.

    Raises:
        InputError: naming file and line of what can't be read.
    """
    read = {"text": _texts, "conll": _conll, "jsonl": _jsonl}[document.kind]
    empty = True
    for record in read(tagger, document, unit):
        empty = False
        yield record
    if empty:
        yield tagger.read("")._replace(place=Place(document.name, 0, ""))


def _lines(document: Document) -> Iterator[tuple[int, str]]:
    """Line numbers and lines, with their ends as they are, so that offsets are the file's own."""
    try:
        opened: IO[bytes] = sys.stdin.buffer if document.path is None else document.path.open("rb")
        with nullcontext(opened) if document.path is None else opened as file:
            for number, line in enumerate(file, 1):
                try:
                    yield number, line.decode("utf-8")
                except UnicodeDecodeError as fault:
                    byte = line[fault.start]
                    raise InputError(
                        f"{document.name}:{number}: byte 0x{byte:02x} is no UTF-8; save the file as UTF-8"
                    ) from None
    except OSError as fault:
        raise InputError(f"{document.name}: can't be read: {fault.strerror or fault}") from None


def _texts(tagger: TextTagger, document: Document, unit: Unit) -> Iterator[Record]:
    at = 0
    for block in _blocks(document, unit):
        text = block.rstrip("\r\n" if unit == "line" else None)
        yield tagger.read(text)._replace(place=Place(document.name, at, block[len(text) :]))
        at += len(block)


def _blocks(document: Document, unit: Unit) -> Iterator[str]:
    """Lines, or paragraphs with the blank lines after them; all together are the text."""
    if unit == "line":
        yield from (line for _, line in _lines(document))
        return
    block, ended = "", False
    for _, line in _lines(document):
        if line.strip() and ended:
            yield block
            block, ended = "", False
        ended = bool(block.strip()) and not line.strip()
        block += line
    if block:
        yield block


def _conll(tagger: TextTagger, document: Document, _: Unit) -> Iterator[Record]:
    at = 0
    before: list[str] = []
    rows: list[list[str]] = []

    def sentence() -> Record:
        record = tagger.given([row[0] for row in rows])
        return record._replace(place=Place(document.name, at, "\n"), columns=Columns(before, rows))

    for number, line in _lines(document):
        bare = line.rstrip("\r\n \t").removeprefix("\ufeff" if number == 1 else "")
        if bare and not is_document_mark(bare):
            rows.append(_columns(bare, f"{document.name}:{number}"))
            continue
        if rows:
            record = sentence()
            yield record
            at += len(record.text) + 1
            before, rows = [], []
        if bare:
            before.append(bare)
    if rows or before:
        yield sentence()


def _columns(line: str, where: str) -> list[str]:
    columns = [column.strip(" ") for column in line.split("\t")] if "\t" in line else line.split()
    if not columns[0]:
        raise InputError(f"{where}: no token before the tab; each line should be a token, perhaps a tab and its tag")
    return columns


def _jsonl(tagger: TextTagger, document: Document, _: Unit) -> Iterator[Record]:
    at = 0
    for number, line in _lines(document):
        where = f"{document.name}:{number}"
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError) as fault:
            raise InputError(f"{where}: no JSON ({fault}); each line should be an object with a text") from None
        if not isinstance(content, dict) or not isinstance(content.get("text"), str):
            raise InputError(f'{where}: no text; each line should be an object such as {{"text": "..."}}')
        record = tagger.read(content["text"])
        yield record._replace(place=Place(document.name, at, "\n"), content=content)
        at += len(record.text) + 1
