"""The flags of a command while they are defined, and those that several commands share."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from kd_jax.cli.paths import Kind, path
from kd_jax.errors import InputError, nearest

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
        self.parted: list[str] = []  # names of those whose values are parted by commas

    def text(self, name: str, default: str | None, about: str, shown: str = "TEXT") -> None:
        """A text; of a locale that knows only ASCII, where Python leaves what is beyond it as surrogates, as UTF-8."""

        def convert(text: str) -> str:
            return text if text.isascii() else os.fsencode(text).decode(errors="replace")

        self._define(name, default, about, shown, convert if sys.getfilesystemencoding() == "ascii" else str)

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
        self.parted.append(name)
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

        self.parted.append(name)

        def convert(text: str) -> list[Path]:
            return [path(part.strip(), kind, f"--{name}=") for part in text.split(",")]

        self._define(name, [], about, f"{shown},...", convert)

    def _define(self, name: str, default: Any, about: str, shown: str, convert: Callable[[str], Any]) -> None:
        self.absl.DEFINE(self._parser(convert), name, default, about, flag_values=self.values)
        self.lines.append((f"--{name}={shown}", _with_default(about, default)))

    def _parser(self, convert: Callable[[str], Any]) -> Any:
        class Parser(self.absl.ArgumentParser):  # type: ignore[name-defined]
            def parse(self, argument: Any) -> Any:
                # absl parses defaults too, which are values already.
                return convert(argument) if isinstance(argument, str) else argument

        return Parser()


def with_flagfiles(words: Sequence[str], inside: tuple[str, ...] = ()) -> list[str]:
    """Words with the lines of a --flagfile=FILE in its place; empty lines and those that begin with # or // are none.

    absl can read such files, but takes a byte order mark for part of the first flag, and only warns of a loop of files.

    Args:
        words: of a command line.
        inside: the files that these are from.

    Raises:
        InputError: for a file that can't be read, or is named inside itself.
    """
    found: list[str] = []
    for number, word in enumerate(words):
        if word == "--":
            return [*found, *words[number:]]
        name, equals, value = word.partition("=")
        if name not in {"--flagfile", "-flagfile"} or not equals:
            found.append(word)
            continue
        file = path(value, "file", "--flagfile=")
        if str(file.resolve()) in inside:
            raise InputError(f"--flagfile={value}: is named inside itself")
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as fault:
            raise InputError(
                f"--flagfile={value}: can't be read: {getattr(fault, 'strerror', None) or fault}"
            ) from None
        flags = [line for line in lines if line and not line.startswith(("#", "//"))]
        found += with_flagfiles(flags, (*inside, str(file.resolve())))
    return found


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


def _with_default(about: str, default: Any) -> str:
    return about if not default or "default:" in about else f"{about} Default: {default}."


def _number(name: str, text: str, kind: Callable[[str], Any], wanted: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"--{name}={text[:_SHOWN]}: write {wanted}") from None
