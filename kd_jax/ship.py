"""Ship a trained student as one folder that tags on its own.

  kd-jax ship --model=W --corpus=NCBI --best --out=ncbi

The folder holds vocabulary, labels, settings, safetensors weights and the program (StableHLO, for cpu, cuda and tpu);
kd_jax.load and kd_jax.tag take it as they take a trained model's folder, and need neither flax nor optax nor orbax for
it. --weights=bfloat16 or int8 makes it smaller; with --test=FILE the F1 of the trained and the shipped model on a CoNLL
file are measured and written into it. --onnx writes the network as ONNX instead, for other runtimes.
"""

import os
from typing import Any

from kd_jax import cli
from kd_jax.errors import InputError


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("model", "Folder of a trained model, or a work folder.")
    flags.text("corpus", None, "Of the models below --model, those of this corpus.", "NAME")
    cli.define_choice(flags)
    flags.text("task", None, "Of a model of several corpora, the one that is shipped.", "NAME")
    flags.path("out", "Folder that gets it.")
    flags.yes("onnx", "Write ONNX, for other runtimes; needs the extra onnx: pip install -e '.[onnx]'.")
    flags.choice("weights", "float32", ("float32", "bfloat16", "int8"), "How weights are stored.")
    flags.yes("constrained", "Rule out the tag sequences that IOB2 forbids; default: as it was scored.", default=None)
    flags.path("test", "CoNLL file on which the trained and the shipped model are compared.", "file")
    flags.text("scheme", None, "Tag scheme of --test: IOB2, IOBES or IOB1; default: as it shows.", "SCHEME")


def ship(given: Any, _: list[str]) -> None:
    """Ship what the flags describe."""
    if given.model is None or given.out is None:
        raise InputError("--model=FOLDER of a trained student and --out=FOLDER that gets it are needed")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from kd_jax.corpora.registry import warn  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.export.delivery import ship as deliver  # noqa: PLC0415
    from kd_jax.export.found import open_place  # noqa: PLC0415

    names = ("weights", "constrained", "test", "onnx", "scheme")
    folder, task = open_place(given.model, given.corpus, given.label, best=given.best, say=warn)
    print(deliver(folder, given.out, task=given.task or task, **{name: given[name].value for name in names}))


COMMAND = cli.Command(__doc__ or "", define, ship)

if __name__ == "__main__":
    cli.run(COMMAND)
