"""What each flag means or is refused for, help, and lists that need no JAX."""

import dataclasses
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest
from helpers.commands import defined, ended, process

import kd_jax
from kd_jax import __main__ as top
from kd_jax import cli
from kd_jax.evaluation.significance import POSTHOCS
from kd_jax.experiment import experiments
from kd_jax.settings import SMALL, Settings
from kd_jax.sweep.explain import attributes, each_setting, explain

MODULES = [name.removesuffix(".__main__") for name in top.COMMANDS.values()]


def test_values_of_every_kind(ran, tmp_path):
    (tmp_path / "file").touch()
    status, (given, words) = ran(
        "a", "--steps=5", "--nostarts", "--datasets=x,y", "--set", "a=1", "--set=b=2", f"--workdir={tmp_path}", "b",
        f"--json={tmp_path / 'file'}", "--out=-", "--model=m,n", "--both=o", "--both=p,q", "--alpha=0.5", "--", "--c",
    )  # fmt: skip
    assert (status, words) == (0, ["a", "b", "--c"])
    assert (given.steps, given.starts, given.datasets, given.set) == (5, False, ["x", "y"], ["a=1", "b=2"])
    assert (given.workdir, given.json, given.out) == (tmp_path, tmp_path / "file", Path("-"))
    assert (given.model, given.both) == ([Path("m"), Path("n")], [Path("o"), Path("p,q")])
    assert (given.alpha, given.posthoc, given.text) == (0.5, "nemenyi", None)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("--steps=x", "--steps=x: write a whole number"),
        ("--steps=1.5", "--steps=1.5: write a whole number"),
        ("--alpha=1", "--alpha=1: write a number from 0.01 to 0.5"),
        ("--alpha=nan", "--alpha=nan: write a number from 0.01 to 0.5"),
        ("--posthoc=conver", "--posthoc=conver: did you mean 'conover'?"),
        ("--posthok=conover", "--posthok: no such flag; did you mean 'posthoc'?"),
        ("--datsets=a", "--datsets: no such flag; did you mean 'datasets' or 'set'?"),
        ("--starts=perhaps", "--starts=perhaps"),
        ("--steps", "steps"),
        ("-x", "--x: no such flag"),
        ("--flagfile=nowhere", "nowhere"),
    ],
)
def test_a_wrong_flag_is_one_line_and_status_2(ran, capsys, word, says):
    assert ran(word) == (2, None)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert says in told.err


def test_a_list_in_two_parts_is_refused_and_not_cut_to_its_last(ran, capsys, tmp_path):
    for name in ("datasets", "model"):
        assert ran(f"--{name}=a", "--steps=1", f"--{name}=b") == (2, None)
        told = capsys.readouterr().err
        assert told == f"error: --{name} is given 2 times; write --{name}=A,B, parted by commas\n"
        assert ran(f"--{name}", "a", "--steps=1", f"--{name}", "b") == (2, None)
        assert capsys.readouterr().err == told
    (tmp_path / "flags").write_text("--datasets=a\n")
    _, (given, _) = ran(f"--flagfile={tmp_path / 'flags'}", "--datasets=b", "--set=a=1", "--set=b=2")
    assert (given.datasets, given.set) == (["b"], ["a=1", "b=2"])


def test_flags_from_a_file(ran, tmp_path):
    (tmp_path / "flags").write_text("# mine\n--steps=7\n--set=a=1\n")
    _, (given, _) = ran(f"--flagfile={tmp_path / 'flags'}", "--set=b=2")
    assert (given.steps, given.set) == (7, ["a=1", "b=2"])


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_wins_over_what_else_is_wrong(ran, capsys, word):
    assert ran("--steps=x", word) == (0, None)
    told = capsys.readouterr()
    assert told.err == ""
    for part in ("usage: it", "[FILE]", "An example", "--steps=N", "Default: 3", "--[no]starts", "nemenyi|conover"):
        assert part in told.out


@pytest.mark.parametrize("module", [*MODULES, "kd_jax"])
@pytest.mark.parametrize("word", ["-h", "--help", "--version"])
def test_help_and_version_need_no_jax(module, word):
    done = process(module, word)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"kd_jax {kd_jax.__version__}" if word == "--version" else "usage: ")


@pytest.mark.parametrize("module", MODULES)
def test_a_word_or_flag_that_no_command_knows(module):
    done = process(module, "--no_such_flag=1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: --no_such_flag: no such flag; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ((), 2, "error: no command is given (kd-jax --help says what each does); known: bench, card"),
        (("tga",), 2, "error: tga: no such command (kd-jax --help says what each does); did you mean 'tag'?"),
        (("train", "x"), 2, "error: x: flags look like --name=value"),
        (("train", "--set=epochs=x"), 2, None),
        (("ship",), 2, "error: --model=FOLDER of a trained student and --out"),
        (("card",), 2, "error: give --workdir=W"),
        (("corpora", "check", "nowhere"), 2, None),
        (("tag", "--help"), 0, "usage: kd-jax tag "),
    ],
)
def test_subcommands(capsys, monkeypatch, words, status, says):
    monkeypatch.setattr(sys, "argv", ["kd-jax", *words])
    assert ended(top.main) == status
    told = capsys.readouterr()
    assert says is None or says in told.out + told.err
    assert (told.err.count("\n"), told.err.startswith("error: ")) == ((1, True) if status else (0, False))


def test_the_list_of_commands_has_a_line_each():
    lines = top.usage().splitlines()[3:]
    assert [line.split()[0] for line in lines] == list(top.COMMANDS)
    for line, module in zip(lines, top.COMMANDS.values(), strict=True):
        assert line.split(None, 1)[1] == import_module(module).__doc__.splitlines()[0]


def test_experiments_and_settings_are_listed_without_jax():
    done = process("kd_jax.main", "--experiment=list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(experiments())
    assert re.search(
        r"^logits +table 1  Students that learn from the logits of one softmax teacher$", done.stdout, re.M
    )
    done = process("kd_jax.main", "--set=help")
    assert (done.returncode, done.stderr) == (0, "")
    names = {line.partition("=")[0] for line in done.stdout.splitlines() if line[0] != " "}
    assert {"model.words.dim", "train.epochs", "lanes.at_once"} < names
    assert "train.epochs=WHOLE NUMBER  (default: 20; bundled sample: 14)" in done.stdout
    assert "train.schedule=constant|linear|cosine  (default: linear)" in done.stdout
    assert "distill.foreign=WHOLE NUMBER|all  (default: all)" in done.stdout


def test_every_setting_has_a_sentence_however_its_docstring_is_indented():
    def leaves(node, prefix=""):
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            inner = dataclasses.is_dataclass(value)
            yield from leaves(value, f"{prefix}{field.name}.") if inner else [prefix + field.name]

    explained = [line.partition("=")[0] for line in explain(Settings(), {"s": SMALL}) if line[0] != " "]
    assert explained == list(leaves(Settings()))
    assert all(sentence for *_, sentence in each_setting(Settings()))

    class Indented:
        """One.

        Attributes:
            a: first
                and more.
            b: second: with a colon.
        """

    class Dedented:
        __doc__ = "One.\n\nAttributes:\n    a: first\n        and more.\n    b: second: with a colon.\n"

    wanted = {"a": "first and more.", "b": "second: with a colon."}
    assert attributes(Indented) == attributes(Dedented) == wanted


def test_choices_that_flags_repeat_are_those_that_there_are():
    about = cli.help_text(*defined("kd_jax.report.__main__"), "it")
    assert "|".join(POSTHOCS) in about


def test_flags_from_a_file_as_any_editor_writes_it(ran, tmp_path, capsys):
    (tmp_path / "inner.flags").write_text("--alpha=0.1\n")
    (tmp_path / "run.flags").write_bytes(
        f"\ufeff# a comment\r\n\r\n--steps=7\r\n--flagfile={tmp_path / 'inner.flags'}\r\n// another\r\n".encode()
    )
    status, (given, _) = ran(f"--flagfile={tmp_path / 'run.flags'}", "--text=a")
    assert (status, given.steps, given.alpha, given.text) == (0, 7, 0.1, "a")
    (tmp_path / "loop.flags").write_text(f"--flagfile={tmp_path / 'loop.flags'}\n")
    for name, says in (("loop.flags", "is named inside itself"), ("missing.flags", "No such file"), ("", "is empty")):
        status, _ = ran(f"--flagfile={tmp_path / name if name else name}")
        told = capsys.readouterr().err
        assert (status, told.count("\n")) == (2, 1)
        assert says in told
