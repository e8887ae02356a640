"""Paths as users write them."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from kd_jax.errors import InputError

Kind = Literal["folder", "file", "any", "stem"]
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LONGEST_NAME = 255  # bytes of one part of a path, on every file system in common use
_SHOWN = 60


def path(text: str, kind: Kind, flag: str = "", *, dash: bool = False) -> Path:
    """A path as a user writes it: a leading ~ is the home folder.

    Args:
        text: as written.
        kind: "folder" or "file" where the other is refused, "stem" for what gets endings appended, or "any".
        flag: what comes before it in messages, such as "--workdir=".
        dash: whether - is meant, as standard input or output; it is then given back as it is.

    Raises:
        InputError: for what is empty, an address such as s3://..., -, or too long; and for a folder where a file is
            wanted, and the other way round.
    """
    shown = flag + (text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    if not text.strip():
        raise InputError(f"{flag or 'a path'}: is empty; name a {'folder' if kind == 'folder' else 'file'}")
    if text == "-":
        if dash:
            return Path(text)
        raise InputError(f"{shown}: standard input and output can't be used here; name a path (./- if it is called -)")
    if _ADDRESS.match(text):
        raise InputError(f"{shown}: is an address; copy or mount it on this machine, and name that path")
    try:
        expanded = Path(os.path.expanduser(text))
        if text.startswith("~") and str(expanded).startswith("~"):
            raise InputError(f"{shown}: no such home folder; write it out")
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in expanded.parts):
            raise InputError(f"{shown}: a name in it is longer than {_LONGEST_NAME} bytes; give a shorter one")
        # lstat raises where the system refuses; is_dir and exists call that False on Python 3.14.
        with suppress(FileNotFoundError, NotADirectoryError):
            expanded.lstat()
        is_folder, is_there = expanded.is_dir(), expanded.exists()
    except ValueError:
        raise InputError(f"{shown!r}: holds a character that no path can") from None
    except OSError as fault:
        raise InputError(f"{shown}: can't be used as a path: {fault.strerror or fault}") from None
    if kind == "folder" and is_there and not is_folder:
        raise InputError(f"{shown}: is a file, not a folder; name a folder")
    if kind == "file" and is_folder:
        raise InputError(f"{shown}: is a folder, not a file; name a file")
    if kind in {"file", "stem"} and text.endswith(os.sep):
        raise InputError(f"{shown}: ends in {os.sep} as a folder does; name a file")
    return expanded
