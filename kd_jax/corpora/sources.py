"""Where a copy of the collection can be read from: a folder, an archive, a mirror on the web, a git repository.

A source is asked for single files by folder and name and hands back their bytes; no path that it holds is ever used to
write, so nothing in it can reach outside the folder that is filled.
"""

import io
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO, Protocol
from urllib.parse import quote, urlsplit

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from kd_jax.corpora.registry import COLLECTION, COMMIT
from kd_jax.errors import InputError
from kd_jax.runtime.files import kind_of

LARGEST_FILE = 64 << 20  # the collection's largest holds 8 MB
PUBLISHED = f"{COLLECTION}/archive/{COMMIT}.zip"
_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, struct.error)
_TIMEOUT_S = 60
_CHUNK = 1 << 20


class Source(Protocol):
    """A copy of the collection."""

    def read(self, folder: str, name: str) -> bytes | None:
        """The bytes of a file of a corpus's folder; None where the copy has no such file.

        Raises:
            InputError: for a file that can't be read or is too large to be a corpus's.
        """
        ...


@contextmanager
def open_source(where: str, room: Path) -> Iterator[Source]:
    """A source by its place.

    Args:
        where: a folder; an archive (zip, tar, tar.gz, tar.bz2, tar.xz) or the URL of one; the URL of a git repository
            (ending .git, or a GitHub project); or the URL under which a mirror has the folders.
        room: a folder for downloads; an unfinished one stays there and is gone on with at the next call.

    Raises:
        InputError: for a place that is none of these, or can't be reached.
    """
    where = os.path.expanduser(where)
    try:
        address = urlsplit(where)
    except ValueError as fault:
        raise InputError(f"--from={where}: no URL ({fault}); give a folder, an archive, or a URL") from None
    project = address.netloc == "github.com" and len(PurePosixPath(address.path).parts) == 3
    if not where or where.startswith("-"):
        raise InputError(f"--from={where}: give a folder, an archive, or a URL")
    if address.path.endswith(".git") or where.startswith("git@") or project or address.scheme in {"ssh", "git"}:
        with _git_repository(where, room) as repository:
            yield repository
    elif address.scheme in {"http", "https"}:
        if address.path.endswith(_ARCHIVES):
            archive = room / PurePosixPath(address.path).name
            download(where, archive)
            try:
                with _archive(archive, where) as opened:
                    yield opened
            finally:
                archive.unlink(missing_ok=True)
        else:
            yield _Mirror(where)
    elif (kind := kind_of(Path(where))) == "folder":
        yield _Folder(Path(where))
    elif kind == "file":
        with _archive(Path(where), where) as opened:
            yield opened
    else:
        raise InputError(f"--from={where}: no such folder or archive, nor a URL that begins with http:// or https://")


def download(url: str, target: Path) -> None:
    """Fetch a file, going on where an earlier call broke off.

    Args:
        url: http or https.
        target: where it goes, once it is whole; until then it grows beside it.

    Raises:
        InputError: where it can't be had.
    """
    if target.exists():
        return
    partial = target.with_name(target.name + ".partial")
    start = partial.stat().st_size if partial.exists() else 0
    try:
        with _request(url, start) as answer:
            # A server that knows no ranges answers 200, with the whole file.
            resumed = answer.status == 206
            size = int(answer.headers.get("Content-Length") or 0) + (start if resumed else 0)
            with partial.open("ab" if resumed else "wb") as file:
                _copy(answer, file, target.name, size)
            if size and partial.stat().st_size != size:
                raise InputError(f"{url}: broke off; the same command goes on")
    except urllib.error.HTTPError as fault:
        fault.close()
        if fault.code == 416 and start:  # what is there is whole already, or of another file
            partial.unlink()
            download(url, target)
            return
        raise InputError(f"{url}: {fault.code} {fault.reason}") from None
    except (OSError, HTTPException) as fault:
        raise InputError(f"{url}: {_reason(fault)}; the same command goes on where it broke off") from None
    partial.replace(target)


def _reason(fault: Exception) -> object:
    reason = getattr(fault, "reason", fault)
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def _request(url: str, start: int = 0) -> HTTPResponse:
    headers = {"User-Agent": "kd_jax"} | ({"Range": f"bytes={start}-"} if start else {})
    return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)


def _copy(answer: IO[bytes], file: IO[bytes], name: str, size: int) -> None:
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task(name, total=size or None, completed=file.tell())
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            progress.advance(task, len(chunk))


class _Folder:
    def __init__(self, folder: Path):
        self._folder = folder

    def read(self, folder: str, name: str) -> bytes | None:
        for path in (self._folder / "data" / folder / name, self._folder / folder / name):
            if path.is_file():
                try:
                    with path.open("rb") as file:
                        return _bounded(file, str(path))
                except OSError as fault:
                    raise InputError(f"{path}: can't be read: {fault.strerror or fault}") from None
        return None


class _Mirror:
    def __init__(self, base: str):
        self._base = base.rstrip("/")
        self._prefixes = ["/data", ""]

    def read(self, folder: str, name: str) -> bytes | None:
        for prefix in self._prefixes:
            url = f"{self._base}{prefix}/{quote(folder)}/{quote(name)}"
            try:
                with _request(url) as answer:
                    data = _bounded(answer, url)
            except urllib.error.HTTPError as fault:
                fault.close()
                # 403 too: S3 answers so for what is not there, where listing is not allowed (GetObject in its API
                # reference).
                if fault.code in {403, 404, 410}:
                    continue
                raise InputError(f"{url}: {fault.code} {fault.reason}; run the same command again") from None
            except (OSError, HTTPException) as fault:
                raise InputError(f"{url}: {_reason(fault)}; run the same command again") from None
            # Where one file is, all are.
            self._prefixes = [prefix]
            return data
        return None


class _Members:
    """Files of an archive, all of which may be asked for."""

    def __init__(self, files: dict[tuple[str, str], bytes]):
        self._files = files

    def read(self, folder: str, name: str) -> bytes | None:
        return self._files.get((folder, name))


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, where: str):
        self._archive, self._where = archive, where
        self._members: dict[tuple[str, ...], zipfile.ZipInfo] = {}
        for member in sorted(archive.infolist(), key=lambda m: (-len(m.filename), m.filename)):
            self._members[PurePosixPath(member.filename).parts[-2:]] = member  # the least deep one stays

    def read(self, folder: str, name: str) -> bytes | None:
        member = self._members.get((folder, name))
        if member is None:
            return None
        with _unpacking(self._where), self._archive.open(member) as file:
            return _bounded(file, f"{self._where}: {member.filename}")


@contextmanager
def _archive(path: Path, where: str) -> Iterator[Source]:
    with _unpacking(where):
        packed = zipfile.ZipFile(path) if zipfile.is_zipfile(path) else None
    if packed is not None:
        with packed:
            yield _Zip(packed, where)
    else:
        yield _Members(_tar_members(path, where))


def _tar_members(path: Path, where: str) -> dict[tuple[str, str], bytes]:
    """Files that may be a corpus's, in one pass: a compressed tar can't be read in any order."""
    members: dict[tuple[str, str], tuple[int, bytes]] = {}
    with _unpacking(where), tarfile.open(path, "r|*") as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            if len(parts) < 2 or parts[-1] not in {"train.tsv", "devel.tsv", "test.tsv"} or not member.isreg():
                continue
            place = (parts[-2], parts[-1])
            file = archive.extractfile(member)
            if file is not None and (place not in members or len(parts) < members[place][0]):
                members[place] = (len(parts), _bounded(file, f"{where}: {member.name}"))
            # Members are held in memory, and a small archive can unpack to anything.
            if sum(len(data) for _, data in members.values()) > 16 * LARGEST_FILE:
                raise InputError(
                    f"{where}: holds more than {16 * LARGEST_FILE >> 30} GiB of corpora: not the collection"
                )
    return {place: data for place, (_, data) in members.items()}


@contextmanager
def _unpacking(where: str) -> Iterator[None]:
    """Whatever a damaged archive raises, as one line."""
    try:
        yield
    except (*_DAMAGED, OSError, RuntimeError, ValueError, LookupError) as fault:
        raise InputError(
            f"{where}: can't be read as zip or tar ({fault or type(fault).__name__}); get it anew"
        ) from None


def _bounded(file: IO[bytes], where: str) -> bytes:
    data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise InputError(f"{where}: larger than {LARGEST_FILE >> 20} MiB: not a file of the collection")
    return data


class _Repository:
    def __init__(self, folder: str):
        self._folder = folder

    def read(self, folder: str, name: str) -> bytes | None:
        for path in (f"data/{folder}/{name}", f"{folder}/{name}"):
            blob = f"FETCH_HEAD:{path}"
            size = _git("-C", self._folder, "cat-file", "-s", blob)
            if size.returncode == 0:
                if int(size.stdout) > LARGEST_FILE:
                    raise InputError(f"{path}: larger than {LARGEST_FILE >> 20} MiB: not a file of the collection")
                return _bounded(io.BytesIO(_git("-C", self._folder, "cat-file", "blob", blob).stdout), path)
        return None


@contextmanager
def _git_repository(url: str, room: Path) -> Iterator[Source]:
    for stale in room.glob("git-*"):  # of a call that was killed
        shutil.rmtree(stale, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=room, prefix="git-") as folder:
        made = _git("init", "--quiet", "--bare", folder)
        # git itself waits for ever for an answer: less than 1,000 bytes a second for a minute end it.
        fetch = ("-C", folder, "-c", "http.lowSpeedLimit=1000", "-c", f"http.lowSpeedTime={_TIMEOUT_S}", "fetch")
        for revision in (COMMIT, "HEAD"):  # a mirror may have the files under another commit: their sums decide
            made = _git(*fetch, "--quiet", "--depth=1", "--", url, revision)
            if made.returncode == 0:
                break
        else:
            reason = made.stderr.decode(errors="replace").strip().splitlines() or ["git fetch failed"]
            raise InputError(f"{url}: {reason[-1]}")
        yield _Repository(folder)


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    # A repository that wants a password is refused: nobody sees a prompt here.
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    command: Sequence[str] = ("git", *arguments)
    try:
        return subprocess.run(
            command, check=False, capture_output=True, stdin=subprocess.DEVNULL, env=os.environ | quiet
        )
    except FileNotFoundError:
        raise InputError("git is not installed; install it, or give --from an archive or a folder") from None
