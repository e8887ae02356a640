"""Files and folders that are there whole or not at all, and hashes that say what they were made from."""

import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import stat
import sys
import time
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from kd_jax.errors import InputError, brief

DAMAGED_ARRAYS = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError, RuntimeError, MemoryError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)
"""What numpy raises where it reads a damaged .npy or .npz."""
LOCK = ".kd_jax.lock"


_MARK = "kd_jax.partial"  # how the names end of what is still being written; nobody else's do


def _partial(path: Path) -> Path:
    """A name beside a path that is free, ours, and short however long the path's own is."""
    of = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]
    return path.with_name(f".{of}.{os.getpid()}.{_MARK}")


@contextmanager
def whole_folder(path: Path, ours: Sequence[str] = ()) -> Iterator[Path]:
    """A folder to fill, moved to its name once it is full, or removed if that fails.

    Args:
        path: where it goes; a link to a folder stays, and what it leads to is replaced.
        ours: patterns of the names that we write into such a folder. Where the folder already exists these are
            replaced, and whatever else a user put there stays.

    Yields:
        A fresh folder beside it.

    Raises:
        InputError: where the disk refuses, or the path is no folder of ours.
    """
    with _refusals(path):
        target = Path(os.path.realpath(path))
        partial = _partial(target)
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            yield partial
            if target.is_dir():
                _put_over(target, partial, ours)
            else:
                partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _put_over(target: Path, made: Path, ours: Sequence[str]) -> None:
    """Move a folder over another one; what is not ours there goes on standing there."""
    theirs = [entry.name for entry in target.iterdir() if not any(map(entry.match, ours))]
    shutil.copymode(target, made)
    # Until what is not ours has been moved it must not lie under a name that `clear_partial` removes.
    old = made.with_name(f"{made.name}.replaced")
    target.rename(old)
    made.rename(target)
    for name in theirs:
        if not os.path.lexists(target / name):
            (old / name).rename(target / name)
    old.rename(made)


def remove_ours(folder: Path, ours: Sequence[str]) -> None:
    """Remove what we wrote into a folder, and the folder where nothing else is in it.

    Args:
        folder: the folder.
        ours: patterns of the names that we write there.

    Raises:
        InputError: where the disk refuses.
    """
    with _refusals(folder):
        for entry in [*folder.iterdir()]:
            if any(map(entry.match, ours)) and (entry.is_file() or entry.is_symlink()):
                entry.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file as `replacing` does.

    Args:
        path: where it goes; missing folders are made.
        content: all of it.

    Raises:
        InputError: where it can't be written.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to fill, moved into place once it is whole; an older file stays where that fails.

    A link stays and what it leads to is written; a file that is written over keeps its owner, mode and attributes.
    Devices and pipes are written into.

    Args:
        path: where it goes; missing folders are made.

    Raises:
        InputError: where it can't be written, is a folder, or is protected against writing.
    """
    with _refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        target = Path(os.path.realpath(path))
        try:
            before: os.stat_result | None = path.stat()
        except FileNotFoundError:
            before = None
        if before is not None and _is_stream(path, before):
            with path.open("wb") as file:
                yield file
            return
        if before is not None and not (before.st_mode & 0o222 and os.access(target, os.W_OK)):
            # A file that its mode lets be written is another user's, on a read-only mount, or has an attribute.
            how = "see who may (ls -l, mount, lsattr)" if before.st_mode & 0o222 else "allow it (chmod u+w)"
            raise InputError(f"{path}: is protected against writing; name another place, or {how}")
        partial = _partial(target)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if before is None or _given_to(partial, target, before):
                partial.replace(target)
            else:  # owned by somebody whom we can't give files to
                with partial.open("rb") as whole, target.open("wb") as file:
                    shutil.copyfileobj(whole, file)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    """What the system refuses, as an `InputError`."""
    try:
        yield
    except OSError as fault:
        raise InputError(f"{path}: can't be written: {fault.strerror or fault}") from None


def _is_stream(path: Path, status: os.stat_result) -> bool:
    """Whether a path is a device, a pipe, or one of the process's own open files."""
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return not stat.S_ISREG(status.st_mode) or path.absolute().parts[1:2] in {("dev",), ("proc",)}


def _given_to(partial: Path, target: Path, before: os.stat_result) -> bool:
    """Give a file the owner, mode and attributes of another; False where its owner can't be given."""
    made = partial.stat()
    if (made.st_uid, made.st_gid) != (before.st_uid, before.st_gid):
        try:
            os.chown(partial, before.st_uid, before.st_gid)
        except PermissionError:
            return False
    with suppress(OSError):
        for name in os.listxattr(target):
            os.setxattr(partial, name, os.getxattr(target, name))
    partial.chmod(stat.S_IMODE(before.st_mode))
    return True


def clear_partial(folder: Path) -> None:
    """Remove what writers that were killed left behind; only for who has the folder to itself.

    What lies below it in a folder that another process has locked is that one's, and stays.
    """
    in_use = [lock.parent for lock in folder.rglob(LOCK) if lock.parent != folder and _is_held(lock)]
    for path in [*folder.rglob(f".*.{_MARK}")]:
        if any(path.is_relative_to(place) for place in in_use):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _is_held(lock: Path) -> bool:
    """Whether a process has the folder of a lock's file."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no file, or no locks
        return False
    return False


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A folder that no second process works in; the lock goes with the process, however that ends.

    Where the file system has no locks this is said, and nothing is locked.

    Args:
        folder: an existing folder.

    Raises:
        InputError: where another process has it, by name, or the lock's file can't be opened.
    """
    path = folder / LOCK
    try:
        opened = path.open("a+", encoding="utf-8")
    except OSError as fault:
        raise InputError(f"{path}: can't be written: {fault.strerror or fault}") from None
    with opened as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InputError(f"{folder}: in use by {holder}; wait for it, or name another --workdir") from None
        except OSError as fault:
            print(
                f"{folder}: this file system has no locks ({fault.strerror or fault}); see that no second run uses it",
                file=sys.stderr,
            )
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


def check_readable(folder: Path) -> None:
    """Refuse a folder with a file that may not be read, which is another thing than a damaged one.

    Raises:
        InputError: naming the first.
    """
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file():
                with path.open("rb"):
                    pass
        except PermissionError as fault:
            raise InputError(f"{path}: can't be read: {fault.strerror}; ask its owner, or chmod u+r") from None


def name_part(text: str) -> str:
    """A text as a part of a file's name: what is neither a letter, a digit nor one of . + = - becomes "-".

    Two texts can have one such name ("SM a" and "SM-a"); who names files after texts of users refuses that.
    """
    return re.sub(r"[^\w.+=-]+", "-", text)


def read_json(path: Path) -> Any:
    """What a file says in JSON, with or without the byte order mark that editors write.

    Raises:
        OSError: it can't be read.
        ValueError: it isn't JSON.
    """
    return json.loads(path.read_bytes())


def json_object(line: str, where: str, like: str) -> dict[str, Any]:
    """The object that a line of JSONL holds.

    Args:
        line: with or without its end.
        where: file and line, for messages.
        like: an object as it should be, for messages.

    Raises:
        InputError: for what is no JSON, or no object.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as fault:
        raise InputError(f"{where}: no JSON ({brief(fault)}); write an object a line, such as {like}") from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: no object; write one a line, such as {like}")
    return content


def digest(value: Any) -> str:
    """SHA-256 of a value of plain JSON types, in hex."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
