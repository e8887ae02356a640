"""What every command shares: its flags, paths that users write, errors of one line, and the exit status.

Only the standard library is imported before a command's flags are read, so that `--help` answers at once.
"""

from kd_jax.cli.command import Command, help_text, run, version
from kd_jax.cli.ending import leave
from kd_jax.cli.flags import Flags, define_choice, define_notation, define_scheme
from kd_jax.cli.paths import path

__all__ = [
    "Command",
    "Flags",
    "define_choice",
    "define_notation",
    "define_scheme",
    "help_text",
    "leave",
    "path",
    "run",
    "version",
]
