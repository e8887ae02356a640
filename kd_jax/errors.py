"""The exceptions that a user sees as a line of text rather than as a traceback."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(Exception):
    """Something the user gave can't be used: the message says where it is, what is wrong and how to mend it."""


class InterruptedRunError(Exception):
    """A signal asked for the end, and everything is saved.

    Args:
        why: one line for people.
        exit_status: of the process.
    """

    def __init__(self, why: str, exit_status: int) -> None:
        super().__init__(why)
        self.exit_status = exit_status


def brief(fault: BaseException) -> str:
    """What an exception says as one line of at most 200 characters; its kind where it says nothing."""
    return " ".join(str(fault).split())[:200] or type(fault).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known names, or all of them where none is near.

    Args:
        name: what the user wrote.
        known: the names that exist.

    Returns:
        A phrase such as "did you mean 'NCBI'?", to stand at the end of an InputError's message.

    >>> nearest("NBCI", ["NCBI", "BC2GM"])
    "did you mean 'NCBI'?"
    """
    names = sorted(known)
    folded = {n.lower(): n for n in names}
    close = [folded[c] for c in get_close_matches(name.lower(), folded, n=3, cutoff=0.6)]
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known: " + ", ".join(names)
