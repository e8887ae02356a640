"""Distil word vectors from a transformer, as a file that the setting words.vectors takes.

  kd-jax vectors --from=hf:FOLDER --data_dir=DIR --out=words.npz
  kd-jax train --data_dir=DIR --set=words.vectors=words.npz

The encoder (a folder of the Hugging Face library with weights in safetensors, such as a BERT; extra: hf) reads each
word of the corpora's training and development splits alone, as it is mostly written; the last layer's mean over the
word's pieces, reduced to --dim numbers by principal components, is its vector. --text adds the words of raw text,
--words those of a list; with one of them --data_dir may be left out. Words of test splits are never looked at: test
sentences that also occur in raw text are left out of it; without --data_dir none are known, which the command and the
file then say. --upper_bound takes them all the same, to see what is lost by not knowing them; the file's name then says
so. For --protocol=train, --splits=train leaves the development words unknown too.
"""

from typing import Any

from kd_jax import cli

NAMES = ("data_dir", "datasets", "scheme", "entity_type", "splits", "text", "words", "upper_bound", "dim", "out")
SPELLING = ("lowercase", "zero_digits")


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.text("from", None, "The encoder: hf: and its folder.", "hf:FOLDER")
    flags.path("data_dir", "Folder of corpora, one folder each.")
    flags.words("datasets", None, "Corpora, by the paper's names or their folders' names; default: all.")
    cli.define_notation(flags)
    flags.words("splits", ("train", "devel"), "Splits whose words get vectors.", "SPLIT")
    flags.path(
        "text", "Raw text whose words get vectors too: a file (JSONL: a text a line), or a folder of .txt files.", "any"
    )
    flags.path("words", "File of words, one a line, that get vectors too.", "file")
    flags.yes("upper_bound", "Take words of test splits too; the file's name says so.")
    flags.whole("dim", 200, "Numbers of a vector, as the setting words.dim.")
    flags.yes("lowercase", "Words by lower case, as the setting words.lowercase; default: yes.", default=True)
    flags.yes("zero_digits", "Words by digits as 0, as the setting words.zero_digits; default: yes.", default=True)
    flags.path("out", "File that gets them, a .npz.", "file", "words.npz")


def vectors(given: Any, _: list[str]) -> None:
    """Distil what the flags describe."""
    from rich.console import Console  # noqa: PLC0415 - `--help` answers at once

    from kd_jax.distill.make_vectors import VectorsRequest, make_vectors  # noqa: PLC0415
    from kd_jax.settings import WordConfig  # noqa: PLC0415

    fields: dict[str, Any] = {name: given[name].value for name in NAMES}
    fields["spelling"] = WordConfig(**{name: given[name].value for name in SPELLING})
    fields["encoder"] = given["from"].value  # given.from would be a syntax error
    print(make_vectors(VectorsRequest(**fields), Console(stderr=True)))


COMMAND = cli.Command(__doc__ or "", define, vectors, interrupted="interrupted; nothing is written")

if __name__ == "__main__":
    cli.run(COMMAND)
