"""Corpora: what is known, what is there, what is wrong with it, and how to get it.

  kd-jax corpora list  [DIR]
      The 15 corpora of the paper with their folders, entity types and sizes, and which of them are in DIR.
  kd-jax corpora check DIR
      Examine every file of the corpora in DIR (or of the one corpus that DIR is): counts, tags, illegal transitions,
      duplicates, extremes, characters outside ASCII, and differences from the published files. Exit status 1 if
      anything is wrong.
  kd-jax corpora audit DIR
      The share of each corpus's test sentences that also occur in the training sentences of itself and of every other
      corpus, as a table (OUT.md) and a heat map (OUT.png), where OUT is --out. --splits=train leaves devel out.
  kd-jax corpora fetch DIR
      Get the public collection (cambridgeltl/MTL-Bioinformatics-2016) into DIR and check every file's size and SHA-256
      sum. What is there and right stays; what differs is named and kept, unless --overwrite is given.
      --from=PLACE reads a copy instead: a folder, an archive (zip, tar, tar.gz, ...) or its URL, a git repository's
      URL, or the URL under which a mirror has the folders. The corpora have licences of their own; some allow
      research only, and BC4CHEMD's redistribution status is unclear.

DIR may be given as --data_dir=DIR too. --datasets=NCBI,ExPTM chooses corpora, by the paper's names or folders' names.
A corpus of your own is a folder with train.tsv, test.tsv and, if you have one, devel.tsv: one token a line, a tab, its
IOB2 or IOBES tag; an empty line between sentences. --scheme=IOB1 reads IOB1, which can't be told from IOB2 by itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_jax import cli
from kd_jax.errors import InputError, nearest

COMMANDS = ("list", "check", "audit", "fetch")


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("data_dir", "Folder of corpora, one folder each.")
    flags.words("datasets", None, "Corpora, by the paper's names or their folders' names; default: all.")
    cli.define_notation(flags)
    flags.words("splits", ["train", "devel"], "audit: what counts as training data.", "SPLIT")
    flags.path("out", "audit: the table goes to OUT.md, the heat map to OUT.png.", "stem", "overlap")
    flags.text("from", None, "fetch: folder, archive, or URL of an archive, a mirror or a git repository.", "PLACE")
    flags.yes("overwrite", "fetch: replace files that differ from the published ones.")


def corpora(given: Any, words: list[str]) -> int:
    """Run the command that is named first."""
    name, folder = _asked(words, given.data_dir)
    from kd_jax.corpora import command  # noqa: PLC0415 - `--help` needs no matplotlib

    if folder is None or name == "list":
        return command.list_corpora(folder)
    if name == "check":
        return command.check(folder, given.datasets, given.scheme, given.entity_type)
    if name == "audit":
        return command.audit(folder, given.datasets, given.scheme, given.splits, given.out)
    return command.fetch(folder, given.datasets, given["from"].value, overwrite=given.overwrite)


def _asked(words: Sequence[str], data_dir: Path | None) -> tuple[str, Path | None]:
    name, *folders = words or [""]
    if name not in COMMANDS:
        raise InputError(f"{name or 'no command'}: {nearest(name, COMMANDS)}; --help says more")
    paths = [cli.path(folder, "folder") for folder in folders] + ([] if data_dir is None else [data_dir])
    if len(paths) > 1:
        raise InputError(f"{' and '.join(map(str, paths))}: give one folder")
    if not paths and name != "list":
        raise InputError(f"{name}: of which folder? python -m kd_jax.corpora {name} DIR")
    return name, paths[0] if paths else None


COMMAND = cli.Command(__doc__ or "", define, corpora, words="list|check|audit|fetch [DIR]")

if __name__ == "__main__":
    cli.run(COMMAND)
