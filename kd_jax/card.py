"""Cards of trained students, printed in full and written beside each anew, its speed measured here and now.

A run writes them too, as card.md and card.json; this is for another machine's speed, and for older work folders.

python -m kd_jax.card --workdir=runs/sample
python -m kd_jax.card --workdir=W --data_dir=DIR --datasets=NCBI
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from kd_jax.errors import InputError
from kd_jax.runtime.files import kind_of

FLAGS = flags.FLAGS


def write_cards(workdir: Path, data_dir: Path | None, datasets: Sequence[str], scheme: str | None) -> None:
    """Measure, print and write the card of every student of a work folder.

    Args:
        workdir: with students/CORPUS/.
        data_dir: folder of the corpora; None for the bundled sample.
        datasets: corpora whose students are wanted; none for all that have some.
        scheme: tag scheme of the files; None for what they say.

    Raises:
        InputError: where there are no students, or a corpus isn't the one that they were trained on.
    """
    from kd_jax.corpora.registry import corpus_hash, load  # noqa: PLC0415
    from kd_jax.experiment import sample_corpora  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.export.student_card import markdown, teachers_of, write_card  # noqa: PLC0415
    from kd_jax.runtime.device import enable_compilation_cache  # noqa: PLC0415
    from kd_jax.training.saved_model import read_manifest  # noqa: PLC0415

    is_there = kind_of(workdir) == "folder"
    there = sorted(path.parent for path in workdir.glob("students/*/*/model.json")) if is_there else []
    if not there:
        raise InputError(f"{workdir}: has no students/CORPUS/...; give the work folder of a run")
    enable_compilation_cache()
    wanted = datasets or sorted({folder.parent.name for folder in there})
    for corpus in load(data_dir or sample_corpora(), wanted, scheme):
        said = teachers_of(workdir, corpus)
        own = {f: found for f in there if f.parent.name == corpus.name and (found := read_manifest(f)) is not None}
        alike = {f for f, found in own.items() if found.corpora.get(corpus.name) == corpus_hash(corpus)}
        if not alike:
            other = next(iter(own), workdir / "students" / corpus.name)
            raise InputError(f"{other}: was trained on another {corpus.name}; give its folder with --data_dir")
        for folder, found in own.items():
            if folder not in alike:
                print(f"# {folder.name}: was trained on another {corpus.name}, its card stays as it is\n", flush=True)
            elif found.ok:
                print(markdown(write_card(folder, corpus, said, {})), flush=True)
            else:
                print(f"# {folder.name}: {found.status}, it has no card\n", flush=True)


def main(argv: Sequence[str]) -> None:
    """Write the cards that the flags ask for; exit 2 with one line where they are wrong."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    logging.set_verbosity(logging.WARNING)
    if len(argv) > 1 or FLAGS.workdir is None:
        print("error: give --workdir=W, the work folder of a run; flags look like --name=value", file=sys.stderr)
        sys.exit(2)
    try:
        data_dir = None if FLAGS.data_dir is None else Path(FLAGS.data_dir)
        write_cards(Path(FLAGS.workdir), data_dir, FLAGS.datasets, FLAGS.scheme)
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


def _define_flags() -> None:
    flags.DEFINE_string("workdir", None, "Work folder of a run.")
    flags.DEFINE_string("data_dir", None, "Folder of its corpora; default: the bundled sample.")
    flags.DEFINE_list("datasets", [], "Corpora whose students are wanted; default: all that have some.")
    flags.DEFINE_enum("scheme", None, ["IOB2", "IOBES", "IOB1"], "Tag scheme of the files; default: what they say.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
