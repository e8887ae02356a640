"""Fetching the collection: from every kind of source, resumed, verified, and never outside or over anything."""

import hashlib
import os
import subprocess
import tarfile
import threading
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import kd_jax.corpora.fetch as fetching
from kd_jax.corpora import sources
from kd_jax.corpora.fetch import fetch
from kd_jax.corpora.registry import Entry, SplitFacts
from kd_jax.errors import InputError

SPLITS = ("train", "devel", "test")
FILES = {
    (folder, split): "".join(f"{folder}{split}{i}\tB-X\n\n" for i in range(50)).encode()
    for folder in ("One-IOB", "Two-IOB", "BC4CHEMD")
    for split in SPLITS
}


def facts(folder: str, split: str) -> SplitFacts:
    data = FILES[folder, split]
    pinned = (folder, split) != ("Two-IOB", "train")
    return SplitFacts(50, 50, 50, *((len(data), hashlib.sha256(data).hexdigest()) if pinned else ()))


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """A registry of three corpora: Two's train has no sum, BC4CHEMD no facts at all."""
    entries = {
        name: Entry(name, (f"{name}-IOB", name), ("X",), {s: facts(f"{name}-IOB", s) for s in SPLITS})
        for name in ("One", "Two")
    } | {"BC4CHEMD": Entry("BC4CHEMD", ("BC4CHEMD",), ("X",), {})}
    monkeypatch.setattr(fetching, "registry", lambda: entries)
    return entries


def put(root: Path, files: dict[tuple[str, str], bytes] = FILES) -> Path:
    for (folder, split), data in files.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / f"{split}.tsv").write_bytes(data)
    return root


def states(*arguments, **options) -> Counter[str]:
    return Counter(result.state for result in fetch(*arguments, **options))


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


WHOLE = {f"{folder}/{split}.tsv": data for (folder, split), data in FILES.items()}


def as_folder(tmp_path: Path) -> str:
    put(tmp_path / "copy")
    return str(tmp_path / "copy")


def as_clone(tmp_path: Path) -> str:
    put(tmp_path / "clone" / "data")
    return str(tmp_path / "clone")


def as_zip(tmp_path: Path) -> str:
    put(tmp_path / "zipped" / "MTL-1" / "data")
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((tmp_path / "zipped").rglob("*")):
            archive.write(path, path.relative_to(tmp_path / "zipped"))
    return str(tmp_path / "c.zip")


def as_tar(tmp_path: Path, suffix: str = ".tar.gz") -> str:
    put(tmp_path / "tarred" / "data")
    with tarfile.open(tmp_path / f"c{suffix}", "w:" + suffix.removeprefix(".tar").removeprefix(".")) as archive:
        archive.add(tmp_path / "tarred", "MTL-1")
    return str(tmp_path / f"c{suffix}")


def as_git(tmp_path: Path) -> str:
    repository = put(tmp_path / "project" / "data").parent
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(repository)]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "project").rename(tmp_path / "project.git")
    return str(tmp_path / "project.git")


@pytest.mark.parametrize("source", [as_folder, as_clone, as_zip, as_tar, lambda p: as_tar(p, ".tar"), as_git])
def test_every_source_gives_the_same_files(tmp_path, source):
    where = source(tmp_path)
    assert states(tmp_path / "into", where) == {"new": 9}
    assert tree(tmp_path / "into") == WHOLE
    assert states(tmp_path / "into", "nowhere at all: not asked for") == {"there": 9}
    assert {path.name for path in (tmp_path / "into").iterdir()} == {"One-IOB", "Two-IOB", "BC4CHEMD"}


def test_a_source_in_the_home_folder(tmp_path, monkeypatch):
    as_folder(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert states(tmp_path / "into", "~/copy") == {"new": 9}


class Server(ThreadingHTTPServer):
    """Serves a folder, with ranges; may break off after some bytes, and counts what it sent."""

    def __init__(self, root: Path):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.break_after, self.ranges, self.sent, self.asked = root, None, True, 0, []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        path = self.server.root / self.path.lstrip("/")
        self.server.asked.append(self.path)
        if not path.is_file():
            self.send_error(404)
            return
        data, wanted = path.read_bytes(), self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(data) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start : None if self.server.break_after is None else start + self.server.break_after]
        self.server.sent += len(body)
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    served = Server(tmp_path / "served")
    thread = threading.Thread(target=served.serve_forever)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()
    thread.join()


@pytest.mark.parametrize("prefix", ["", "data"])
def test_a_mirror_is_asked_file_by_file(tmp_path, server, prefix):
    put(server.root / prefix)
    assert states(tmp_path / "into", server.url + "/", ["One"]) == {"new": 3}
    assert len(server.asked) == (3 if prefix else 4)  # the other place is tried once
    assert states(tmp_path / "into", server.url) == {"there": 3, "new": 6}
    assert tree(tmp_path / "into") == WHOLE


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke_off(tmp_path, server, ranges):
    archive = Path(as_zip(tmp_path))
    archive.rename(server.root / "c.zip")
    size = (server.root / "c.zip").stat().st_size
    server.ranges, server.break_after = ranges, size - 1000
    with pytest.raises(InputError, match=r"c\.zip: .*the same command goes on"):
        states(tmp_path / "into", f"{server.url}/c.zip")
    server.break_after = None
    assert states(tmp_path / "into", f"{server.url}/c.zip") == {"new": 9}
    assert server.sent == (size if ranges else 2 * size - 1000)
    assert tree(tmp_path / "into") == WHOLE


def test_a_whole_download_under_the_unfinished_name_is_fetched_anew(tmp_path, server):
    Path(as_zip(tmp_path)).rename(server.root / "c.zip")
    (tmp_path / "into" / ".fetch").mkdir(parents=True)
    (tmp_path / "into" / ".fetch" / "c.zip.partial").write_bytes(b"x" * 10**6)
    assert states(tmp_path / "into", f"{server.url}/c.zip") == {"new": 9}
    assert tree(tmp_path / "into") == WHOLE


def test_a_damaged_download_is_not_kept(tmp_path, server):
    (server.root / "c.zip").write_bytes(b"no archive")
    for _ in range(2):
        with pytest.raises(InputError, match="can't be read as zip or tar"):
            states(tmp_path / "into", f"{server.url}/c.zip")
        assert tree(tmp_path / "into") == {}


def test_what_the_web_refuses_is_said(tmp_path, server):
    for where in ("/absent.zip", "/absent.git"):
        with pytest.raises(InputError, match=f"{where}: "):
            states(tmp_path / "into", server.url + where)
    assert states(tmp_path / "into", server.url, ["One"]) == {"absent": 3}
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError, match="refused"):
        states(tmp_path / "into", server.url)


def test_a_file_with_another_sum_is_not_laid_out(tmp_path):
    source = put(tmp_path / "copy")
    same_size = bytearray(FILES["One-IOB", "test"])
    same_size[0] ^= 1
    (source / "One-IOB" / "test.tsv").write_bytes(same_size)
    (source / "Two-IOB" / "train.tsv").write_bytes(FILES["Two-IOB", "train"] + b"more\tO\n")  # by its counts
    (source / "BC4CHEMD" / "devel.tsv").write_bytes(b"not a corpus\n")
    found = list(fetch(tmp_path / "into", str(source)))
    wrong = {f"{f.path.parent.name}/{f.path.name}": f.note for f in found if f.state == "wrong"}
    assert set(wrong) == {"One-IOB/test.tsv", "Two-IOB/train.tsv", "BC4CHEMD/devel.tsv"}
    assert "SHA-256" in wrong["One-IOB/test.tsv"]
    assert "51 tokens, expected 50" in wrong["Two-IOB/train.tsv"]
    assert wrong["BC4CHEMD/devel.tsv"].startswith("devel.tsv:1: ")
    assert tree(tmp_path / "into") == {name: data for name, data in WHOLE.items() if name not in wrong}


def test_a_differing_file_is_kept_unless_asked(tmp_path):
    source, into = as_folder(tmp_path), put(tmp_path / "into")
    (into / "One-IOB" / "train.tsv").write_text("my own work\tO\n")
    assert states(into, source) == {"there": 8, "kept": 1}
    assert (into / "One-IOB" / "train.tsv").read_text() == "my own work\tO\n"
    assert states(into, source, overwrite=True) == {"there": 8, "new": 1}
    assert tree(into) == WHOLE


def test_nothing_is_written_outside(tmp_path):
    """Archives whose names climb out, and a folder that is a link to elsewhere."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        for (folder, split), data in FILES.items():
            archive.writestr(f"../../../{folder}/{split}.tsv", data)
            archive.writestr(f"/tmp/evil/{folder}/{split}.tsv.sh", b"evil")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        link = tarfile.TarInfo("data/One-IOB")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        archive.addfile(link)
        linked = tarfile.TarInfo("data/One-IOB/train.tsv")
        linked.type, linked.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(linked)
    (tmp_path / "elsewhere").mkdir()
    before = set(tmp_path.iterdir())
    assert states(tmp_path / "into", str(tmp_path / "evil.zip")) == {"new": 9}
    assert tree(tmp_path / "into") == WHOLE
    assert states(tmp_path / "into2", str(tmp_path / "evil.tar"), ["One"]) == {"absent": 3}
    (tmp_path / "into3").mkdir()
    (tmp_path / "into3" / "One-IOB").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="leads out of"):
        states(tmp_path / "into3", str(tmp_path / "evil.zip"))
    assert not list((tmp_path / "elsewhere").iterdir())
    assert set(tmp_path.iterdir()) - before == {tmp_path / name for name in ("into", "into2", "into3")}


def test_a_huge_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_FILE", 100)
    for source in (as_folder, as_zip, as_tar, as_git):
        with pytest.raises(InputError, match="larger than"):
            states(tmp_path / "into", source(tmp_path))


@pytest.mark.parametrize("cut", [1, 50, 400, -400, -30, -1])
@pytest.mark.parametrize("source", [as_zip, as_tar])
def test_a_broken_archive_is_refused_or_right(tmp_path, source, cut):
    where = Path(source(tmp_path))
    where.write_bytes(where.read_bytes()[:cut])
    try:
        states(tmp_path / "into", str(where))
    except InputError as fault:
        assert str(fault).startswith(str(where))  # noqa: PT017
    assert tree(tmp_path / "into").items() <= WHOLE.items()


@pytest.mark.parametrize(
    ("where", "names", "words"),
    [
        ("nowhere", None, "--from=nowhere: no such folder or archive"),
        ("http://[x", None, "--from=http://.x: no URL"),
        ("--upload-pack=evil", None, "give a folder, an archive, or a URL"),
        ("ftp://host/file.zip", None, "no such folder or archive, nor a URL"),
        (None, ["Onne"], "no corpus 'Onne' in the collection; did you mean 'One'"),
    ],
)
def test_a_wrong_request_is_answered(tmp_path, where, names, words):
    with pytest.raises(InputError, match=words):
        states(tmp_path / "into", where, names)


def test_a_folder_that_cannot_be_written(tmp_path):
    source = as_folder(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: can't be made"):
        states(tmp_path / "file", source)
    into = tmp_path / "into"
    into.mkdir()
    (into / "One-IOB").touch()
    with pytest.raises(InputError, match=r"One-IOB/train\.tsv: can't be written"):
        states(into, source)
    assert os.listdir(into) == ["One-IOB"]
