"""Fetch the public collection: lay out its corpora, each file checked against its published size and SHA-256 sum."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from kd_jax.corpora.conll import faults, parse_bytes, scheme_of
from kd_jax.corpora.registry import Entry, SplitFacts, registry
from kd_jax.corpora.sources import PUBLISHED, Source, open_source
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.files import replace_file

SPLITS = ("train", "devel", "test")
FAILED = frozenset({"absent", "wrong", "kept"})


class Fetched(NamedTuple):
    """What became of one file.

    Attributes:
        entry: its corpus.
        path: where it belongs.
        state: "new" or "there"; "absent" from the source, "wrong" in the source and left there, or "kept" because a
            file that differs already has its name.
        note: more about it, for people.
    """

    entry: Entry
    path: Path
    state: str
    note: str = ""


def fetch(
    data_dir: Path, where: str | None = None, names: Sequence[str] | None = None, *, overwrite: bool = False
) -> Iterator[Fetched]:
    """Fill a folder with corpora of the collection; files that are there and right are not asked for again.

    Args:
        data_dir: made where it does not exist.
        where: as for `kd_jax.corpora.sources.open_source`; None means the published archive.
        names: of registered corpora, the paper's or the folders'; None means all that the source has.
        overwrite: whether a file that differs may be replaced.

    Yields:
        What became of each file, in order. A corpus without pinned sums is checked by its counts.

    Raises:
        InputError: for an unknown name, a source that can't be read, or a folder that can't be written.
    """
    entries = list(registry().values()) if names is None else [_entry(name) for name in names]
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(f"{data_dir}: can't be made: {fault.strerror}; give a folder with --data_dir") from None
    room = data_dir / ".fetch"
    with ExitStack() as opened:
        source: Source | None = None
        for entry in entries:
            for split in SPLITS:
                path = _inside(data_dir, data_dir / entry.folders[0] / f"{split}.tsv")
                facts = entry.splits.get(split)
                if _is_right(path, facts):
                    yield Fetched(entry, path, "there")
                    continue
                if source is None:
                    room.mkdir(exist_ok=True)
                    opened.callback(_remove_if_empty, room)
                    source = opened.enter_context(open_source(where or PUBLISHED, room))
                data = _read(source, entry, path.name)
                yield _lay_out(entry, path, data, facts, overwrite)


def _entry(name: str) -> Entry:
    for entry in registry().values():
        if name == entry.name or name in entry.folders:
            return entry
    raise InputError(f"no corpus {name!r} in the collection; {nearest(name, registry())}")


def _inside(data_dir: Path, path: Path) -> Path:
    # A link to another folder would have files replaced there.
    if not path.parent.resolve().is_relative_to(data_dir.resolve()):
        raise InputError(f"{path.parent}: leads out of {data_dir}; remove that link, or give another --data_dir")
    return path


def _is_right(path: Path, facts: SplitFacts | None) -> bool:
    try:
        return path.is_file() and _fault(path.read_bytes(), path, facts) is None
    except OSError as fault:
        raise InputError(f"{path}: can't be read: {fault.strerror or fault}") from None


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _read(source: Source, entry: Entry, name: str) -> bytes | None:
    return next((data for folder in entry.folders if (data := source.read(folder, name)) is not None), None)


def _lay_out(entry: Entry, path: Path, data: bytes | None, facts: SplitFacts | None, overwrite: bool) -> Fetched:
    if data is None:
        return Fetched(entry, path, "absent")
    if fault := _fault(data, path, facts):
        return Fetched(entry, path, "wrong", fault)
    if path.exists() and not overwrite:
        return Fetched(entry, path, "kept", "differs from the published file; --overwrite replaces it")
    replace_file(path, data)
    pinned = facts is not None and facts.sha256 is not None
    return Fetched(entry, path, "new", "" if pinned else "checked by its counts: no sum is published for it")


def _fault(data: bytes, path: Path, facts: SplitFacts | None) -> str | None:
    """How content for a file differs from the published one; None where it is right."""
    if facts is not None and facts.sha256 is not None:
        sha256 = hashlib.sha256(data).hexdigest()
        if (len(data), sha256) == (facts.bytes, facts.sha256):
            return None
        return f"{len(data):,} bytes with SHA-256 {sha256}; published are {facts.bytes:,} with {facts.sha256}"
    try:
        lines = parse_bytes(data, Path(path.name))
    except InputError as refusal:
        return str(refusal)
    for number, fault in faults(lines, scheme_of(lines)):
        return f"{path.name}:{number}: {fault}"
    tags = Counter(tag[0] for tags in lines.tags for tag in tags)
    return "; ".join(facts.differences(len(lines.tags), tags.total(), tags["B"])) or None if facts else None
