"""How the files of several corpora are written, from one flag: for all of them, or corpus by corpus."""

from collections.abc import Mapping
from pathlib import Path

from kd_jax.errors import InputError, nearest


def by_corpus(flag: str, text: str | None, folders: Mapping[str, Path]) -> dict[str, str]:
    """What a flag says of each corpus.

    Args:
        flag: its name, for messages.
        text: "IOB1" for all corpora, "NCBI:IOB1,ExPTM:IOB2" for some, "IOB2,NCBI:IOB1" for all with exceptions; None
            for nothing.
        folders: of the corpora, by their names; a folder's name means its corpus too.

    Returns:
        By the corpora's names; corpora of which nothing is said are left out.

    Raises:
        InputError: for a corpus that is not among them, or something said twice.

    >>> by_corpus("--scheme", "IOB2,NCBI:IOB1", {"NCBI": Path("NCBI-disease-IOB"), "ExPTM": Path("Ex-PTM-IOB")})
    {'NCBI': 'IOB1', 'ExPTM': 'IOB2'}
    """
    names = {folder.resolve().name: name for name, folder in folders.items()} | {name: name for name in folders}
    for_all: str | None = None
    values: dict[str, str] = {}
    for part in [] if text is None else text.split(","):
        corpus, colon, value = part.strip().rpartition(":")
        if colon and corpus not in names:
            raise InputError(f"{flag}={text}: no corpus {corpus!r} is read here; {nearest(corpus, folders)}")
        if not value or (colon and names[corpus] in values) or (not colon and for_all is not None):
            raise InputError(f"{flag}={text}: write VALUE for all corpora, and CORPUS:VALUE,... for some, each once")
        if colon:
            values[names[corpus]] = value
        else:
            for_all = value
    return ({} if for_all is None else dict.fromkeys(folders, for_all)) | values
