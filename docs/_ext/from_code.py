"""Reference pages that are written from the code, so that they can't say something else than it does.

`{from_code} settings` stands for every setting of `--set`, `commands` for what `--help` of each command prints,
`experiments` for the experiments that come along, and `columns` for the columns of results.csv and types.csv.
"""

import inspect
from importlib import import_module
from itertools import groupby
from operator import attrgetter

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from kd_jax import cli
from kd_jax.__main__ import COMMANDS
from kd_jax.evaluation.results import Row, TypeRow
from kd_jax.experiment import experiments, load_experiment
from kd_jax.settings import SMALL, Settings
from kd_jax.sweep.explain import attributes, each_setting


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


def _table(head: list[str], lines: list[list[str]]) -> list[str]:
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(line) + " |" for line in lines),
        "",
    ]


def settings() -> list[str]:
    """A section for each group of settings, with the first sentence of its class."""
    small = {name: value for name, _, value, _ in each_setting(SMALL)}
    text = []
    for group, found in groupby(each_setting(Settings()), lambda setting: setting[0].rpartition(".")[0]):
        about = inspect.cleandoc(attrgetter(group)(Settings()).__doc__ or "").partition("\n")[0]
        text += [f"## {group}", "", about, ""]
        for name, values, default, sentence in found:
            shown = f"`{default}`" if default != "" else "none"
            shown += f", for the bundled sample `{small[name]}`" if small[name] != default else ""
            text += [f"`{name}`", f": {_escaped(sentence)}", f"  *Values:* `{values}`. *Default:* {shown}.", ""]
    return text


def commands() -> list[str]:
    """A section for each command, with what its `--help` prints."""
    text = []
    for name, module in COMMANDS.items():
        command = import_module(module).COMMAND
        defined = cli.Flags()
        command.define(defined)
        text += [f"## kd-jax {name}", "", "```text", cli.help_text(command, defined, f"kd-jax {name}"), "```", ""]
    return text


def catalogue() -> list[str]:
    """The experiments that come along."""
    found = [load_experiment(name) for name in experiments()]
    lines = [[f"`{e.name}`", f"table {e.table}" if e.table else "", _escaped(e.title)] for e in found]
    return _table(["experiment", "of the paper", "what it shows"], lines)


def columns() -> list[str]:
    """Columns of the two tables of a work folder."""
    text = []
    for name, kind in (("results.csv", Row), ("types.csv", TypeRow)):
        told = attributes(kind)
        about = inspect.cleandoc(kind.__doc__ or "").partition("\n")[0]
        lines = [[f"`{column}`", _escaped(told.get(column, ""))] for column in kind.__dataclass_fields__]
        text += [f"## {name}", "", about, "", *_table(["column", "what it is"], lines)]
    return text


KINDS = {"settings": settings, "commands": commands, "experiments": catalogue, "columns": columns}


class FromCode(SphinxDirective):
    """`{from_code} KIND`: text that is written from the code."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The parsed text."""
        return self.parse_text_to_nodes("\n".join(KINDS[self.arguments[0]]()), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("from_code", FromCode)
    return {"parallel_read_safe": True}
