"""Raw text, CoNLL and JSONL as records to tag, read as they come: memory is that of the longest line or block."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

from kd_jax.corpora.lines import chunks, columns_of, is_mark, shape_fault, stream_lines, stream_whole_lines
from kd_jax.errors import InputError
from kd_jax.runtime.files import json_object, kind_of
from kd_jax.tagging.tagger import Columns, Cutter, Place, Record

Kind = Literal["text", "conll", "jsonl"]
Unit = Literal["line", "paragraph"]
KINDS: dict[str, Kind] = {
    ".txt": "text", ".text": "text", ".tsv": "conll", ".conll": "conll", ".iob": "conll", ".jsonl": "jsonl",
}  # fmt: skip
STDIN = "-"
LARGEST_BLOCK = 1 << 16
"""Characters after which a paragraph ends with its line, so that text without blank lines is not held whole."""
_NO_TEXT = (
    {".json": "write an object a line, as .jsonl"}
    | dict.fromkeys((".gz", ".bz2", ".xz", ".zst", ".zip", ".tgz", ".tar"), "unpack it")
    | dict.fromkeys((".pdf", ".doc", ".docx", ".html", ".htm", ".xml"), "save it as plain text, as .txt")
)
_NAMED = 5


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


def documents(names: Sequence[str | Path], kind: Kind | None, say: Callable[[str], object] = str) -> list[Document]:
    """What the user names: files, folders of files, or - for standard input, which is also read where nothing is named.

    Args:
        names: paths; of a folder its files of known endings are read.
        kind: of all of them; None for what their endings say, and text where they say nothing.
        say: called with a line about what of a folder is not read.

    Raises:
        InputError: for a path that isn't there or can't be looked into, a folder without such files, or a document that
            is named twice.
    """
    read: list[Document] = []
    for name in names or [STDIN]:
        path = Path(name)
        if str(name) == STDIN:
            read.append(Document("standard input", None, kind or "text"))
        elif (kind_of_path := kind_of(path)) == "folder":
            read += _inside(path, kind, say)
        elif kind_of_path and kind is None and (instead := _NO_TEXT.get(path.suffix.lower())):
            raise InputError(f"{path}: {path.suffix.lower()} is no text; {instead}")
        elif kind_of_path:
            read.append(Document(str(path), path, kind or KINDS.get(path.suffix.lower(), "text")))
        else:
            why = "a link that leads nowhere" if path.is_symlink() else "no such file or folder"
            raise InputError(f"{path}: {why}; give text with --text, or - for standard input")
    seen: set[Path | None] = set()
    for document in read:
        place = None if document.path is None else document.path.resolve()
        if place in seen:
            raise InputError(f"{document.name}: is named twice; once is enough")
        seen.add(place)
    return read


def _inside(folder: Path, kind: Kind | None, say: Callable[[str], object]) -> list[Document]:
    """The files of a folder that are read; its subfolders, and files of other endings, are not, which is said."""
    try:
        entries = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    except OSError as fault:
        raise InputError(f"{folder}: can't be read: {fault.strerror or fault}") from None
    files = [path for path in entries if path.suffix.lower() in KINDS and not path.is_dir()]
    folders = [f"{path.name}/" for path in entries if path.is_dir()]
    others = [path.name for path in entries if path not in files and not path.is_dir()]
    left = "; ".join(
        f"{what} {', '.join(some[:_NAMED])}{' and more' if len(some) > _NAMED else ''}"
        for what, some in (("folders", folders), ("files of other endings", others))
        if some
    )
    if not files:
        also = f" (not read: {left})" if left else ""
        raise InputError(f"{folder}: holds no file that ends in {', '.join(KINDS)}{also}; name the files themselves")
    if left:
        say(f"{folder}: not read: {left}; name them to have them read")
    return [Document(str(path), path, kind or KINDS[path.suffix.lower()]) for path in files]


def records(cutter: Cutter, document: Document, unit: Unit) -> Iterator[Record | None]:
    """A document's records in order, at least one; None where standard input has no more of them yet.

    Args:
        cutter: that cuts them, such as the tagger that is to tag them.
        document: what to read.
        unit: what a record of raw text is; in CoNLL it is a sentence, in JSONL a line.

    Raises:
        InputError: naming file and line of what can't be read.
    """
    read = {"text": _texts, "conll": _conll, "jsonl": _jsonl}[document.kind]
    empty = True
    for record in read(cutter, document, unit):
        empty = empty and record is None
        yield record
    if empty:
        # As the document's own records would be: what can't be said of running text can be of no sentences.
        none = cutter.given([])._replace(columns=Columns([], [])) if document.kind == "conll" else cutter.read("")
        yield none._replace(place=Place(document.name, 0, ""))


def lines_of(document: Document, *, conll: bool = False) -> Iterator[tuple[int, str] | None]:
    """Line numbers and lines, with their ends as they are, so that offsets are the file's own, but of CoNLL without.

    None is given where standard input has no more of them yet: what was read so far is to be answered.

    Raises:
        InputError: for what can't be read or is no UTF-8, by its line.
    """
    waits, number = document.path is None, 0
    try:
        opened: Any = sys.stdin.buffer if document.path is None else document.path.open("rb")
        with nullcontext(opened) if waits else opened as file:
            for line in (stream_lines if conll else stream_whole_lines)(chunks(file, waits=waits)):
                if line is None:
                    yield None
                    continue
                number += 1
                if number == 1 and line[:2] in {b"\xff\xfe", b"\xfe\xff"}:
                    raise InputError(f"{document.name}:1: the file is UTF-16; save it as UTF-8")
                try:
                    yield number, line.decode("utf-8")
                except UnicodeDecodeError as fault:
                    byte = line[fault.start]
                    raise InputError(
                        f"{document.name}:{number}: byte 0x{byte:02x} is no UTF-8; save the file as UTF-8"
                    ) from None
    except OSError as fault:
        raise InputError(f"{document.name}: can't be read: {fault.strerror or fault}") from None


def _texts(cutter: Cutter, document: Document, unit: Unit) -> Iterator[Record | None]:
    at = 0
    for block in _blocks(document, unit):
        if block is None:
            yield None
            continue
        text = block.rstrip("\r\n" if unit == "line" else None)
        yield cutter.read(text)._replace(place=Place(document.name, at, block[len(text) :]))
        at += len(block)


def _blocks(document: Document, unit: Unit) -> Iterator[str | None]:
    """Lines, or paragraphs with the blank lines after them; all together are the text. None as of `lines_of`."""
    block, ended = "", False
    for read in lines_of(document):
        if read is None or unit == "line":
            yield read and read[1]
            continue
        line = read[1]
        if (line.strip() and ended) or len(block) > LARGEST_BLOCK:
            yield block
            block, ended = "", False
        ended = bool(block.strip()) and not line.strip()
        block += line
    if block:
        yield block


def _conll(cutter: Cutter, document: Document, _: Unit) -> Iterator[Record | None]:
    at = 0
    before: list[str] = []
    rows: list[list[str]] = []

    def sentence() -> Record:
        record = cutter.given([row[0] for row in rows])
        return record._replace(place=Place(document.name, at, "\n"), columns=Columns(before, rows))

    width = 0
    for read in lines_of(document, conll=True):
        if read is None:
            yield None
            continue
        number, line = read
        bare = line.removeprefix("\ufeff") if number == 1 else line
        where = f"{document.name}:{number}"
        if "\0" in bare:
            raise InputError(f"{where}: a NUL byte, so no UTF-8 text; save the file as UTF-8, or remove it there")
        if (columns := columns_of(bare)) and not is_mark(bare):
            width = width or len(columns)
            if fault := shape_fault(columns, width):
                raise InputError(f"{where}: {fault}")
            rows.append(columns)
            continue
        if rows:
            record = sentence()
            yield record
            at += len(record.text) + 1
            before, rows = [], []
        if columns:
            before.append(bare)
    if rows or before:
        yield sentence()


def _jsonl(cutter: Cutter, document: Document, _: Unit) -> Iterator[Record | None]:
    at = 0
    for read in lines_of(document):
        if read is None:
            yield None
            continue
        number, line = read
        line = line.removeprefix("\ufeff") if number == 1 else line
        where = f"{document.name}:{number}"
        if not line.strip():
            continue
        content = json_object(line, where, '{"text": "..."}')
        if not isinstance(content.get("text"), str):
            raise InputError(f'{where}: no text; each line should be an object such as {{"text": "..."}}')
        record = cutter.read(content["text"])
        yield record._replace(place=Place(document.name, at, "\n"), content=content)
        at += len(record.text) + 1
