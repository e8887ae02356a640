"""Command line: how fast training and tagging are here, what they take, and how that compares with PyTorch."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging
from rich.console import Console

from kd_jax.errors import InputError
from kd_jax.runtime.files import replace_file

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "Folder of corpora, one folder each; default: a synthetic corpus.")
flags.DEFINE_list("datasets", [], "Corpora, trained on together; default: all in --data_dir.")
flags.DEFINE_enum("scheme", None, ["IOB2", "IOBES", "IOB1"], "Tag scheme of the files; default: what they say.")
flags.DEFINE_list("lanes", ["1"], "Numbers of lanes, such as 1,5,15.")
flags.DEFINE_list("dtype", ["float32"], "What to compute in; several are measured one after the other.")
flags.DEFINE_multi_string("set", [], "A setting, as key=value; may be repeated: --set train.rows=14.")
flags.DEFINE_integer("steps", 20, "Train steps of one timing.")
flags.DEFINE_integer("repeats", 5, "Timings of each; medians are told.")
flags.DEFINE_boolean("starts", default=True, help="Also time fresh starts, and take their memory.")
flags.DEFINE_boolean("peer", default=False, help="Also run benchmarks/torch_peer.py, in turn with ours.")
flags.DEFINE_string("json", None, "File that gets everything that was measured.")


def main(argv: Sequence[str]) -> None:
    """Measure what the flags describe; exit 2 with one line where they or the corpora are wrong."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # other processes want memory of a GPU too
    import jax  # noqa: PLC0415 - `--help` needs no JAX

    from kd_jax.bench.measure import Asked, measure  # noqa: PLC0415
    from kd_jax.bench.tables import tables  # noqa: PLC0415
    from kd_jax.bench.tagging import measure_tagging, tagging_table  # noqa: PLC0415
    from kd_jax.training.mesh import use_all_cores  # noqa: PLC0415

    logging.set_verbosity(logging.WARNING)
    console, told = Console(), Console(stderr=True)

    def log(line: str) -> None:
        told.print(line, highlight=False)

    if len(argv) > 1:
        print(f"error: {argv[1]}: flags look like --name=value", file=sys.stderr)
        sys.exit(2)
    try:
        if FLAGS.json:
            replace_file(Path(FLAGS.json), b"{}")  # refused before minutes of work, if at all
        use_all_cores()
        with tempfile.TemporaryDirectory() as programs:
            jax.config.update("jax_compilation_cache_dir", programs)  # what is compiled to be asked is then run, too
            asked = Asked(
                data_dir=None if FLAGS.data_dir is None else Path(FLAGS.data_dir),
                datasets=tuple(FLAGS.datasets),
                scheme=FLAGS.scheme,
                lanes=tuple(FLAGS.lanes),
                dtypes=tuple(FLAGS.dtype),
                assignments=tuple(FLAGS.set),
                steps=FLAGS.steps,
                repeats=FLAGS.repeats,
                starts=FLAGS.starts,
                peer=FLAGS.peer,
            )
            found = measure(asked, log)
            found["tagging"] = measure_tagging(asked, log)
        for table in tables(found):
            console.print(table)
        console.print(tagging_table(found["tagging"]))
        if FLAGS.json:
            replace_file(Path(FLAGS.json), json.dumps(found | {"command": sys.argv}, indent=1).encode())
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main)
