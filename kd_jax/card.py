"""Cards of trained students, printed in full and written beside each anew, its speed measured here and now.

A run writes them too, as card.md and card.json; this is for another machine's speed, and for older work folders.

  kd-jax card --workdir=runs/sample
  kd-jax card --workdir=W --data_dir=DIR --datasets=NCBI
"""

import os
from typing import Any

from kd_jax import cli
from kd_jax.errors import InputError


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("workdir", "Work folder of a run.")
    flags.path("data_dir", "Folder of its corpora; default: the bundled sample.")
    flags.words("datasets", [], "Corpora whose students are wanted; default: all that have some.")
    cli.define_notation(flags)


def card(given: Any, _: list[str]) -> None:
    """Write the cards that the flags ask for."""
    if given.workdir is None:
        raise InputError("give --workdir=W, the work folder of a run")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from kd_jax.export.cards import write_cards  # noqa: PLC0415 - `--help` needs no JAX

    write_cards(given.workdir, given.data_dir, given.datasets, given.scheme, given.entity_type)


COMMAND = cli.Command(__doc__ or "", define, card)

if __name__ == "__main__":
    cli.run(COMMAND)
