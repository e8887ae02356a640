"""Files and folders that are there whole or not at all, and hashes that say what they were made from."""

import fcntl
import hashlib
import json
import os
import platform
import shlex
import shutil
import stat
import sys
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from kd_jax.errors import InputError

DAMAGED_ARRAYS = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError, RuntimeError, MemoryError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy raises where it reads a damaged .npy or .npz."""


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, moved to its name once it is full, or removed if that fails.

    Args:
        path: where it goes; what stands there is replaced.

    Yields:
        A fresh folder beside it.

    Raises:
        InputError: where the disk refuses.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
    except OSError as fault:
        raise InputError(f"{path}: can't be written: {fault.strerror or fault}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file under a temporary name in its folder, sync it, and move it into place.

    Args:
        path: where it goes; missing folders are made.
        content: all of it.

    Raises:
        InputError: where the folder can't be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as fault:
        raise InputError(f"{path}: can't be written: {fault.strerror}") from None


def clear_partial(folder: Path) -> None:
    """Remove what writers that were killed left behind; only for who has the folder to itself."""
    for path in [*folder.rglob(".*.partial")]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder that no second process works in; the lock goes with the process, however that ends.

    Args:
        folder: an existing folder.

    Raises:
        InputError: where another process has it, by name.
    """
    with (folder / ".lock").open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(f"{folder}: in use by {holder}; wait for it, or name another --workdir") from None
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} on {platform.node()} since {since}, {shlex.join(sys.argv)}")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def kind_of(path: Path) -> Literal["file", "folder", "other"] | None:
    """What a path leads to, links followed; None where nothing is there.

    From Python 3.14 on `Path.is_dir` and its like say False also where the system refuses to tell (a name too long, a
    folder that may not be searched), so that such a path would be called missing; before, they raise an OSError.

    Raises:
        InputError: where the system refuses to tell.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as fault:
        raise InputError(f"{path}: can't be read: {fault.strerror or fault}") from None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def digest(value: Any) -> str:
    """SHA-256 of a value of plain JSON types, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
