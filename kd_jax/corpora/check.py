"""What a corpus's files hold, and what is wrong with them: counts, tags, faults, differences from the registry."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

from kd_jax.corpora.conll import Lines, faults, parse, scheme_of, sentences
from kd_jax.corpora.lines import quote
from kd_jax.corpora.registry import Entry, SplitFacts
from kd_jax.corpora.splits import split_files, unread_files
from kd_jax.errors import InputError
from kd_jax.runtime.files import digest_file

_FAULTS_SHOWN = 5
_CHARACTERS_SHOWN = 12
_ENOUGH = 10  # tokens or sentences from which a pattern is no chance
_CSV_QUOTES = re.compile(r'"[^"]*(?:""[^"]*)+"')


@dataclass
class FileReport:
    """What one file holds.

    Attributes:
        split: train, devel or test.
        path: of the file.
        scheme: that it is written in; None where it can't be read.
        sentences: count.
        tokens: count.
        entities: of each type.
        tags: of each tag, as written.
        duplicates: sentences whose tokens an earlier one of the file has too.
        longest_sentence: its tokens, and the line on which it begins.
        longest_token: its characters, and its line.
        non_ascii: occurrences of each character outside ASCII.
        published: whether it is the published file, byte by byte; None where no sum is known.
        differences: from the counts that the registry expects.
        faults: that keep it from being read, as path:line: fault; the first few.
        faults_in_all: how many there are.
        suspicions: of what can be read, but hardly says what its author meant.
        bare: whether its tags had no type and were given one.
    """

    split: str
    path: Path
    scheme: str | None = None
    sentences: int = 0
    tokens: int = 0
    entities: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    longest_sentence: tuple[int, int] = (0, 0)
    longest_token: tuple[int, int] = (0, 0)
    non_ascii: Counter[str] = field(default_factory=Counter)
    published: bool | None = None
    differences: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    faults_in_all: int = 0
    suspicions: list[str] = field(default_factory=list)
    bare: bool = False


@dataclass(frozen=True)
class CorpusReport:
    """What a corpus's folder holds.

    Attributes:
        name: of the corpus.
        folder: of its files.
        files: a report each, in the order train, devel, test.
        missing: needed or expected files that are not there, or why the folder is no corpus.
        unexpected: entity types that the registry does not have.
        unread: names of files that look like a missing split, but are called otherwise.
    """

    name: str
    folder: Path
    files: tuple[FileReport, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    unread: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """Whether it can be read, and is as the registry expects."""
        return not (
            self.missing or self.unexpected or any(f.faults or f.differences or f.suspicions for f in self.files)
        )


def examine(
    folder: Path, name: str, entry: Entry | None = None, scheme: str | None = None, entity_type: str | None = None
) -> CorpusReport:
    """Examine a corpus; faults are reported, not raised.

    Args:
        folder: of its files.
        name: of the corpus.
        entry: what the registry expects, where it knows the corpus.
        scheme: as for `kd_jax.corpora.conll.read_split`.
        entity_type: of bare tags; None for the corpus's name.
    """
    expected = entry.splits if entry else {}
    try:
        paths = split_files(folder)
    except InputError as fault:
        return CorpusReport(name, folder, (), (str(fault),), ())
    files = tuple(_examine_file(split, path, expected, scheme, entity_type or name) for split, path in paths.items())
    missing = tuple(
        f"{split}.tsv is missing" for split in dict.fromkeys(["train", *expected, "test"]) if split not in paths
    )
    types = {kind for file in files for kind in file.entities}
    unexpected = tuple(sorted(types - set(entry.types))) if expected and entry else ()
    return CorpusReport(name, folder, files, missing, unexpected, tuple(unread_files(folder, paths)))


def _examine_file(
    split: str, path: Path, expected: Mapping[str, SplitFacts], scheme: str | None, entity_type: str
) -> FileReport:
    report = FileReport(split, path)
    try:
        lines = parse(path, entity_type)
        report.scheme = scheme_of(lines, scheme)
    except InputError as fault:
        report.faults, report.faults_in_all = [str(fault)], 1
        return report
    _describe(report, lines)
    for number, what in faults(lines, report.scheme):
        report.faults_in_all += 1
        if len(report.faults) < _FAULTS_SHOWN:
            report.faults.append(f"{path}:{number}: {what}")
    if not report.faults:
        read = sentences(lines, report.scheme)
        report.entities = Counter(tag[2:] for s in read for tag in s.tags if tag[0] == "B")
    if split in expected:
        _compare(report, expected[split])
    report.bare = lines.bare
    # A published file is as it was meant, whatever it looks like.
    if not report.published:
        report.suspicions = [f"{path}:{line}: {what}" for line, what in suspicions(lines)]
    return report


def suspicions(lines: Lines) -> Iterator[tuple[int, str]]:
    """Line and description of what spreadsheets, csv writers and concatenation do to corpora."""
    tokens = set(chain.from_iterable(lines.tokens))
    # Within a sentence only: a count may begin again with every sentence, or go on over the empty lines too.
    steps = [pair for s in lines.tokens for pair in pairwise(map(int, s))] if all(map(_is_count, tokens)) else []
    if len(steps) >= _ENOUGH // 2 and all(later == earlier + 1 for earlier, later in steps):
        yield lines.first[0], "the first column only counts; remove it, for tokens are read from the first column"
    if len(lines.tokens) >= _ENOUGH and all(len(sentence) == 1 for sentence in lines.tokens):
        yield lines.first[0], "every sentence is one token; remove the empty lines between the tokens of a sentence"
    for what, is_it in (
        ("a byte order mark in mid-file, as of files that were joined; remove it: {}", lambda t: "\ufeff" in t),
        (
            "quotes doubled by a csv writer; write tokens plain (csv.QUOTE_NONE): {}",
            _CSV_QUOTES.fullmatch,
        ),
    ):
        suspects = {token for token in tokens if is_it(token)}
        if suspects:
            line, token = next(
                (first + at, token)
                for sentence, first in zip(lines.tokens, lines.first, strict=True)
                for at, token in enumerate(sentence)
                if token in suspects
            )
            yield line, what.format(quote(token))


def _is_count(token: str) -> bool:
    # Python refuses to read numbers of more than 4,300 digits.
    return token.isascii() and token.isdecimal() and len(token) < 10


def _describe(report: FileReport, lines: Lines) -> None:
    tokens = Counter(chain.from_iterable(lines.tokens))
    report.sentences = len(lines.tokens)
    report.tokens = tokens.total()
    report.tags = Counter(chain.from_iterable(lines.tags))
    report.duplicates = report.sentences - len(set(lines.tokens))
    sentence, first = max(zip(lines.tokens, lines.first, strict=True), key=lambda pair: len(pair[0]))
    report.longest_sentence = (len(sentence), first)
    longest = max(tokens, key=len)
    places = zip(lines.tokens, lines.first, strict=True)
    report.longest_token = (len(longest), next(first + s.index(longest) for s, first in places if longest in s))
    for token, count in tokens.items():
        if not token.isascii():
            for character in token:
                if not character.isascii():
                    report.non_ascii[character] += count


def _compare(report: FileReport, facts: SplitFacts) -> None:
    if facts.sha256 is not None:
        report.published = digest_file(report.path) == facts.sha256
    report.differences = facts.differences(report.sentences, report.tokens, report.entities.total())


def describe(report: CorpusReport) -> Iterator[str]:
    """A report as lines of text, for people."""
    schemes = " and ".join(sorted({file.scheme for file in report.files if file.scheme})) or "unreadable"
    yield f"{report.name}  ({report.folder}, {schemes})"
    heads = (
        "",
        "sentences",
        "tokens",
        "entities",
        "duplicates",
        "longest sentence",
        "longest token",
        "non-ASCII",
        "file",
    )
    rows = [heads, *(_row(file) for file in report.files)] if report.files else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        first, *middle, last = row
        cells = [f"{cell:>{width}}" for cell, width in zip(middle, widths[1:-1], strict=True)]
        yield "  " + "  ".join([first.ljust(widths[0]), *cells, last]).rstrip()
    tags = sum((file.tags for file in report.files), Counter[str]())
    if tags:
        yield "  tags: " + ", ".join(f"{tag} {tags[tag]:,}" for tag in sorted(tags, key=lambda t: (t != "O", t[2:], t)))
    for kind in sorted({kind for file in report.files for kind in file.entities}):
        counts = ", ".join(f"{file.split} {file.entities[kind]:,}" for file in report.files)
        yield f"  entities of {kind}: {sum(file.entities[kind] for file in report.files):,} ({counts})"
    outside = sum((file.non_ascii for file in report.files), Counter[str]())
    if outside:
        most = ", ".join(f"{c!r} (U+{ord(c):04X}) {n:,}" for c, n in outside.most_common(_CHARACTERS_SHOWN))
        more = len(outside) - _CHARACTERS_SHOWN
        yield f"  characters outside ASCII: {most}" + (f" and {more:,} more kinds" if more > 0 else "")
    yield from (f"  MISSING: {what}" for what in report.missing)
    yield from (f"  DIFFERENT: entity type {kind!r} is not expected" for kind in report.unexpected)
    if bare := [file.path.name for file in report.files if file.bare]:
        kinds = ", ".join(sorted({kind for file in report.files for kind in file.entities}))
        yield f"  bare tags in {', '.join(bare)}: read as {kinds}; --entity_type names another type"
    if report.unread:
        yield f"  not read: {', '.join(report.unread)}; devel is called devel, dev, val, valid or validation"
    for file in report.files:
        yield from (f"  NOTICED: {suspicion}" for suspicion in file.suspicions)
        yield from (f"  DIFFERENT: {file.path.name}: {difference}" for difference in file.differences)
        yield from (f"  FAULT: {fault}" for fault in file.faults)
        if file.faults_in_all > len(file.faults):
            yield f"  FAULT: {file.path.name}: {file.faults_in_all - len(file.faults):,} more faults"


def _row(file: FileReport) -> tuple[str, ...]:
    state = {True: "as published", False: "not the published file", None: "no published checksum"}[file.published]
    return (
        file.split,
        f"{file.sentences:,}",
        f"{file.tokens:,}",
        f"{file.entities.total():,}",
        f"{file.duplicates:,}",
        "{:,} (line {:,})".format(*file.longest_sentence),
        "{:,} (line {:,})".format(*file.longest_token),
        f"{file.non_ascii.total():,}",
        "can't be read" if file.scheme is None else state,
    )
