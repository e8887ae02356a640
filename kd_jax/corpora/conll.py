"""CoNLL files: one token a line, its tag in the last column, an empty line between sentences.

Files may be written in IOB2, IOBES or IOB1; inside the program tags are IOB2.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from kd_jax.corpora.lines import columns_of, is_mark, line_at, quote, shape_fault, split_lines
from kd_jax.corpora.splits import split_files, unread_files
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.files import kind_of, replace_file
from kd_jax.structs import Corpus, Sentence

PREFIXES = {"IOB2": "BI", "IOBES": "BIES", "IOB1": "BI"}
_ALIASES = {"IOB2": "IOB2", "BIO": "IOB2", "IOBES": "IOBES", "BIOES": "IOBES", "IOB1": "IOB1"}
_BARE = frozenset("BIES")
_LARGEST = 2 << 30


class Lines(NamedTuple):
    """Sentences as a file has them.

    Attributes:
        tokens: of each sentence.
        tags: of each sentence, in the file's own scheme, unchecked but for their form.
        first: the line on which each sentence begins.
        bare: whether the file's tags were bare B, I, ... and got a type.
    """

    tokens: list[tuple[str, ...]]
    tags: list[tuple[str, ...]]
    first: list[int]
    bare: bool = False


def read_split(path: Path, scheme: str | None = None, entity_type: str | None = None) -> tuple[Sentence, ...]:
    """The sentences of one file, with IOB2 tags.

    The first column is the token, the last the tag; columns are parted by tabs, or by spaces in a line without a tab.
    Marks of documents and comments (`kd_jax.corpora.lines.is_mark`) belong to no sentence.

    Args:
        path: a UTF-8 text file, with or without a byte order mark.
        scheme: "IOB2", "IOBES" (or "BIOES") or "IOB1"; None means IOBES where a tag begins with E- or S-, else IOB2.
        entity_type: of bare tags B, I, ...; None for the name of the file's folder.

    Raises:
        InputError: naming file and line, for what is no such file or breaks the scheme.
    """
    lines = parse(path, entity_type)
    chosen = scheme_of(lines, scheme)
    for number, fault in faults(lines, chosen):
        raise InputError(f"{path}:{number}: {fault}")
    return sentences(lines, chosen)


def parse(path: Path, entity_type: str | None = None) -> Lines:
    """The sentences of a file as it has them; arguments as for `read_split`, errors as for `parse_bytes`."""
    return parse_bytes(_read(path), path, entity_type or path.resolve().parent.name)


def parse_bytes(data: bytes, path: Path, entity_type: str | None = None) -> Lines:
    r"""The sentences of a file's content as it has them.

    Args:
        data: the content.
        path: that errors name.
        entity_type: of bare tags B, I, ...; None refuses them.

    Raises:
        InputError: for what is no UTF-8 text of tokens and tags, or has bare tags beside others; the scheme is not
            checked.

    >>> lines = parse_bytes(b"BRCA1\tS-Gene\nmutated\tO\n", Path("train.tsv"))
    >>> scheme_of(lines)
    'IOBES'
    >>> sentences(lines, scheme_of(lines))
    (Sentence(tokens=('BRCA1', 'mutated'), tags=('B-Gene', 'O')),)
    """
    lines = [*split_lines(_decode(data, path)), ""]
    # Each distinct line is looked at once: of NCBI's 141,125 in train.tsv 10,174 are different.
    cells: dict[str, tuple[str, str]] = {}  # token and tag of each distinct line; empty where a sentence ends
    width = 0
    bare: dict[str, str] = {}  # of distinct lines with a bare tag, the tag
    typed = False
    for line in dict.fromkeys(lines):
        columns = columns_of(line)
        if not columns or is_mark(line):
            cells[line] = ("", "")
            continue
        width = width or len(columns)
        if fault := _column_fault(columns, width, entity_type):
            raise InputError(f"{path}:{lines.index(line) + 1}: {fault}")
        token, tag = columns[0], columns[-1]
        typed = typed or "-" in tag
        if tag in _BARE:
            bare[line] = tag
            tag = f"{tag}-{entity_type}"
        cells[line] = (sys.intern(token), sys.intern(tag))
    if bare and typed:
        line, tag = next(iter(bare.items()))
        raise InputError(
            f"{path}:{lines.index(line) + 1}: {quote(tag)} has no type, though other tags here have one; write"
            f" {quote(tag + '-TYPE')}"
        )
    tokens = [cells[line][0] for line in lines]
    tags = [cells[line][1] for line in lines]
    parsed = Lines([], [], [], bool(bare))
    start = 0
    for end in (i for i, token in enumerate(tokens) if not token):
        if end > start:
            parsed.tokens.append(tuple(tokens[start:end]))
            parsed.tags.append(tuple(tags[start:end]))
            parsed.first.append(start + 1)
        start = end + 1
    if not parsed.first:
        raise InputError(f"{path}: holds no sentence; each line should be token, tab, tag")
    return parsed


def scheme_of(lines: Lines, scheme: str | None = None) -> str:
    """The scheme to read a file by: "IOB2", "IOBES" or "IOB1"; arguments and errors as for `read_split`."""
    if scheme is not None:
        if scheme.upper() not in _ALIASES:
            raise InputError(f"tag scheme {scheme!r} is unknown; {nearest(scheme, _ALIASES)}")
        return _ALIASES[scheme.upper()]
    inventory = {tag for tags in lines.tags for tag in tags}
    return "IOBES" if any(tag[:2] in {"E-", "S-"} for tag in inventory) else "IOB2"


def faults(lines: Lines, scheme: str) -> Iterator[tuple[int, str]]:
    """Line and description of each tag that the scheme forbids where it stands, or must not end an entity."""
    # Of a file without faults, which is the rule, only its few distinct changes of tags are looked at.
    if all(_to_iob2(scheme, *change) for change in _transitions(lines.tags)):
        return
    for first, tags in zip(lines.first, lines.tags, strict=True):
        for offset, (previous, tag) in enumerate(pairwise(("O", *tags, "O"))):
            if _to_iob2(scheme, previous, tag) is None:
                yield first + offset - (tag == "O"), _describe(scheme, previous if offset else None, tag)


def sentences(lines: Lines, scheme: str) -> tuple[Sentence, ...]:
    """The sentences of a file without `faults`, with IOB2 tags."""
    table = {change: _to_iob2(scheme, *change) or "" for change in _transitions(lines.tags)}
    if all(new == tag for (_, tag), new in table.items()):
        return tuple(map(Sentence, lines.tokens, lines.tags))
    tags = (tuple(map(table.__getitem__, pairwise(("O", *old)))) for old in lines.tags)
    return tuple(map(Sentence, lines.tokens, tags))


def read_corpus(folder: Path, name: str, scheme: str | None = None, entity_type: str | None = None) -> Corpus:
    """The corpus in a folder: train.tsv, test.tsv and, where there is one, devel.tsv.

    Endings .txt, .conll and .iob, the stems dev, val, valid and validation for devel, and capitals are understood too.

    Args:
        folder: of the files.
        name: of the corpus.
        scheme: as for `read_split`.
        entity_type: of bare tags B, I, ...; None for the corpus's name.

    Raises:
        InputError: for a folder without both train and test, two files for one split, or a fault in a file.
    """
    files = split_files(folder)
    for needed in ("train", "test"):
        if needed not in files:
            names = ", ".join(path.name for path in files.values())
            why = f"there is only {names}" if names else "it holds no train, devel or test file, so it is no corpus"
            if alike := unread_files(folder, files):
                why += f"; {', '.join(alike)}: not read under that name"
            raise InputError(f"{folder}: {needed}.tsv is missing ({why}); a corpus needs train.tsv and test.tsv")
    splits = {split: read_split(path, scheme, entity_type or name) for split, path in files.items()}
    return Corpus(name, splits, label_names(sentence for of_split in splits.values() for sentence in of_split))


def label_names(sentences: Iterable[Sentence]) -> tuple[str, ...]:
    """O, then B- and I- of every entity type of the sentences, types in alphabetical order."""
    types = sorted({tag[2:] for tags in {sentence.tags for sentence in sentences} for tag in tags} - {""})
    return ("O", *(prefix + kind for kind in types for prefix in ("B-", "I-")))


def write_split(path: Path, written: Sequence[Sentence]) -> None:
    """Write sentences as token, tab, tag, whole or not at all; `read_split` gives them back.

    Args:
        path: of the file; replaced where it exists.
        written: sentences with IOB2 tags.

    Raises:
        ValueError: for sentences that `read_split` would not give back: no tokens, a tab in a token, illegal tags.
        InputError: where the disk refuses.
    """
    text = "\n".join(
        "".join(f"{token}\t{tag}\n" for token, tag in zip(sentence.tokens, sentence.tags, strict=True))
        for sentence in written
    )
    data = text.encode("utf-8")
    try:
        lines = parse_bytes(data, path)
    except InputError as fault:
        raise ValueError(f"what is to be written is no corpus: {fault}") from None
    if any(faults(lines, "IOB2")) or sentences(lines, "IOB2") != tuple(written):
        raise ValueError(f"{path}: a token or tag would not be read back as it is")
    replace_file(path, data)


def _column_fault(columns: Sequence[str], width: int, entity_type: str | None) -> str | None:
    """What is wrong with the columns of a line, and its remedy; None where they are well."""
    tag = columns[-1]
    if len(columns) == 1:
        return f"one column, {quote(columns[0])}; each line should be token, tab, tag"
    if fault := shape_fault(columns, width):
        return fault
    if tag in _BARE and entity_type is not None:
        return None
    if tag != "O" and (tag[1:2] != "-" or tag[0] not in _BARE or not tag[2:]):
        return f"{quote(tag)} is no tag; tags are O, B-TYPE and I-TYPE, in IOBES also E-TYPE and S-TYPE"
    return None


def _read(path: Path) -> bytes:
    try:
        if (kind := kind_of(path)) != "file":
            absent = "a link that leads nowhere" if path.is_symlink() else "no such file"
            why = "not a file" if kind else absent
            raise InputError(f"{path}: {why}; give a text file of tokens and tags")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: larger than {_LARGEST >> 30} GiB, so hardly a corpus; cut it into smaller ones")
        return path.read_bytes()
    except OSError as fault:
        raise InputError(f"{path}: can't be read: {fault.strerror or fault}") from None


def _decode(data: bytes, path: Path) -> str:
    if not data:
        raise InputError(f"{path}: is empty; each line should be token, tab, tag")
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise InputError(f"{path}:1: the file is UTF-16; save it as UTF-8")
    if b"\0" in data:
        line = line_at(data, data.index(b"\0"))
        raise InputError(f"{path}:{line}: a NUL byte, so no UTF-8 text; save the file as UTF-8, or remove it there")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = line_at(data, fault.start)
        raise InputError(f"{path}:{line}: byte 0x{data[fault.start]:02x} is no UTF-8; save the file as UTF-8") from None


def _transitions(tags: Iterable[tuple[str, ...]]) -> set[tuple[str, str]]:
    """Each distinct pair of neighbouring tags; every sentence is opened and closed by an O."""
    changes: set[tuple[str, str]] = set()
    for sequence in tags:
        changes.update(pairwise(("O", *sequence, "O")))
    return changes


def _to_iob2(scheme: str, previous: str, tag: str) -> str | None:
    """The IOB2 tag for a tag after another one, None where the scheme forbids it there."""
    same = tag != "O" and previous[1:] == tag[1:]
    if tag != "O" and tag[0] not in PREFIXES[scheme]:
        return None
    # An open entity has to go on to its E-, and nothing goes on that is not open.
    if scheme == "IOBES":
        opened, goes_on = previous[0] in "BI", tag[0] in "IE"
        legal = goes_on and same if opened else not goes_on
        return {"S": "B", "E": "I"}.get(tag[0], tag[0]) + tag[1:] if legal else None
    # IOB1 begins with I-, and has B- only where an entity touches one of its type (Tjong Kim Sang and Veenstra,
    # Representing text chunks, EACL 1999).
    if scheme == "IOB1" and tag[0] == "B":
        return tag if same else None
    if tag[0] == "I" and not same:
        return "B" + tag[1:] if scheme == "IOB1" else None
    return tag


def _describe(scheme: str, previous: str | None, tag: str) -> str:
    """Fault and remedy of a tag that the scheme forbids after another one, or at a sentence's start."""
    if tag == "O":
        return f"the entity of {quote(previous or tag)} is not ended, in {scheme}; write E-, or S- for a single token"
    if tag[0] not in PREFIXES[scheme]:
        return f"{quote(tag)} is no tag of {scheme}, which has {', '.join(PREFIXES[scheme])} and O"
    remedy = {
        "IOB2": f"write {quote('B' + tag[1:])}, or ask for scheme IOB1 if the whole file is so",
        "IOB1": f"write {quote('I' + tag[1:])}, or ask for IOB2 if the whole file is so",
        "IOBES": "an entity is B-, any number of I-, E- of one type, or S- alone",
    }[scheme]
    before = "at the start of a sentence" if previous is None else f"after {quote(previous)}"
    return f"{quote(tag)} {before} is not allowed in {scheme}; {remedy}"
