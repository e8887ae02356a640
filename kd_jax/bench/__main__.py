"""How fast training and tagging are here, what they take, and how that compares with PyTorch.

kd-jax bench --lanes=1,5
kd-jax bench --data_dir=DIR --datasets=NCBI --dtype=float32,bfloat16 --peer --json=found.json
"""

import os
from typing import Any

from kd_jax import cli


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("data_dir", "Folder of corpora, one folder each; default: a synthetic corpus.")
    flags.words("datasets", [], "Corpora, trained on together; default: all in --data_dir.")
    cli.define_scheme(flags)
    flags.words("lanes", ["1"], "Numbers of lanes, such as 1,5,15.", "N")
    flags.words("dtype", ["float32"], "What to compute in; several are measured one after the other.", "DTYPE")
    flags.repeated("set", "A setting; may be repeated: --set=train.rows=14 (kd-jax train --set=help).", "KEY=VALUE")
    flags.whole("steps", 20, "Train steps of one timing.")
    flags.whole("repeats", 5, "Timings of each; medians are shown.")
    flags.yes("starts", "Also time fresh starts, and take their memory; on by default.", default=True)
    flags.yes("peer", "Also run benchmarks/torch_peer.py, in turn with ours.")
    flags.path("json", "File that gets everything that was measured.", "file")


def bench(given: Any, _: list[str]) -> None:
    """Measure what the flags describe."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # other processes want memory of a GPU too
    from kd_jax.bench.command import bench as show  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.bench.measure import BenchRequest  # noqa: PLC0415

    names = ("data_dir", "datasets", "scheme", "lanes", "steps", "repeats", "starts", "peer")
    request = BenchRequest(**{name: given[name].value for name in names}, dtypes=given.dtype, assignments=given.set)
    show(request, given.json)


COMMAND = cli.Command(__doc__ or "", define, bench)

if __name__ == "__main__":
    cli.run(COMMAND)
