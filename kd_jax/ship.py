"""Ship a trained student as one folder that tags on its own.

  python -m kd_jax.ship --model=W/students/NCBI/SM-... --out=ncbi

The folder holds vocabulary, labels, settings, safetensors weights and the program (StableHLO, for cpu, cuda and tpu);
kd_jax.load and kd_jax.tag take it as they take a trained model's folder, and need neither flax nor optax nor orbax for
it. --weights=bfloat16 or int8 makes it smaller; with --test=FILE the F1 of the trained and the shipped model on a CoNLL
file are measured and written into it. --onnx writes the network as ONNX instead, for other runtimes.
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from kd_jax.errors import InputError

FLAGS = flags.FLAGS


def ship(
    folder: Path,
    out: Path,
    weights: str,
    constrained: bool | None,
    test: Path | None,
    task: str | None = None,
    *,
    onnx: bool = False,
) -> str:
    """Ship a model.

    Args:
        folder: of a trained model.
        out: where it goes.
        weights: "float32", "bfloat16" or "int8".
        constrained: whether it rules out what IOB2 forbids; None for what it was scored with.
        test: a CoNLL file to compare both on; None for no comparison.
        task: of a model of several corpora, the one that is shipped.
        onnx: whether it is written as ONNX for other runtimes, which kd_jax itself does not read.

    Returns:
        What was done, in a few lines.

    Raises:
        InputError: for whatever is wrong with the model, the file or the place.
    """
    from kd_jax.corpora.conll import read_split  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.export import onnx as onnx_folder  # noqa: PLC0415
    from kd_jax.export.measures import compare  # noqa: PLC0415
    from kd_jax.export.shipped import MANIFEST, is_shipped, open_shipped  # noqa: PLC0415
    from kd_jax.export.shipping import ship as write  # noqa: PLC0415
    from kd_jax.export.trained import open_trained  # noqa: PLC0415
    from kd_jax.runtime.files import replace_file  # noqa: PLC0415

    if is_shipped(folder):
        raise InputError(f"--model={folder}: is shipped already; give the folder of the trained model")
    if onnx and weights != "float32":
        raise InputError(f"--weights={weights}: --onnx writes float32")
    sentences = None if test is None else read_split(test)
    model, tagger = open_trained(folder, task, constrained)
    if onnx:
        onnx_folder.write(model, tagger, out)
    else:
        write(model, tagger, out, weights)
    size = sum(path.stat().st_size for path in out.iterdir())
    lines = [f"{out}: {size / 1e6:.1f} MB, {weights} weights, for {'ONNX runtimes' if onnx else 'cpu, cuda and tpu'}"]
    if test is not None and sentences is not None:
        found = compare(model, onnx_folder.open_onnx(model, out) if onnx else open_shipped(out, None), sentences)
        about = json.loads((out / MANIFEST).read_text(encoding="utf-8")) | {"compared": {"file": test.name, **found}}
        replace_file(out / MANIFEST, json.dumps(about, indent=1).encode())
        lines.append(
            f"F1 on {test.name}: trained {found['trained_f1']:.2f}, shipped {found['shipped_f1']:.2f};"
            f" {found['different_tags']} of {found['tokens']:,} tags differ"
        )
    return "\n".join(lines)


def main(argv: Sequence[str]) -> None:
    """Ship what the flags describe; exit 2 with one line where they are wrong."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    logging.set_verbosity(logging.WARNING)
    try:
        _check(argv[1:])
        test = None if FLAGS.test is None else Path(FLAGS.test)
        print(
            ship(
                Path(FLAGS.model), Path(FLAGS.out), FLAGS.weights, FLAGS.constrained, test, FLAGS.task, onnx=FLAGS.onnx
            )
        )
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


def _check(words: Sequence[str]) -> None:
    if words:
        raise InputError(f"{words[0]}: flags look like --name=value")
    if FLAGS.model is None or FLAGS.out is None:
        raise InputError("--model=FOLDER of a trained student and --out=FOLDER that gets it are needed")


def _define_flags() -> None:
    flags.DEFINE_string("model", None, "Folder of a trained model.")
    flags.DEFINE_string("task", None, "Of a model of several corpora, the one that is shipped.")
    flags.DEFINE_string("out", None, "Folder that gets it.")
    flags.DEFINE_boolean(
        "onnx", default=False, help="Write ONNX, for other runtimes; needs the extra onnx: pip install -e '.[onnx]'."
    )
    flags.DEFINE_enum("weights", "float32", ["float32", "bfloat16", "int8"], "How weights are stored.")
    flags.DEFINE_boolean(
        "constrained", None, "Rule out the tag sequences that IOB2 forbids; default: as the model was scored."
    )
    flags.DEFINE_string("test", None, "CoNLL file on which the trained and the shipped model are compared.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
