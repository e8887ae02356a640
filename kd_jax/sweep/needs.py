"""What a unit of work takes of a cluster's nodes: settled once, from what all have, before any unit is given out."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kd_jax.errors import InputError
from kd_jax.sweep.remote import Setup

TPU_BOUNDS = {1: "1,1,1", 2: "1,2,1", 4: "2,2,1", 8: "2,4,1"}


class Needs(NamedTuple):
    """What a unit takes of a node: Ray's options of a task, how the unit runs there, and the same in words."""

    options: Mapping[str, Any]
    setup: Setup
    words: str

    def met_by(self, has: Mapping[str, float]) -> bool:
        """Whether a node with these resources can run a unit."""
        options = self.options
        wanted = {"CPU": options["num_cpus"], "GPU": options.get("num_gpus", 0), **options.get("resources", {})}
        return all(has.get(name, 0) >= amount for name, amount in wanted.items())


def parse(where: str) -> int | str:
    """What --cluster says: a number of units at a time on this machine, "auto", or an address.

    Raises:
        InputError: where it says something else.
    """
    kind, _, number = where.partition(":")
    if kind == "local":
        if not number.isdigit() or int(number) < 1:
            raise InputError(f"--cluster={where}: say how many units run at a time here, as --cluster=local:2")
        return int(number)
    if "://" in where:
        raise InputError(f"--cluster={where}: start the command on a node of the cluster, with --cluster=auto")
    if where != "auto" and not number.isdigit():
        raise InputError(f"--cluster={where}: is neither auto nor local:N nor an address such as node1:6379")
    return where


def needs_of(totals: Sequence[Mapping[str, float]], setup: Setup, devices: int, threads: int, *, local: bool) -> Needs:
    """What a unit takes, from what the nodes have: all chips of a TPU host, or one GPU, or as many cores as here.

    Args:
        totals: Ray's resources of each node.
        setup: of a unit on an accelerator.
        devices: that a run on this machine's CPU has: those of a unit on a CPU, which decide its last bits.
        threads: of them together, likewise.
        local: whether a unit takes one of the places of a Ray of this run's own, in place of cores.

    Raises:
        InputError: where no node has anything to compute with.
    """
    if chips := int(min((t["TPU"] for t in totals if t.get("TPU")), default=0)):
        # Without bounds the chips' runtime spans all hosts of a slice and waits for them.
        bounds = (("TPU_PROCESS_BOUNDS", "1,1,1"), ("TPU_CHIPS_PER_PROCESS_BOUNDS", TPU_BOUNDS.get(chips, "2,2,1")))
        options = {"num_cpus": 1, "resources": {"TPU": chips}, "max_calls": 1}
        return Needs(options, setup._replace(environment=bounds), f"{chips} TPU chips")
    if any(t.get("GPU") for t in totals):
        # max_calls: JAX keeps the GPU that it saw first, and its memory, for as long as its process lives.
        return Needs({"num_cpus": 1, "num_gpus": 1, "max_calls": 1}, setup, "1 GPU")
    most = int(max((t.get("CPU", 0) for t in totals), default=0))
    if not most:
        raise InputError("--cluster: no node has CPU cores, a GPU or a TPU to spare for Ray's tasks")
    taken = 1 if local else min(devices, most)
    on_cpu = setup._replace(on_cpu=True, devices=devices, threads=threads, share=taken / most)
    return Needs({"num_cpus": taken}, on_cpu, "1 place" if local else f"{taken} CPU cores")
