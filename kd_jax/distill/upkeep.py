"""What a work folder takes on disk, and the part of it that can be computed again: teachers' stored outputs."""

import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kd_jax.distill.store import MANIFEST
from kd_jax.errors import InputError
from kd_jax.runtime.files import clear_partial, kind_of, locked, remove_ours

KNOWLEDGE = "knowledge"
ARRAYS = (MANIFEST, "*.npy")  # what we write into a folder of stored outputs
PARTS = (KNOWLEDGE, "checkpoints")
"""What `clean` can remove."""
GB = 10**9


class Stored(NamedTuple):
    """A folder of a teacher's outputs, its bytes, and when it was last read, in seconds since 1970."""

    folder: Path
    bytes: int
    used: float


def stored(workdir: Path) -> list[Stored]:
    """The stored outputs of a work folder, those that were not read for longest first."""
    outputs = []
    for manifest in (workdir / KNOWLEDGE).rglob(MANIFEST):
        with suppress(FileNotFoundError):  # removed by another process since
            outputs.append(Stored(manifest.parent, size_of(manifest.parent), manifest.stat().st_mtime))
    return sorted(outputs, key=lambda one: one.used)


def used_now(folder: Path) -> None:
    """Note that stored outputs were read, where the disk takes it."""
    with suppress(OSError):
        os.utime(folder / MANIFEST)


def make_room(workdir: Path, needed: int, bound: float, keep: Collection[Path], log: Callable[[str], object]) -> None:
    """Remove stored outputs so that others fit below a bound, those first that were not read for longest.

    Args:
        workdir: the work folder.
        needed: bytes of the others.
        bound: gigabytes of stored outputs that there may be; 0 for no bound.
        keep: folders that are to stay, as they are needed together.
        log: called with what was removed.

    Raises:
        InputError: where the bound is too small for what is needed together.
    """
    if not bound:
        return
    in_store = stored(workdir)
    total = needed + sum(one.bytes for one in in_store)
    for one in in_store:
        if total <= bound * GB:
            return
        if one.folder not in keep:
            remove_ours(one.folder, ARRAYS)
            log(f"{one.folder}: removed, so that teachers' outputs stay below saving.knowledge_gb={bound:g}")
            total -= one.bytes
    if total > bound * GB:
        raise InputError(
            f"saving.knowledge_gb={bound:g}: what these students' teachers say takes {total / GB:.1f} GB together;"
            " raise it, set it to 0 for no bound, or store it in distill.dtype=bfloat16"
        )


def size_of(folder: Path) -> int:
    """Bytes on disk of a file, or of those below a folder."""
    total = 0 if folder.is_dir() else folder.lstat().st_blocks * 512
    for name, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                total += os.lstat(Path(name) / file).st_blocks * 512
    return total


def clean(workdir: Path, what: Collection[str], say: Callable[[str], object], *, dry_run: bool) -> int:
    """Say what takes a work folder's disk, and remove what can be computed again.

    Args:
        workdir: the work folder.
        what: of `PARTS`.
        say: called with lines for people.
        dry_run: whether nothing is removed.

    Returns:
        Bytes that were, or would be, removed.

    Raises:
        InputError: where it is no work folder, or a run uses it.
    """
    if kind_of(workdir) != "folder" or not (workdir / "settings.json").is_file():
        raise InputError(f"{workdir}: is no work folder of a run (no settings.json); name what --workdir was")
    with locked(workdir):
        entries = {
            entry.name: size_of(entry) if entry.is_dir() else entry.lstat().st_size for entry in workdir.iterdir()
        }
        outputs = [one for one in stored(workdir) if _can_be_computed(workdir, one.folder)]
        interrupted = [path.parent for path in workdir.glob("checkpoints/*/lanes.json")]
        freed = {KNOWLEDGE: sum(one.bytes for one in outputs), "checkpoints": sum(map(size_of, interrupted))}
        say(f"{workdir}: {_bytes(sum(entries.values()))}")
        for name, size in sorted(entries.items(), key=lambda entry: -entry[1]):
            again = f"  {_bytes(freed[name])} of it can be computed again" if freed.get(name) else ""
            say(f"  {name:<14} {_bytes(size):>9}{again}")
        if not dry_run:
            clear_partial(workdir)
            for one in outputs if KNOWLEDGE in what else ():
                remove_ours(one.folder, ARRAYS)
                for above in (one.folder.parent, one.folder.parent.parent):
                    with suppress(OSError):  # not empty
                        above.rmdir()
            for lanes in interrupted if "checkpoints" in what else ():
                shutil.rmtree(lanes, ignore_errors=True)
        total = sum(freed[part] for part in what)
        say(f"{'would remove' if dry_run else 'removed'} {_bytes(total)} ({', '.join(what)})")
    return total


def _can_be_computed(workdir: Path, folder: Path) -> bool:
    """Whether the teacher whose outputs these are is still there."""
    teacher = folder.relative_to(workdir / KNOWLEDGE).parts[0]
    return any(True for place in ("teachers", "students/*", "tuning/*") for _ in workdir.glob(f"{place}/*-{teacher}"))


def _bytes(size: int) -> str:
    return f"{size / GB:.1f} GB" if size >= GB else f"{size / 1e6:.1f} MB"
