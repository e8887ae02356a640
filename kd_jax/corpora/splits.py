"""The files of a corpus's folder: which is train, devel and test, and which only look like it."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from kd_jax.errors import InputError

SPLIT_STEMS = {
    "train": ("train",),
    "devel": ("devel", "dev", "valid", "validation", "val"),
    "test": ("test",),
}
SUFFIXES = (".tsv", ".txt", ".conll", ".iob")


def split_files(folder: Path) -> dict[str, Path]:
    """The file of each split in a folder, in the order train, devel, test; absent splits are left out.

    Raises:
        InputError: where there is no such folder, two files could be the same split, or a file's link leads nowhere.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder}: {'not a folder' if folder.exists() else 'no such folder'}; give a folder of a corpus"
        )
    files: dict[str, Path] = {}
    entries = _entries(folder)
    for split, stems in SPLIT_STEMS.items():
        paths = [path for stem in stems for suffix in SUFFIXES for path in entries if _is_called(path, stem, suffix)]
        if len(paths) > 1:
            raise InputError(f"{folder}: {paths[0].name} and {paths[1].name} both look like {split}; keep one of them")
        for path in paths:
            if path.is_symlink() and not path.exists():
                raise InputError(
                    f"{path}: is a link to {os.readlink(path)}, which is not there; get its content (git annex get,"
                    " git lfs pull), or remove the link"
                )
            files[split] = path
    return files


def unread_files(folder: Path, files: Mapping[str, Path]) -> list[str]:
    """Names of files that look like a split that is missing, but are called otherwise than `split_files` knows."""
    looks = {"train": "train", "devel": "dev|val", "test": "test"}
    missing = "|".join(look for split, look in looks.items() if split not in files)
    if not missing:
        return []
    others = (path.name for path in _entries(folder) if path not in files.values() and not path.is_dir())
    return [name for name in others if re.search(missing, name, re.IGNORECASE)]


def has_splits(folder: Path) -> bool:
    """Whether a folder holds a train, devel or test file."""
    stems = {stem for names in SPLIT_STEMS.values() for stem in names}
    return any(path.stem.lower() in stems and path.suffix.lower() in SUFFIXES for path in _entries(folder))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as fault:
        raise InputError(f"{folder}: can't be read: {fault.strerror or fault}") from None


def _is_called(path: Path, stem: str, suffix: str) -> bool:
    return (path.stem.lower(), path.suffix.lower()) == (stem, suffix)
