"""How fast training and tagging are here, what they take, and how that compares with PyTorch.

kd-jax bench --lanes=1,5
kd-jax bench --data_dir=DIR --datasets=NCBI --dtype=float32,bfloat16 --peer --json=found.json
kd-jax bench --compile_for=v5e,h100 --json=found.json --hlo=DIR        # devices that are not here: nothing is run
"""

import os
from typing import Any

from kd_jax import cli
from kd_jax.errors import InputError


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("data_dir", "Folder of corpora, one folder each; default: a synthetic corpus.")
    flags.words("datasets", [], "Corpora, trained on together; default: all in --data_dir.")
    cli.define_scheme(flags)
    flags.words("lanes", None, "Numbers of lanes, such as 1,5,15; default: 1, with --compile_for 15.", "N")
    flags.words(
        "dtype",
        None,
        "What to compute in; several are measured one after the other; default: float32, with --compile_for bfloat16.",
        "DTYPE",
    )
    flags.repeated("set", "A setting; may be repeated: --set=train.rows=14 (kd-jax train --set=help).", "KEY=VALUE")
    flags.whole("steps", 20, "Train steps of one timing.")
    flags.whole("repeats", 5, "Timings of each; medians are shown.")
    flags.yes("starts", "Also time fresh starts, and take their memory; on by default.", default=True)
    flags.yes("peer", "Also run benchmarks/torch_peer.py, in turn with ours.")
    flags.words(
        "compile_for",
        [],
        "Compile for devices that are not here, such as v5e,h100 or the four chips of v5e:2x2, and show what their"
        " compilers say of the programs; nothing is timed. Extras: aot-tpu, aot-cuda.",
        "DEVICE",
    )
    flags.choice("head", None, ("softmax", "crf"), "With --compile_for: output layer; default: softmax.")
    flags.path(
        "hlo",
        "With --compile_for: folder that gets the compiled programs as text, and kernels' schedules; with several"
        " numbers of lanes a folder in it for each.",
    )
    flags.path("json", "File that gets everything that was measured.", "file")


def bench(given: Any, _: list[str]) -> None:
    """Measure what the flags describe."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # other processes want memory of a GPU too
    from kd_jax.bench.command import bench as show  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.bench.command import compile_and_show  # noqa: PLC0415
    from kd_jax.bench.measure import BenchRequest  # noqa: PLC0415

    ahead = bool(given.compile_for)
    names = ("data_dir", "datasets", "scheme", "steps", "repeats", "starts", "peer")
    request = BenchRequest(
        **{name: given[name].value for name in names},
        lanes=given.lanes or ["15" if ahead else "1"],
        dtypes=given.dtype or ["bfloat16" if ahead else "float32"],
        assignments=given.set,
    )
    if ahead:
        compile_and_show(request, given.compile_for, given.head or "softmax", given.hlo, given.json)
        return
    for name in ("head", "hlo"):
        if given[name].value:
            raise InputError(f"--{name}: needs --compile_for, the devices to compile for")
    show(request, given.json)


COMMAND = cli.Command(__doc__ or "", define, bench)

if __name__ == "__main__":
    cli.run(COMMAND)
