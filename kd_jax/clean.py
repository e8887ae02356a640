"""Say what takes a work folder's disk, and remove what can be computed again.

  kd-jax clean W --dry_run
  kd-jax clean W

Teachers' outputs (knowledge/) are removed unless their teacher is gone: a run that needs them computes them again,
which takes minutes where training took hours. --what=knowledge,checkpoints also gives up lanes that were interrupted.
Models, scores and reports stay. --set=saving.knowledge_gb=20 keeps a run's outputs below a bound from the start.
"""

from typing import Any

from kd_jax import cli
from kd_jax.errors import InputError, nearest


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.words("what", ["knowledge"], "What is removed: knowledge, checkpoints.")
    flags.yes("dry_run", "Only say what there is.")


def clean(given: Any, words: list[str]) -> None:
    """Clean the folders that are named."""
    from kd_jax.distill import upkeep  # noqa: PLC0415 - `--help` needs no JAX

    if not words:
        raise InputError("name a work folder, such as kd-jax clean runs/sample")
    for part in given.what:
        if part not in upkeep.PARTS:
            raise InputError(f"--what={part}: can't be computed again; {nearest(part, upkeep.PARTS)}")
    for place in [cli.path(word, "folder") for word in words]:
        upkeep.clean(place, given.what, print, dry_run=given.dry_run)


COMMAND = cli.Command(__doc__ or "", define, clean, words="WORKDIR ...")

if __name__ == "__main__":
    cli.run(COMMAND)
