"""What a file of word vectors is, as its first bytes show."""

import re
from collections import Counter
from pathlib import Path

from kd_jax.errors import InputError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BEGINNING = 400  # bytes in which a file that is something else says so
_NO_VECTORS = {
    b"<!doctype": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "XML",
    b"version https://git-lfs": "a git-lfs pointer",
    b"/annex/objects/": "a git-annex pointer",
}
_LOOKED_AT = 8  # lines from which the dimension of a text without a header is taken


def refuse_foreign(path: Path, head: bytes) -> None:
    """Refuse what is known to be something else, by its first bytes."""
    if not head:
        raise InputError(f"{path}: is empty; get it anew")
    beginning = head[:_BEGINNING].lstrip().lower()
    for begin, what in _NO_VECTORS.items():
        if beginning.startswith(begin):
            raise InputError(f"{path}:1: {what}, no word vectors; get the file itself")
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        raise InputError(
            f"{path}: a pickle, which is never loaded, for it could run any code;"
            " export it (in gensim: save_word2vec_format)"
        )
    if head[:4] == b"\xba\x16\x4f\x2f":
        raise InputError(f"{path}: a fastText model; give its word vectors, the .vec file")
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise InputError(f"{path}: UTF-16 text; save it as UTF-8")
    if head.startswith((b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")):
        raise InputError(f"{path}: packed; unpack it, or pack it with gzip")


def is_binary(path: Path, rest: bytes, dim: int) -> bool:
    """Whether what follows a header is no text: a row of numbers is; failing that, the name and the bytes decide."""
    numbers = rest.partition(b"\n")[0].split()[-dim:]
    if len(numbers) == dim and all_numbers(numbers):
        return False
    if path.name.removesuffix(".gz").endswith(".bin") or re.search(rb"[\0-\x08\x0e-\x1f]", rest):
        return True
    try:
        rest[: rest.rfind(b"\n") + 1].decode()
    except UnicodeDecodeError:
        return True
    return False


def _first_lines(head: bytes) -> list[list[bytes]]:
    lines = head.split(b"\n")
    return [line.split() for line in (lines[:-1] or lines)[:_LOOKED_AT]]


def agreed(head: bytes) -> int:
    """Numbers a line in text: what most of its first lines end in, 0 where no two agree.

    A word may hold spaces, and a line be broken.
    """
    whole = [fields for fields in _first_lines(head) if fields]
    counts = [_numbers_at_end(fields) for fields in whole]
    for alike in (counts, [len(fields) - 1 for fields in whole]):
        most, agree = Counter(alike).most_common(1)[0] if any(counts) else (0, 0)
        if most and (agree > 1 or len(counts) == 1):
            return most
    return 0


def dimension(path: Path, head: bytes) -> int:
    """Numbers a line in text without a header; where no two lines agree, an InputError names one of them."""
    if most := agreed(head):
        return most
    whole = _first_lines(head)
    counts = [_numbers_at_end(fields) for fields in whole]
    at = next((i for i, fields in enumerate(whole) if fields and not counts[i]), 0)
    shown = b" ".join(whole[at])[:40].decode("utf-8", "replace")
    why = f"{counts[at]} numbers, and other lines have other counts" if any(counts) else "no numbers"
    raise InputError(f"{path}:{at + 1}: {why} behind the word ({shown!r}); no file of word vectors, or a damaged one")


def _numbers_at_end(fields: list[bytes]) -> int:
    """How many of a line's fields after the first are numbers, counted from the end."""
    numbers = 0
    for field in reversed(fields[1:]):
        if not all_numbers([field]):
            break
        numbers += 1
    return numbers


def all_numbers(fields: list[bytes]) -> bool:
    """Whether there are fields, and all are numbers."""
    try:
        return bool([float(field) for field in fields])
    except ValueError:
        return False
