"""What every command shares: its flags, paths that users write, errors of one line, and the exit status.

Only the standard library is imported before a command's flags are read, so that `--help` answers at once.
"""

import inspect
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

from kd_jax.errors import InputError, InterruptedRunError, nearest

Kind = Literal["folder", "file", "any", "stem"]
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LONGEST_NAME = 255  # bytes of one part of a path, on every file system in common use
_SHOWN = 60


class Flags:
    """The flags of one command while they are defined, with what `--help` says of each.

    A value that a flag can't have is an `InputError` that names the flag.
    """

    def __init__(self) -> None:
        from absl import flags  # noqa: PLC0415 - models are loaded without absl

        self.absl: Any = flags
        self.values = flags.FlagValues()
        self.lines: list[tuple[str, str]] = []

    def text(self, name: str, default: str | None, about: str, shown: str = "TEXT") -> None:
        """A text."""
        self._define(name, default, about, shown, str)

    def whole(self, name: str, default: int | None, about: str) -> None:
        """A whole number."""
        self._define(name, default, about, "N", lambda text: _number(name, text, int, "a whole number"))

    def number(self, name: str, default: float, about: str, least: float, most: float) -> None:
        """A number between two bounds."""

        def convert(text: str) -> float:
            value = _number(name, text, float, "a number")
            if not least <= value <= most:
                raise InputError(f"--{name}={text}: write a number from {least:g} to {most:g}")
            return value

        self._define(name, default, about, "X", convert)

    def choice(self, name: str, default: str | None, known: Sequence[str], about: str) -> None:
        """One of some words."""

        def convert(text: str) -> str:
            if text not in known:
                raise InputError(f"--{name}={text[:_SHOWN]}: {nearest(text, known)}")
            return text

        self._define(name, default, about, "|".join(known), convert)

    def yes(self, name: str, about: str, *, default: bool | None = False) -> None:
        """Yes or no: --name or --noname."""
        self.absl.DEFINE_boolean(name, default, about, flag_values=self.values)
        self.lines.append((f"--[no]{name}", about))

    def words(self, name: str, default: Sequence[str] | None, about: str, shown: str = "NAME") -> None:
        """Words parted by commas."""
        given = None if default is None else list(default)
        self.absl.DEFINE_list(name, given, about, flag_values=self.values)
        self.lines.append((f"--{name}={shown},...", _with_default(about, ",".join(default or ()))))

    def repeated(self, name: str, about: str, shown: str) -> None:
        """A text that may be given several times; a list."""
        self.absl.DEFINE_multi_string(name, [], about, flag_values=self.values)
        self.lines.append((f"--{name}={shown}", about))

    def path(
        self, name: str, about: str, kind: Kind = "folder", default: str | None = None, *, dash: bool = False
    ) -> None:
        """A path, as `path` reads it."""
        shown = {"folder": "FOLDER", "file": "FILE", "any": "PATH", "stem": "PATH"}[kind]
        self._define(name, default, about, shown, lambda text: path(text, kind, f"--{name}=", dash=dash))

    def paths(self, name: str, about: str, kind: Kind = "folder", *, several: Literal["comma", "repeat"]) -> None:
        """Paths, parted by commas or each with a flag of its own; a list."""
        shown = kind.upper()
        if several == "repeat":
            parser = self._parser(lambda text: path(text, kind, f"--{name}="))
            self.absl.DEFINE_multi(parser, None, name, [], about, flag_values=self.values)
            self.lines.append((f"--{name}={shown}", about))
            return

        def convert(text: str) -> list[Path]:
            return [path(part.strip(), kind, f"--{name}=") for part in text.split(",")]

        self._define(name, [], about, f"{shown},...", convert)

    def _define(self, name: str, default: Any, about: str, shown: str, convert: Callable[[str], Any]) -> None:
        self.absl.DEFINE(self._parser(convert), name, default, about, flag_values=self.values)
        self.lines.append((f"--{name}={shown}", _with_default(about, default)))

    def _parser(self, convert: Callable[[str], Any]) -> Any:
        class Parser(self.absl.ArgumentParser):  # type: ignore[name-defined]
            def parse(self, argument: Any) -> Any:
                return convert(argument) if isinstance(argument, str) else argument

        return Parser()


def define_scheme(flags: Flags) -> None:
    """The flag that says in which scheme corpora are written; `kd_jax.corpora.registry.load` reads it."""
    flags.text(
        "scheme",
        None,
        "Tag scheme of the files: IOB2, IOBES or IOB1, for all corpora or CORPUS:SCHEME,... for some;"
        " default: IOBES if they have E- or S-, else IOB2.",
        "SCHEME|CORPUS:SCHEME,...",
    )


def define_notation(flags: Flags) -> None:
    """The flags that say how the files of corpora are written; `kd_jax.corpora.registry.load` reads them."""
    define_scheme(flags)
    flags.text(
        "entity_type",
        None,
        "The type of files that have bare B, I and O, for all corpora or CORPUS:TYPE,... for some;"
        " default: the corpus's only type if it is a known one, else the corpus's name.",
        "TYPE|CORPUS:TYPE,...",
    )


def define_choice(flags: Flags) -> None:
    """The flags that say which of the models below --model is meant; `kd_jax.export.found.choose` reads them."""
    flags.text("label", None, 'Of the models below --model, those of a table\'s column, such as "SM a=0.5".', "LABEL")
    flags.yes("best", "Of the models below --model that are left, that of the highest F1.")


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        about: its help: what it does, how it is called.
        define: defines its flags.
        run: does it, given the flags' values and the words that are no flags; gives the exit status, None for 0.
        words: what words beside the flags are, for people; "" where none are taken.
        interrupted: what Ctrl-C is answered with.
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


def leave(work: Callable[[], int | None], interrupted: str = "interrupted") -> NoReturn:
    """Do some work and end the process: what is wrong with the input is one line, and so is Ctrl-C.

    Exit status: the work's own; 2 for an `InputError`, 130 for Ctrl-C, even while modules are imported. A reader of
    standard output that has seen enough ends it quietly.
    """
    _answer_interrupts(signal.default_int_handler, _on_interrupt)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a display that can't show a sign is no reason to fail
    try:
        status = work() or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except InputError as fault:
        status = _say(f"error: {fault}", 2)
    except InterruptedRunError as stopped:
        status = _say(str(stopped), stopped.exit_status)
    except KeyboardInterrupt:
        status = _say(interrupted, 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    _answer_interrupts(_on_interrupt, _end_at_once)  # threads that are waited for are no traceback
    sys.exit(status)


def _answer_interrupts(before: Callable[..., Any], now: Callable[..., Any]) -> None:
    """Change how Ctrl-C is answered; not where it is ignored, as under nohup, nor outside of the main thread."""
    if signal.getsignal(signal.SIGINT) is before:
        with suppress(ValueError):
            signal.signal(signal.SIGINT, now)


def _end_at_once(*_: Any) -> NoReturn:
    os._exit(130)


def _on_interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, but end at once within an import.

    Extension modules turn a KeyboardInterrupt of their import into other errors, or drop it.
    """
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with suppress(OSError):
                os.write(2, b"interrupted\n")
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt


def _say(line: str, status: int) -> int:
    _answer_interrupts(_on_interrupt, _end_at_once)
    with suppress(OSError, ValueError):
        if sys.stderr is not None:
            print(" ".join(line.splitlines()), file=sys.stderr, flush=True)
    return status


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
        rest = values([program, *words])[1:]
    except (absl.Error, InputError) as fault:
        if {"-h", "--help"} & set(words):
            print(help_text(command, defined, program))
            return 0
        if isinstance(fault, absl.UnrecognizedFlagError):
            name = fault.flagname
            raise InputError(f"--{name}: no such flag; {nearest(name, values)}") from None
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


def _with_default(about: str, default: Any) -> str:
    return about if not default or "default:" in about else f"{about} Default: {default}."


def _number(name: str, text: str, kind: Callable[[str], Any], wanted: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"--{name}={text[:_SHOWN]}: write {wanted}") from None


def path(text: str, kind: Kind, flag: str = "", *, dash: bool = False) -> Path:
    """A path as a user writes it: a leading ~ is the home folder.

    Args:
        text: as written.
        kind: "folder" or "file" where the other is refused, "stem" for what gets endings appended, or "any".
        flag: what stands before it in messages, such as "--workdir=".
        dash: whether - is meant, as standard input or output; it is then given back as it is.

    Raises:
        InputError: for what is empty, an address such as s3://..., -, or too long; and for a folder where a file is
            wanted, and the other way round.
    """
    shown = flag + (text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    if not text.strip():
        raise InputError(f"{flag or 'a path'}: is empty; name a {'folder' if kind == 'folder' else 'file'}")
    if text == "-":
        if dash:
            return Path(text)
        raise InputError(f"{shown}: standard input and output can't be used here; name a path (./- if it is called -)")
    if _ADDRESS.match(text):
        raise InputError(f"{shown}: is an address; copy or mount it on this machine, and name that path")
    try:
        found = Path(os.path.expanduser(text))
        if text.startswith("~") and str(found).startswith("~"):
            raise InputError(f"{shown}: no such home folder; write it out")
        if any(len(os.fsencode(part)) > _LONGEST_NAME for part in found.parts):
            raise InputError(f"{shown}: a name in it is longer than {_LONGEST_NAME} bytes; give a shorter one")
        with suppress(FileNotFoundError, NotADirectoryError):
            found.lstat()
        is_folder, is_there = found.is_dir(), found.exists()
    except ValueError:
        raise InputError(f"{shown!r}: holds a character that no path can") from None
    except OSError as fault:
        raise InputError(f"{shown}: can't be used as a path: {fault.strerror or fault}") from None
    if kind == "folder" and is_there and not is_folder:
        raise InputError(f"{shown}: is a file, not a folder; name a folder")
    if kind == "file" and is_folder:
        raise InputError(f"{shown}: is a folder, not a file; name a file")
    if kind in {"file", "stem"} and text.endswith(os.sep):
        raise InputError(f"{shown}: ends in {os.sep} as a folder does; name a file")
    return found
