"""The independent PyTorch tagger's speed: its script is run as a process of its own and shares nothing with ours."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kd_jax.errors import InputError

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "torch_peer.py"


class Peer(NamedTuple):
    """How the peer is run.

    Attributes:
        corpus: folder with train.tsv and, to tag text, test.tsv.
        sizes: its arguments for our settings.
        steps: timed ones of one run.
        dtype: of its matmuls.
    """

    corpus: Path
    sizes: Sequence[str]
    steps: int
    dtype: str

    def speed(self, layout: Sequence[str]) -> dict[str, Any]:
        """Its own account of one run: tokens_per_s, tag_tokens_per_s, tokens_a_step, and what it ran with.

        Args:
            layout: its arguments for the form and size of a batch.

        Raises:
            InputError: where it fails, with the last line of what it said.
        """
        return self._run("speed", ("--steps", str(self.steps), "--warmup", "3", "--repeats", "1", *layout))

    def tagging(self, layout: str) -> dict[str, Any]:
        """Its own account of tagging test.tsv, from tokens to labels: tokens_per_s, latencies_ms.

        Args:
            layout: "packed" or "padded".

        Raises:
            InputError: where it fails, with the last line of what it said.
        """
        return self._run("tag", ("--layout", layout))

    def _run(self, mode: str, arguments: Sequence[str]) -> dict[str, Any]:
        # As many as ours has devices (`kd_jax.training.mesh.use_all_cores`), under taskset too.
        threads = str(len(os.sched_getaffinity(0)))
        fixed = ("--corpus", str(self.corpus), "--dtype", self.dtype, "--threads", threads)
        command = [sys.executable, str(SCRIPT), mode, *fixed, *self.sizes, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            last_line = (done.stderr.strip() or "nothing").splitlines()[-1]
            raise InputError(f"--peer: {SCRIPT.name} ended with status {done.returncode}: {last_line}")
        return json.loads(done.stdout.splitlines()[-1])


def check_peer() -> None:
    """See that the peer can be run.

    Raises:
        InputError: where its script or PyTorch is missing.
    """
    if not SCRIPT.is_file():
        raise InputError(f"--peer: {SCRIPT}: not there; the peer is part of a checkout, not of an installed package")
    if importlib.util.find_spec("torch") is None:
        raise InputError("--peer needs PyTorch; install it with: pip install -e '.[peer]'")


def trained_as_usual(tokens: float) -> tuple[str, ...]:
    """How such taggers are trained: shuffled sentences, packed.

    Args:
        tokens: real ones a step; 900 are about 32 sentences.
    """
    return ("--layout", "packed", "--tokens_per_step", str(round(tokens)))


def layouts(platform: str) -> tuple[tuple[str, ...], ...]:
    """Forms and sizes of batches that might be the peer's fastest.

    Args:
        platform: "cpu", or anything else for an accelerator with room for large batches.
    """
    sizes = (900, 1800, 3600) if platform == "cpu" else (900, 3600, 14400)
    padded = [("--layout", "padded", "--tokens_per_step", str(size), "--pool", "16") for size in sizes]
    packed = [("--layout", "packed", "--tokens_per_step", str(size), "--pool", "16") for size in sizes[::2]]
    return (*padded, *packed)
