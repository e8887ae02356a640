"""Lines of CoNLL files, for whole files and for streams alike: where one ends, its columns, and what is no token."""

import re
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from select import select

_END = re.compile(rb"\r\r\n|\r\n|\n|\r")  # \r\r\n: Python's csv module in a text file on Windows
_TEXT_END = re.compile(_END.pattern.decode())
_DOCUMENT = ("-DOCSTART-", "###MEDLINE:")
_COMMENT = re.compile(r"#\s*(?:(?:newdoc|newpar|begin document|end document)\b|[\w.:-]+\s*=)")
_CHUNK = 1 << 16
_LONGEST_QUOTE = 40


def split_lines(text: str) -> list[str]:
    """The lines of a text without their ends: LF, CR, CR LF or CR CR LF."""
    return _TEXT_END.split(text) if "\r" in text else text.split("\n")


def chunks(file: BufferedIOBase, *, waits: bool = False) -> Iterator[bytes | None]:
    """What a file holds, as it comes.

    Args:
        file: to read.
        waits: whether whoever writes it may wait for an answer; None is then given before there is a wait for more.
    """
    while True:
        if waits and not _at_hand(file):
            yield None
        if not (chunk := file.read1(_CHUNK)):
            return
        yield chunk


def _at_hand(file: BufferedIOBase) -> bool:
    try:
        return bool(select([file], [], [], 0)[0])
    except (OSError, ValueError):  # no file of the system's
        return True


def stream_lines(read: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """The lines that `split_lines` gives, as they come; the last one only where it is not empty.

    Args:
        read: from `chunks`; its None is passed on.
    """
    rest: list[bytes] = []  # a line that is not ended yet
    for part in read:
        if part is None:
            yield None
            continue
        chunk = part
        if rest and rest[-1].endswith(b"\r"):
            chunk = rest.pop() + chunk
        open_end = len(chunk) - len(chunk.rstrip(b"\r"))  # what follows says which end that is
        *ended, last = _END.split(chunk[: len(chunk) - open_end])
        for line in ended:
            yield b"".join((*rest, line))
            rest = []
        rest.append(last + b"\r" * open_end)
    *ended, last = _END.split(b"".join(rest))
    yield from ended
    if last:
        yield last


def stream_whole_lines(read: Iterable[bytes | None]) -> Iterator[bytes | None]:
    """Lines as a binary file gives them, with the LF that ends them, as they come; arguments as of `stream_lines`."""
    rest: list[bytes] = []
    for chunk in read:
        if chunk is None:
            yield None
            continue
        *ended, last = chunk.split(b"\n")
        for line in ended:
            yield b"".join((*rest, line, b"\n"))
            rest = []
        rest.append(last)
    if line := b"".join(rest):
        yield line


def line_at(data: bytes, position: int) -> int:
    """The number of the line in which a byte stands."""
    return len(_END.findall(data[:position])) + 1


def is_mark(line: str) -> bool:
    """Whether a line marks a document or comments on a sentence, and belongs to no sentence.

    Marks are -DOCSTART- (CoNLL 2003), ###MEDLINE: (GENIA), and without a tab `# key = value`, `# newdoc`, `# newpar`
    (CoNLL-U), `#begin document` and `#end document` (CoNLL 2012). "#" with a tag behind it is a token.
    """
    return line.startswith(_DOCUMENT) or ("\t" not in line and _COMMENT.match(line) is not None)


def columns_of(line: str) -> list[str]:
    """The columns of a line, parted by tabs, or by spaces in a line without a tab; none of a line of blanks."""
    line = line.rstrip(" \t")
    if "\t" in line:
        return [column.strip(" ") for column in line.split("\t")]
    return [column for column in line.split(" ") if column]


def shape_fault(columns: Sequence[str], width: int) -> str | None:
    """What is wrong with the number of a line's columns or its token, and the remedy; None where they are well."""
    if len(columns) != width:
        counts = f"{len(columns)} column{'s' * (len(columns) != 1)} where the lines before have {width}"
        return f"{counts}; a token with a tab or a space in it, or a column left out?"
    if not columns[0]:
        return "no token before the tab; empty lines, and nothing else, part sentences"
    return None


def quote(text: str) -> str:
    """Text for a message: short, and without line breaks."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")
