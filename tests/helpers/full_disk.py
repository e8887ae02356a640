"""A disk without room."""

from contextlib import suppress
from pathlib import Path


def fill(disk: Path) -> None:
    """Take all of a disk with a file named "filler"."""
    with (disk / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
