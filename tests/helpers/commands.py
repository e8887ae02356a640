"""Commands as users give them, run in this process or in one of their own."""

import subprocess
import sys
from importlib import import_module

import pytest

from kd_jax import cli

NO_JAX = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"jax", "jaxlib", "flax", "matplotlib", "scipy"}:
            raise ImportError(name + " is imported")
sys.meta_path.insert(0, Block())
import runpy
module = sys.argv.pop(1)
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def process(module, *words):
    """Run a module in a process that can't import JAX."""
    call = [sys.executable, "-c", NO_JAX, module, *words]
    return subprocess.run(call, check=False, capture_output=True, text=True)


def ended(work, *given):
    """The status with which a call ends the process."""
    with pytest.raises(SystemExit) as end:
        work(*given)
    return end.value.code


def defined(module):
    """A module's command with its flags."""
    command, flags = import_module(module).COMMAND, cli.Flags()
    command.define(flags)
    return command, flags
