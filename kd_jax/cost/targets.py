"""Devices that programs can be compiled for without having one, by their makers' data sheets.

The compilers come as packages: the TPU's is libtpu, the GPU's XLA's CUDA plugin and NVIDIA's assembler. Both are told
which chip to compile for; nothing is run.
"""

import importlib.metadata
import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kd_jax.errors import InputError, nearest


@dataclass(frozen=True)
class Target:
    """A device to compile for.

    Attributes:
        name: as users type it.
        platform: of the compiler.
        bytes: of its memory.
        bandwidth: of its memory, bytes a second.
        clock: cycles a second.
        topology: the smallest group of TPU chips that can be described, or "".
        chips: that programs are for, of the topology.
        chip: what XLA has to be told of a GPU, or "".
        kernels: whether our fused kernels run there; Triton needs an Ampere GPU or a later one.
    """

    name: str
    platform: Literal["tpu", "cuda"]
    bytes: int
    bandwidth: float
    clock: float
    topology: str = ""
    chips: int = 1
    chip: str = ""
    kernels: bool = True

    @property
    def bytes_a_cycle(self) -> float:
        """Of memory that can be read or written in a cycle."""
        return self.bandwidth / self.clock


def _chip(
    name: str, capability: tuple[int, int], cores: int, lanes: int, threads: int, shared: int, block: int, cache: int
) -> str:
    """XLA's description of a GPU; memory, bandwidth and clock are filled in later."""
    return f"""gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: {threads}
  shared_memory_per_block: 49152 shared_memory_per_block_optin: {block} shared_memory_per_core: {shared}
  core_count: {cores} fpus_per_core: {lanes} l2_cache_size: {cache}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: %(bandwidth)d clock_rate_ghz: %(clock)s device_memory_size: %(bytes)d
  cuda_compute_capability {{ major: {capability[0]} minor: {capability[1]} }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
runtime_version {{ major: 12 minor: 9 }}
device_description_str: "{name}"
"""


TARGETS = {
    target.name: target
    for target in (
        # Google Cloud's pages of each TPU version. The clock is what makes the peak rate of as many matrix units.
        Target("v5e", "tpu", 16 * 2**30, 819e9, 1.5e9, "v5e:2x2"),
        Target("v6e", "tpu", 32 * 2**30, 1640e9, 1.75e9, "v6e:2x2"),
        Target("v4", "tpu", 32 * 2**30, 1228e9, 1.05e9, "v4:2x2x1"),
        # NVIDIA's data sheets, and the limits of each compute capability in the CUDA programming guide.
        Target(
            "h100",
            "cuda",
            84942979072,
            3352e9,
            1.98e9,
            chip=_chip("NVIDIA H100 80GB HBM3", (9, 0), 132, 128, 2048, 233472, 232448, 52428800),
        ),
        Target(
            "t4",
            "cuda",
            15843721216,
            320e9,
            1.59e9,
            chip=_chip("Tesla T4", (7, 5), 40, 64, 1024, 65536, 65536, 4194304),
            kernels=False,
        ),
    )
}
EXTRAS = {
    "tpu": ("aot-tpu", ("libtpu",)),
    "cuda": ("aot-cuda", ("jax-cuda12-plugin", "jax-cuda12-pjrt", "nvidia-cuda-nvcc-cu12")),
}
"""The extra of each platform and the packages that it brings."""


def target_named(name: str) -> Target:
    """The device that a user named, such as v5e, or v5e:2x4 for eight of its chips.

    Raises:
        InputError: for an unknown one, and where its compiler is not installed.
    """
    kind, colon, shape = name.partition(":")
    if kind not in TARGETS:
        raise InputError(f"--compile_for={name}: {nearest(kind, TARGETS)}")
    target = TARGETS[kind]
    if colon:
        if target.platform != "tpu" or not re.fullmatch(r"[1-9]\d?(x[1-9]\d?)+", shape):
            raise InputError(f"--compile_for={name}: write a TPU and its chips as in v5e:2x2")
        target = replace(target, name=name, topology=name, chips=math.prod(map(int, shape.split("x"))))
    extra, packages = EXTRAS[target.platform]
    installed = {found.name for found in importlib.metadata.distributions() if found.name}
    if not installed.issuperset(packages):
        raise InputError(f"--compile_for={name}: needs its compiler, pip install 'kd_jax[{extra}]'")
    return target


def assembler() -> Path:
    """Folder of NVIDIA's assembler as its package puts it."""
    return Path(str(importlib.metadata.distribution("nvidia-cuda-nvcc-cu12").locate_file("nvidia/cuda_nvcc")))


def environment(target: Target, dump: Path) -> dict[str, str]:
    """What a process that compiles for a device needs in its environment before it imports JAX.

    Args:
        target: the device.
        dump: folder that gets the kernels' schedules or assembly.
    """
    common = {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if target.platform == "tpu":
        flags = f"--xla_jf_dump_to={dump} --xla_jf_dump_llo_text=true --xla_jf_dump_llo_pass_label_regex=final_bundles"
        # The lock of libtpu's first user would keep all others of the machine from compiling; none uses a chip.
        lock = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1"}
        return common | lock | {"LIBTPU_INIT_ARGS": flags}
    flags = (  # without a GPU nothing can be tried, so nothing is tuned
        f"--xla_gpu_autotune_level=0 --xla_gpu_cuda_data_dir={assembler()} --xla_dump_to={dump}"
    )
    return common | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}


def devices(target: Target) -> list[Any]:
    """JAX's devices of that kind, to lower for and not to run on; the process needs `environment`."""
    from jax.experimental import topologies  # noqa: PLC0415 - after the environment is set

    if target.platform == "tpu":
        described = topologies.get_topology_desc(platform="tpu", topology_name=target.topology)
        return list(described.devices)[: target.chips]
    sizes = {"bandwidth": int(target.bandwidth), "clock": target.clock / 1e9, "bytes": target.bytes}
    described = topologies.get_topology_desc(
        platform="cuda", topology_name=target.name, target_config=target.chip % sizes, topology="1x1x1"
    )
    return list(described.devices)
