"""kd-jax COMMAND [--FLAG=VALUE ...]: every command of the package; `python -m kd_jax` is the same."""

import ast
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from kd_jax import cli
from kd_jax.errors import InputError, nearest

COMMANDS = {
    "train": "kd_jax.main",
    "models": "kd_jax.list_models",
    "tag": "kd_jax.tag",
    "ship": "kd_jax.ship",
    "teach": "kd_jax.teach",
    "vectors": "kd_jax.vectors",
    "evaluate": "kd_jax.evaluation.__main__",
    "card": "kd_jax.card",
    "clean": "kd_jax.clean",
    "report": "kd_jax.report.__main__",
    "corpora": "kd_jax.corpora.__main__",
    "bench": "kd_jax.bench.__main__",
    "doctor": "kd_jax.doctor",
}


def usage() -> str:
    """The commands with the first line of what each does, which is read without importing it."""
    lines = ["usage: kd-jax COMMAND [--FLAG=VALUE ...]", "", "commands (kd-jax COMMAND --help says more):"]
    for name, module in COMMANDS.items():
        spec = find_spec(module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        about = ast.get_docstring(ast.parse(source)) or ""
        lines.append(f"  {name:<8} {about.partition(chr(10))[0]}")
    return "\n".join(lines)


def answer(words: Sequence[str]) -> None:
    """Run the command that is named first."""
    name, *rest = words or [""]
    if name in {"-h", "--help", "help"}:
        print(usage())
    elif name == "--version":
        print(cli.version())
    elif name in COMMANDS:
        cli.run(import_module(COMMANDS[name]).COMMAND, rest, f"kd-jax {name}")
    else:
        what = f"{name}: no such command" if name else "no command is given"
        raise InputError(f"{what} (kd-jax --help says what each does); {nearest(name, COMMANDS)}")


def main() -> None:
    """The console script kd-jax."""
    cli.leave(lambda: answer(sys.argv[1:]))


if __name__ == "__main__":
    main()
