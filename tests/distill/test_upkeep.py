"""Stored outputs are removed by age, below a bound, and only what is ours and can be computed again."""

import os

import pytest

from kd_jax.distill.upkeep import GB, clean, make_room, size_of, stored, used_now
from kd_jax.errors import InputError

SIZE = 8192  # bytes of each made piece: its manifest and its array, a block each


def piece(workdir, name, used):
    folder = workdir / "knowledge" / name
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "logits.npy").write_bytes(b"x" * 4096)
    os.utime(folder / "manifest.json", (used, used))
    return folder


@pytest.fixture
def work(tmp_path):
    pieces = [piece(tmp_path, f"{teacher}/Gene/{split}", n) for n, (teacher, split) in enumerate(
        [("aaaa", "train"), ("aaaa", "devel"), ("bbbb", "train")])]  # fmt: skip
    (tmp_path / "settings.json").write_text("{}")
    for name in ("teachers/MTM-seed1-aaaa", "students/Gene/STM-seed1-bbbb", "checkpoints/1234", "report"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "checkpoints/1234/lanes.json").write_text("[]")
    (tmp_path / "report/notes.txt").write_text("mine")
    return tmp_path, pieces


def left(work):
    return [one.folder.relative_to(work / "knowledge").as_posix() for one in stored(work)]


def test_what_was_not_read_for_longest_goes_first_and_no_more_than_needed(work):
    work, pieces = work
    used_now(pieces[0])
    said = []
    make_room(work, SIZE, 3 * SIZE / GB, {work / "new"}, said.append)
    assert left(work) == ["bbbb/Gene/train", "aaaa/Gene/train"]
    assert len(said) == 1
    make_room(work, 0, 3 * SIZE / GB, set(), said.append)
    make_room(work, 10 * GB, 0, set(), said.append)
    assert len(said) == 1


def test_what_is_needed_together_stays_or_the_bound_is_refused(work):
    work, pieces = work
    with pytest.raises(InputError, match=r"saving.knowledge_gb=.*takes 0\.0 GB together; raise it"):
        make_room(work, SIZE, 3 * SIZE / GB, set(pieces), lambda _: None)
    assert len(left(work)) == 3
    make_room(work, SIZE, 2 * SIZE / GB, {pieces[0]}, lambda _: None)
    assert left(work) == ["aaaa/Gene/train"]


def test_cleaning_says_what_there_is_and_removes_outputs_alone(work):
    work, pieces = work
    (pieces[1] / "notes.txt").write_text("mine")
    said = []
    foretold = clean(work, ["knowledge"], said.append, dry_run=True)
    assert len(left(work)) == 3
    assert any("knowledge" in line and "can be computed again" in line for line in said)
    assert clean(work, ["knowledge"], said.append, dry_run=False) == foretold == 3 * SIZE + 4096
    assert left(work) == []
    assert {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()} == {
        ".kd_jax.lock", "settings.json", "checkpoints/1234/lanes.json", "report/notes.txt",
        "knowledge/aaaa/Gene/devel/notes.txt",
    }  # fmt: skip


def test_outputs_of_a_teacher_that_is_gone_stay(work):
    work, _ = work
    (work / "teachers/MTM-seed1-aaaa").rmdir()
    clean(work, ["knowledge"], lambda _: None, dry_run=False)
    assert left(work) == ["aaaa/Gene/train", "aaaa/Gene/devel"]


def test_interrupted_lanes_are_given_up_where_that_is_asked_for(work):
    work, _ = work
    (work / "checkpoints" / "mine").mkdir()
    (work / "checkpoints" / "mine" / "notes.txt").write_text("no checkpoint of ours")
    ours = sum(path.stat().st_size for path in (work / "checkpoints" / "1234").rglob("*") if path.is_file())
    assert ours <= clean(work, ["checkpoints"], lambda _: None, dry_run=False) <= ours + 4096
    assert len(left(work)) == 3
    assert [path.name for path in work.glob("checkpoints/*")] == ["mine"]


def test_what_is_no_work_folder_is_refused(tmp_path):
    (tmp_path / "knowledge").mkdir()
    with pytest.raises(InputError, match="is no work folder of a run"):
        clean(tmp_path, ["knowledge"], lambda _: None, dry_run=False)


def test_a_link_that_leads_nowhere_is_counted_as_itself(work):
    work, _ = work
    (work / "scratch").symlink_to(work / "gone")
    said = []
    clean(work, ["knowledge"], said.append, dry_run=True)
    assert any(line.split()[0] == "scratch" for line in said)


def test_sizes_are_those_of_the_disk(tmp_path):
    (tmp_path / "holes").write_bytes(b"")
    os.truncate(tmp_path / "holes", 10**9)
    (tmp_path / "link").symlink_to("/usr")
    assert size_of(tmp_path) == size_of(tmp_path / "holes") == 0
