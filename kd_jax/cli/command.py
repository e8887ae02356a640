"""A command from the words that a user gave to its exit status."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kd_jax.cli.ending import leave
from kd_jax.cli.flags import Flags, with_flagfiles
from kd_jax.errors import InputError, nearest


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        about: its help: what it does, how it is called.
        define: defines its flags.
        run: does it, given the flags' values and the words that are no flags; gives the exit status, None for 0.
        words: what words beside the flags are, for people; "" where none are taken.
        interrupted: the message on Ctrl-C.
    """

    about: str
    define: Callable[[Flags], None]
    run: Callable[[Any, list[str]], int | None]
    words: str = ""
    interrupted: str = "interrupted"


def run(command: Command, words: Sequence[str] | None = None, program: str | None = None) -> NoReturn:
    """Run a command to its exit status.

    Args:
        command: the command.
        words: flags and other words; None for the process's own.
        program: how it was called, for its help; None for `python -m` of the module that runs.
    """
    given = sys.argv[1:] if words is None else list(words)
    leave(lambda: _answer(command, given, program or _module()), command.interrupted)


def _module() -> str:
    spec = sys.modules["__main__"].__spec__
    return f"python -m {spec.name.removesuffix('.__main__')}" if spec else Path(sys.argv[0]).name


def _answer(command: Command, words: Sequence[str], program: str) -> int | None:
    defined = Flags()
    command.define(defined)
    absl, values = defined.absl, defined.values
    absl.DEFINE_boolean("help", default=False, help="", short_name="h", flag_values=values)
    absl.DEFINE_boolean("version", default=False, help="", flag_values=values)
    values.set_gnu_getopt()
    try:
        _refuse_repeated(defined, words)
        rest = values([program, *with_flagfiles(words)])[1:]
    except (absl.Error, InputError) as fault:
        # Who asks for help gets it, whatever else is wrong with the words.
        if {"-h", "--help"} & set(words):
            print(help_text(command, defined, program))
            return 0
        if isinstance(fault, absl.UnrecognizedFlagError):
            name = fault.flagname
            raise InputError(f"--{name}: no such flag; {nearest(name, values)}") from None
        # absl writes "flag --n=x: ..."; all other messages of a flag begin with itself.
        raise InputError(str(fault).removeprefix("flag ")) from None
    if values.help:
        print(help_text(command, defined, program))
        return 0
    if values.version:
        print(version())
        return 0
    if rest and not command.words:
        raise InputError(f"{rest[0]}: flags look like --name=value")
    from absl import logging  # noqa: PLC0415

    logging.set_verbosity(logging.WARNING)
    return command.run(values, rest)


def _refuse_repeated(defined: Flags, words: Sequence[str]) -> None:
    """Refuse a list that is given in two parts, of which only the last would count; a file's may be overridden."""
    given = [word.lstrip("-").partition("=")[0] for word in words if word.startswith("-")]
    for name in defined.parted:
        if given.count(name) > 1:
            raise InputError(f"--{name} is given {given.count(name)} times; write --{name}=A,B, parted by commas")


def version() -> str:
    """What `--version` prints."""
    from kd_jax import __version__  # noqa: PLC0415

    return f"kd_jax {__version__}"


def help_text(command: Command, defined: Flags, program: str) -> str:
    """What `--help` prints."""
    usage = " ".join(part for part in ("usage:", program, "[--FLAG=VALUE ...]", command.words) if part)
    lines = [usage, "", inspect.cleandoc(command.about).strip(), "", "flags:"]
    for shown, about in (*defined.lines, *_SHARED):
        lines.append(f"  {shown}")
        lines += textwrap.wrap(about, 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


_SHARED = (
    ("--flagfile=FILE", "Flags from a file, one a line; lines that begin with # are comments."),
    ("--version", "Print the version and stop."),
    ("-h, --help", "Print this and stop."),
)
