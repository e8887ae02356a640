"""Command line: train teachers, single-task models and students, and show the table they make."""

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging
from rich.console import Console

from kd_jax.errors import InputError
from kd_jax.runtime.interrupt import InterruptedRunError

FLAGS = flags.FLAGS
flags.DEFINE_string("experiment", "logits", "Name of an experiment, or path of an experiment file of your own.")
flags.DEFINE_string("seeds", "5", "How many seeds (5 means 1,2,3,4,5), or a list of seeds such as 3,5,8.")
flags.DEFINE_list("datasets", [], "Corpora, by the paper's names or their folders' names; default: all in --data_dir.")
flags.DEFINE_list("targets", [], "Corpora that get single-task models and students; default: all. MTMs learn from all.")
flags.DEFINE_string("data_dir", None, "Folder of corpora, one folder each; default: the bundled sample, small sizes.")
flags.DEFINE_string("workdir", None, "Where models and results go; finished models there are not trained again.")
flags.DEFINE_integer("epochs", None, "Passes over the training text, of teachers too; choosing runs make no more.")
flags.DEFINE_enum(
    "protocol",
    "train+devel",
    ["train+devel", "train", "train+devel+clean", "train+clean"],
    "Train on train and devel, or on train and keep the epoch best on devel; clean leaves out what stands in test.",
)
flags.DEFINE_enum(
    "scheme",
    None,
    ["IOB2", "IOBES", "IOB1"],
    "Tag scheme of the files; default: IOBES if they have E- or S-, else IOB2.",
)
flags.DEFINE_multi_string("set", [], "A setting, as key=value; may be repeated: --set learning_rate=0.002.")
flags.DEFINE_string("cluster", "", "Run on Ray: auto, an address, or local:N (N units at a time here). Extra: cluster.")
flags.DEFINE_boolean("dry_run", default=False, help="Show the plan and stop.")


def main(argv: Sequence[str]) -> None:
    """Run the experiment that the flags describe; exit 2 with one line where they or the corpora are wrong."""
    # Matplotlib tells of its list of fonts, orbax of every step of a save and of errors that it raises, too.
    logging.set_verbosity(logging.FATAL)
    from kd_jax.sweep.request import Request, execute  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.training.saved_model import silence_tensorstore_threads  # noqa: PLC0415

    silence_tensorstore_threads()
    if len(argv) > 1:
        sys.exit(f"error: {argv[1]}: flags look like --name=value")
    try:
        execute(
            Request(
                experiment=FLAGS.experiment,
                seeds=FLAGS.seeds,
                datasets=tuple(FLAGS.datasets),
                targets=tuple(FLAGS.targets),
                data_dir=None if FLAGS.data_dir is None else Path(FLAGS.data_dir),
                workdir=None if FLAGS.workdir is None else Path(FLAGS.workdir),
                epochs=FLAGS.epochs,
                protocol=FLAGS.protocol,
                scheme=FLAGS.scheme,
                assignments=tuple(FLAGS.set),
                dry_run=FLAGS.dry_run,
                cluster=FLAGS.cluster,
            ),
            Console(),
        )
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)
    except InterruptedRunError as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(stopped.exit_status)
    except KeyboardInterrupt:
        print("interrupted at once; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    app.run(main)
