"""Files that are there whole or not at all, on disks that are really full, cut short or read-only; one at a time."""

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.full_disk import fill
from rich.console import Console

from kd_jax.distill import store
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.runtime import files
from kd_jax.runtime.files import (
    clear_partial,
    kind_of,
    locked,
    remove_ours,
    replace_file,
    replacing,
    whole_folder,
)
from kd_jax.runtime.progress import ProgressMeter
from kd_jax.structs import Outputs
from kd_jax.sweep.runner import open_workdir

HOLDER = "import sys; from pathlib import Path; from kd_jax.runtime.files import locked\n" + textwrap.dedent("""
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
""")


def test_a_path_is_told_by_what_it_leads_to(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    told = {
        name: kind_of(tmp_path / name) for name in ("file", "link", "dangling", "pipe", "file/inside", "absent", ".")
    }
    assert list(told.values()) == ["file", "file", None, "other", None, None, "folder"]
    for name, reason in (("loop", "Too many levels"), ("x" * 300, "File name too long")):
        with pytest.raises(InputError, match=f"can't be read: {reason}"):
            kind_of(tmp_path / name)


def test_a_full_disk_leaves_a_file_as_it_was(small_disk):
    path = small_disk / "results.csv"
    replace_file(path, b"before")
    fill(small_disk)
    with pytest.raises(InputError, match=r"results\.csv: can't be written: No space left"):
        replace_file(path, b"after" * 10_000)
    assert path.read_bytes() == b"before"
    assert sorted(os.listdir(small_disk)) == ["filler", "results.csv"]
    (small_disk / "filler").unlink()
    replace_file(path, b"after")
    assert path.read_bytes() == b"after"


def test_knowledge_on_a_full_disk_is_an_error_and_not_the_end_of_the_process(small_disk):
    def chunks():
        yield np.arange(5000), Outputs(*(np.ones((5000, 100), np.float32) for _ in range(3)))

    with pytest.raises(InputError, match="k: can't be written: No space left"):
        store.write(small_disk / "k", {}, (5000, Outputs(100, 100, 100)), "float32", chunks())
    assert os.listdir(small_disk) == []


def test_metrics_on_a_full_disk_go_on_after_the_half_line(small_disk):
    meter = ProgressMeter(1, small_disk / "metrics.jsonl", Console(file=io.StringIO()))
    meter.record(a=1)
    fill(small_disk)
    with pytest.raises(InputError, match=r"metrics\.jsonl: can't be written \(No space"):
        meter.record(a="x" * 10_000)
    (small_disk / "filler").unlink()
    with (small_disk / "metrics.jsonl").open("a") as file:
        file.write('{"half')
    meter.record(a=2)
    assert (small_disk / "metrics.jsonl").read_text().splitlines()[-1].endswith('"a": 2}')


def test_a_read_only_folder_is_named(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match=r"--workdir=.*can't be written .Read-only"):
        open_workdir(small_disk / "w")
    with pytest.raises(InputError, match="can't be written: Read-only"):
        replace_file(small_disk / "results.csv", b"")


def test_a_writer_that_is_killed_leaves_a_whole_table(tmp_path):
    program = """
        import sys
        from dataclasses import replace
        from pathlib import Path
        from kd_jax.evaluation import results
        row = results.Row("logits", "NCBI", "SM", "softmax", 0.5, 0.5, 0, 0, 1, 3, "test", 81.25, 79.0, 80.1, "train",
                          20, 10**6, 61.5, "SM")
        for seed in range(10**6):
            results.append(Path(sys.argv[1]), [replace(row, seed=seed)], results.Row)
            print(seed, flush=True)
    """
    path = tmp_path / "results.csv"
    call = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        last = [process.stdout.readline() for _ in range(100)][-1]
        time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(results.read(path)) >= int(last) + 1
    clear_partial(tmp_path)
    assert os.listdir(tmp_path) == ["results.csv"]


def test_the_second_process_is_refused_by_the_holders_name_and_a_kill_frees_the_folder(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], **pipes, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        named = rf"in use by process {holder.pid} on .* since \d{{4}}-.*name another"
        with pytest.raises(InputError, match=named), locked(tmp_path):
            pass
        holder.kill()
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_what_another_process_works_on_below_stays(tmp_path):
    theirs, left = tmp_path / "external" / "bert", tmp_path / "knowledge"
    for folder in (theirs, left):
        (folder / f".{'a' * 12}.1.kd_jax.partial").mkdir(parents=True)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, theirs], **pipes, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with locked(tmp_path):
            clear_partial(tmp_path)
        assert [len([*folder.glob(".*.partial")]) for folder in (theirs, left)] == [1, 0]
        holder.kill()
    clear_partial(tmp_path)
    assert not [*theirs.glob(".*.partial")]


def test_what_others_left_half_written_is_not_ours_to_remove(tmp_path):
    for name in (".notes.partial", ".a.123.partial", "data.kd_jax.partial", ".a.kd_jax.partial.txt"):
        (tmp_path / "sub" / name).mkdir(parents=True)
        (tmp_path / f"{name}.file").touch()
    theirs = sorted(tmp_path.rglob("*"))
    with whole_folder(tmp_path / "made") as made:
        ours = [made, *tmp_path.glob(".*.kd_jax.partial")]
        assert ours[0] == ours[1]
        clear_partial(tmp_path)
        assert not made.exists()
        assert sorted(tmp_path.rglob("*")) == theirs
        made.mkdir()


def test_a_folder_is_replaced_but_for_what_is_not_ours(tmp_path):
    folder = tmp_path / "section"
    for name in ("section.json", "old.png", "mine.txt", "mine/figure.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("before")
    with whole_folder(folder, ("section.json", "*.png")) as made:
        (made / "section.json").write_text("after")
    assert {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()} == {
        "section.json": "after", "mine.txt": "before", "mine/figure.png": "before",
    }  # fmt: skip
    assert os.listdir(tmp_path) == ["section"]


def test_what_is_made_goes_before_what_was_there_under_its_name(tmp_path):
    """As of a model that is trained again over a damaged one: no name in it is given away."""
    for name in ("model.json", "params/old", "mine"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_text("before")
    (tmp_path / "m").chmod(0o750)
    with whole_folder(tmp_path / "m") as made:
        (made / "params").mkdir()
        for name in ("model.json", "params/new"):
            (made / name).write_text("after")
    assert {str(p.relative_to(tmp_path / "m")): p.read_text() for p in (tmp_path / "m").rglob("*") if p.is_file()} == {
        "model.json": "after", "params/new": "after", "mine": "before",
    }  # fmt: skip
    assert (tmp_path / "m").stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["m"]


def test_a_folder_that_can_not_be_filled_leaves_what_was_there(tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "mine").touch()
    with pytest.raises(InputError, match="f: can't be written: No space"), whole_folder(tmp_path / "f", ("*",)):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["f", "f/mine"]


def test_only_ours_is_removed_of_a_folder(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "section.json").touch()
    (tmp_path / "b" / "mine.npy").mkdir()
    for folder in ("a", "b"):
        remove_ours(tmp_path / folder, ["section.json", "*.npy"])
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["b", "b/mine.npy"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path, there):
    (tmp_path / "elsewhere").mkdir()
    target, link, second = tmp_path / "elsewhere" / "file", tmp_path / "link", tmp_path / "second"
    if there:
        target.write_text("before")
    link.symlink_to("elsewhere/file")
    second.symlink_to(link)
    replace_file(second, b"after")
    assert (link.is_symlink(), second.is_symlink(), target.read_text()) == (True, True, "after")
    assert os.listdir(tmp_path / "elsewhere") == ["file"]
    (tmp_path / "folder").symlink_to("elsewhere")
    with whole_folder(tmp_path / "folder", ("*",)) as made:
        (made / "other").touch()
    assert (tmp_path / "folder").is_symlink()
    assert os.listdir(tmp_path / "elsewhere") == ["other"]


@pytest.mark.parametrize("make", ["loop", "folder", "link to a folder"])
def test_what_is_no_place_for_a_file_is_refused_and_stays(tmp_path, make):
    path = tmp_path / "place"
    if make == "loop":
        path.symlink_to("place")
    elif make == "folder":
        path.mkdir()
    else:
        (tmp_path / "folder").mkdir()
        path.symlink_to("folder")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError, match=r"place: can't be written: (Too many levels|Is a directory)"):
        replace_file(path, b"x")
    assert sorted(os.listdir(tmp_path)) == before
    assert path.is_symlink() == (make != "folder")


def test_a_pipe_and_a_device_are_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    replace_file(pipe, b"through")
    reader.join()
    assert got == [b"through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    replace_file(Path("/dev/null"), b"nowhere")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    program = "from kd_jax.runtime.files import *\nfor x in b'ab': replace_file(Path('/dev/stdout'), bytes([x]))"
    with (tmp_path / "out").open("ab") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True)
    assert set((tmp_path / "out").read_text()) <= {"a", "b"}
    assert sorted(os.listdir(tmp_path)) == ["out", "pipe"]


def test_what_is_written_over_keeps_its_mode_owner_and_attributes(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 54321)
    try:
        os.setxattr(path, "user.note", b"mine")
        noted = True
    except OSError:
        noted = False
    before = path.stat()
    replace_file(path, b"after")
    now = path.stat()
    assert (now.st_mode, now.st_uid, now.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert not noted or os.getxattr(path, "user.note") == b"mine"
    assert path.read_bytes() == b"after"


def test_a_file_whose_owner_can_not_be_given_is_written_in_place(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_text("a longer text before")
    inode = path.stat().st_ino
    monkeypatch.setattr(files, "_given_to", lambda *_: False)
    replace_file(path, b"after")
    assert (path.read_bytes(), path.stat().st_ino, os.listdir(tmp_path)) == (b"after", inode, ["file"])


def test_what_is_protected_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_text("before")
    path.chmod(0o444)
    with pytest.raises(InputError, match=r"file: is protected against writing; .*chmod"), replacing(path):
        pytest.fail("is refused before anything is made")
    assert (path.read_text(), os.listdir(tmp_path)) == ("before", ["file"])


def test_what_others_or_attributes_protect_is_not_told_to_be_changed_by_mode(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("before")
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"file: is protected against writing; .*see who may \(ls -l"):
        replace_file(tmp_path / "file", b"after")
    assert (tmp_path / "file").read_text() == "before"


def test_a_name_as_long_as_the_system_allows(tmp_path):
    replace_file(tmp_path / ("x" * 255), b"after")
    with whole_folder(tmp_path / ("y" * 255)) as made:
        (made / "a").touch()
    assert sorted(map(len, os.listdir(tmp_path))) == [255, 255]


def test_a_file_system_without_locks_is_said_and_gone_on_with(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with locked(tmp_path):
        pass
    told = capsys.readouterr().err
    assert told == f"{tmp_path}: this file system has no locks (No locks available); see that no second run uses it\n"


def test_a_lock_of_somebody_elses_is_left_alone(tmp_path):
    (tmp_path / ".lock").write_text("of another program")
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == "of another program"
    (tmp_path / files.LOCK).unlink()
    (tmp_path / files.LOCK).mkdir()
    with pytest.raises(InputError, match="can't be written: Is a directory"), locked(tmp_path):
        pass
