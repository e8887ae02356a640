"""Cards of trained students, printed in full and written beside each anew, its speed measured here and now.

A run writes them too, as card.md and card.json; this is for another machine's speed, and for older work folders.

  kd-jax card --workdir=runs/sample
  kd-jax card --workdir=W --data_dir=DIR --datasets=NCBI
  kd-jax card --model=W --data_dir=DIR --corpus=NCBI --best
"""

import os
from typing import Any

from kd_jax import cli
from kd_jax.errors import InputError


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("workdir", "Work folder of a run: the cards of all its students.")
    flags.path("model", "A student's folder, or a work folder: the card of one student.")
    flags.text("corpus", None, "Of the students below --model, those of this corpus.", "NAME")
    cli.define_choice(flags)
    flags.path("data_dir", "Folder of its corpora; default: the bundled sample.")
    flags.words("datasets", [], "Corpora whose students are wanted; default: all that have some.")
    cli.define_notation(flags)


def card(given: Any, _: list[str]) -> None:
    """Write the cards that the flags ask for."""
    if (given.workdir is None) == (given.model is None):
        raise InputError("give --workdir=W, the work folder of a run, or --model=FOLDER for the card of one student")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from kd_jax.corpora.registry import warn  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.export.cards import write_cards  # noqa: PLC0415
    from kd_jax.export.found import open_place  # noqa: PLC0415

    read = (given.data_dir, given.datasets, given.scheme, given.entity_type)
    if given.model is None:
        write_cards(given.workdir, *read)
    else:
        write_cards(open_place(given.model, given.corpus, given.label, best=given.best, say=warn)[0], *read)


COMMAND = cli.Command(__doc__ or "", define, card)

if __name__ == "__main__":
    cli.run(COMMAND)
