"""The paper's 15 corpora: names, folders, entity types, expected counts and checksums; and finding corpora in a folder.

The facts are in registry.toml beside this file. They were counted from the files of the public collection
cambridgeltl/MTL-Bioinformatics-2016 (Crichton et al. 2017); BC4CHEMD's are not known
here, for its files may not be passed on.
"""

import hashlib
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from kd_jax.corpora.conll import read_corpus
from kd_jax.corpora.notation import by_corpus
from kd_jax.corpora.splits import has_splits, split_files, unread_files
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.files import kind_of
from kd_jax.structs import Corpus

COLLECTION = "https://github.com/cambridgeltl/MTL-Bioinformatics-2016"
COMMIT = "df0df02fae6dbb87d88ffcf323b9096528f06f84"


@dataclass(frozen=True)
class SplitFacts:
    """What a registered file holds.

    Attributes:
        sentences: count; marks of documents are none.
        tokens: count.
        entities: count.
        bytes: size of the file; None where no sum is pinned.
        sha256: of the file, in hex; None where no sum is pinned.
    """

    sentences: int
    tokens: int
    entities: int
    bytes: int | None = None
    sha256: str | None = None

    def differences(self, sentences: int, tokens: int, entities: int) -> list[str]:
        """How counts differ from these; where no sum is pinned, 1 % of the sentence breaks may."""
        # The counts of a file without a sum, JNLPBA's train.tsv, are of a rebuilt one (registry.toml).
        slack = self.sentences // 100 if self.sha256 is None else 0
        return [
            f"{counted:,} {what}, expected {wanted:,}"
            for what, counted, wanted, allowed in (
                ("sentences", sentences, self.sentences, slack),
                ("tokens", tokens, self.tokens, 0),
                ("entities", entities, self.entities, 0),
            )
            if abs(counted - wanted) > allowed
        ]


@dataclass(frozen=True)
class Entry:
    """One registered corpus.

    Attributes:
        name: the paper's.
        folders: names its folder may have, the collection's first.
        types: entity types, in alphabetical order.
        splits: facts of train, devel and test; empty where none are known.
    """

    name: str
    folders: tuple[str, ...]
    types: tuple[str, ...]
    splits: Mapping[str, SplitFacts]


@cache
def registry() -> dict[str, Entry]:
    """The 15 corpora by name, in the paper's order."""
    facts = tomllib.loads((Path(__file__).parent / "registry.toml").read_text("utf-8"))
    return {
        corpus["name"]: Entry(
            corpus["name"],
            tuple(corpus["folders"]),
            tuple(corpus["types"]),
            {split: SplitFacts(**split_facts) for split, split_facts in corpus.get("splits", {}).items()},
        )
        for corpus in facts["corpus"]
    }


def warn(line: str) -> None:
    """A line on standard error."""
    print(line, file=sys.stderr)


def load(
    data_dir: Path,
    names: Sequence[str] | None = None,
    scheme: str | None = None,
    entity_type: str | None = None,
    say: Callable[[str], object] = warn,
) -> list[Corpus]:
    """Corpora of a folder.

    Args:
        data_dir: a folder with one folder a corpus.
        names: of corpora, the paper's or their folders'; None means all that are there.
        scheme: as for `kd_jax.corpora.conll.read_split`, of all or, as CORPUS:SCHEME,..., of some.
        entity_type: of bare tags B, I, ..., in the same way; None for what `type_of_bare_tags` says.
        say: called with a line about each thing that is not read though it may have been meant.

    Returns:
        In the order of `names`; without names the registered ones in the paper's order, then others by alphabet.

    Raises:
        InputError: for a name that is unknown, absent or given twice, or a fault in a file.
    """
    folders = find(data_dir, names, say)
    schemes, types = by_corpus("--scheme", scheme, folders), by_corpus("--entity_type", entity_type, folders)
    corpora = []
    for name, folder in folders.items():
        corpora.append(read_corpus(folder, name, schemes.get(name), types.get(name) or type_of_bare_tags(name)))
        if alike := unread_files(folder, split_files(folder)):
            say(f"{folder}: {', '.join(alike)}: not read; devel is called devel, dev, val, valid or validation")
    return corpora


def type_of_bare_tags(name: str) -> str:
    """The type that a corpus's bare tags B, I, ... are read as: its only one where it is registered, or its name."""
    types = registry()[name].types if name in registry() else ()
    return types[0] if len(types) == 1 else name


def find(data_dir: Path, names: Sequence[str] | None = None, say: Callable[[str], object] = str) -> dict[str, Path]:
    """Folders of corpora by the corpora's names; arguments, order and errors as for `load`.

    The collection's second notations (-IOBES) and single-type extracts (BC5CDR-chem-IOB) of a registered corpus are
    found by their folder's name only.
    """
    folders, unreadable = _corpus_folders(data_dir)
    if names is None:
        registered = {entry.name: folder for entry in registry().values() if (folder := _folder_of(entry, folders))}
        spoken_for = {name for entry in registry().values() for name in entry.folders}
        variants = {name: of for name in folders if name not in spoken_for and (of := _variant_of(name))}
        others = {name: path for name, path in folders.items() if name not in {*spoken_for, *variants}}
        notes = [f"{data_dir / name}: can't be read ({reason})" for name, reason in unreadable.items()]
        if variants:
            originals = dict.fromkeys(entry.name for entry in variants.values())
            notes.append(
                f"{', '.join(variants)}: other notations or extracts of {', '.join(originals)}, read only where named"
                f" (--datasets={next(iter(variants))})"
            )
        if not registered and not others:
            raise InputError(f"{data_dir}: {'; '.join([_no_corpus(data_dir), *notes])}")
        for note in notes:
            say(f"not read: {note}")
        return registered | others
    if not names:
        raise InputError("no corpus is named; name some, such as NCBI,ExPTM")
    chosen: dict[str, Path] = {}
    for given in names:
        if given in unreadable:
            raise InputError(f"{data_dir / given}: can't be read: {unreadable[given]}")
        name, folder = _resolve(given, folders, data_dir)
        if name in chosen:
            raise InputError(f"corpus {name!r} is named twice; name it once")
        chosen[name] = folder
    return chosen


def corpus_hash(corpus: Corpus) -> str:
    """SHA-256 over the tokens and tags of all splits, in hex; the corpus's name does not count."""
    total = hashlib.sha256()
    for split in sorted(corpus.splits):
        total.update(f"\f{split}\n".encode())
        for sentence in corpus.splits[split]:
            lines = zip(sentence.tokens, sentence.tags, strict=True)
            total.update(("\n".join(map("\t".join, lines)) + "\n\n").encode("utf-8", "surrogatepass"))
    return total.hexdigest()


def _corpus_folders(data_dir: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Folders with a train, devel or test file by name, and reasons by name why others can't be looked into."""
    try:
        if (kind := kind_of(data_dir)) != "folder":
            why = "is not a folder" if kind else "no such folder"
            raise InputError(f"{data_dir}: {why}; give a folder that holds one folder a corpus")
        inside = [path for path in sorted(data_dir.iterdir()) if path.is_dir()]
    except OSError as fault:
        raise InputError(f"{data_dir}: can't be read: {fault.strerror or fault}") from None
    folders: dict[str, Path] = {}
    unreadable: dict[str, str] = {}
    for path in inside:
        try:
            os.scandir(path).close()
            if has_splits(path):
                folders[path.name] = path
        except OSError as fault:
            unreadable[path.name] = fault.strerror or str(fault)
    return folders, unreadable


def _folder_of(entry: Entry, folders: Mapping[str, Path]) -> Path | None:
    return next((folders[name] for name in entry.folders if name in folders), None)


def _variant_of(folder: str) -> Entry | None:
    """The registered corpus of which a folder is the collection's other notation or extract."""
    stem = re.fullmatch(r"(.+?)(-IOB|-IOBES)", folder)
    if not stem or any(folder in entry.folders for entry in registry().values()):
        return None
    return next(
        (
            e
            for e in registry().values()
            for name in e.folders
            # BC5CDR-IOBES and BC5CDR-chem-IOB both begin with BC5CDR-.
            if f"{stem[1]}-".startswith(name.removesuffix("-IOB") + "-")
        ),
        None,
    )


def _resolve(given: str, folders: Mapping[str, Path], data_dir: Path) -> tuple[str, Path]:
    entry = next((e for e in registry().values() if given == e.name or given in e.folders), None)
    if given == "JNLPBA-IOBES":
        raise InputError("JNLPBA-IOBES is mis-split in the collection; use JNLPBA, its other notation")
    if entry is None:
        if given in folders:
            return given, folders[given]
        if given in {path.name for path in data_dir.iterdir() if path.is_dir()}:
            raise InputError(f"{data_dir / given}: holds no train, devel or test file, so it is no corpus")
        raise InputError(f"{data_dir}: no corpus {given!r}; {nearest(given, {*folders, *registry()})}")
    folder = folders[given] if given in folders and given in entry.folders else _folder_of(entry, folders)
    if folder is not None:
        return entry.name, folder
    if entry.name == "BC4CHEMD":
        how = (
            "kd_jax does not pass its files on; fetch them from the collection cambridgeltl/MTL-Bioinformatics-2016"
            f" yourself: copy its folder data/BC4CHEMD ({COLLECTION}), or run:"
            f" python -m kd_jax.corpora fetch --data_dir={data_dir} --datasets=BC4CHEMD"
        )
    else:
        how = f"get it with: python -m kd_jax.corpora fetch --data_dir={data_dir}"
    raise InputError(f"{data_dir / entry.folders[0]}: missing, the folder of corpus {entry.name}; {how}")


def _no_corpus(data_dir: Path) -> str:
    if has_splits(data_dir):
        return f"is itself a corpus; give the folder above it ({data_dir.resolve().parent})"
    inner = data_dir / "data"
    if inner.is_dir() and _corpus_folders(inner)[0]:
        return f"holds no corpus, but {inner} does; give that"
    return "holds no corpus (a folder with train.tsv and test.tsv)"
