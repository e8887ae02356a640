"""Paths among flags: meant or refused, and every flag that takes one."""

from importlib import import_module
from pathlib import Path

import pytest
from helpers.commands import defined, ended

from kd_jax import __main__ as top
from kd_jax import cli
from kd_jax.errors import InputError

HOME = "/home/somebody"


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("", "folder", "is empty; name a folder"),
        ("  ", "file", "is empty; name a file"),
        ("s3://bucket/w", "folder", "is an address"),
        ("gs://bucket/w", "any", "is an address"),
        ("https://host/w", "file", "is an address"),
        ("file:///tmp/w", "folder", "is an address"),
        ("-", "folder", "standard input and output can't be used here"),
        ("x" * 256, "folder", "longer than 255 bytes"),
        ("é" * 128 + "/w", "file", "longer than 255 bytes"),
        ("x/" * 5000, "folder", "can't be used as a path: File name too long"),
        ("a\0b", "file", "holds a character that no path can"),
        ("~nobody_of_this_name/w", "folder", "no such home folder"),
        ("FILE", "folder", "is a file, not a folder"),
        ("FOLDER", "file", "is a folder, not a file"),
        ("new/", "file", "ends in / as a folder does"),
        ("new/", "stem", "ends in / as a folder does"),
        ("FILE/x", "folder", None),
        ("x" * 255, "file", None),
        ("FOLDER/", "folder", None),
        ("new/", "folder", None),
        ("FOLDER", "any", None),
        ("FOLDER", "stem", None),
        ("a:b", "file", None),
    ],
)
def test_a_path_is_meant_or_refused(tmp_path, monkeypatch, text, kind, says):
    monkeypatch.chdir(tmp_path)
    Path("FILE").touch()
    Path("FOLDER").mkdir()
    if says is None:
        assert cli.path(text, kind, "--x=") == Path(text)
        return
    with pytest.raises(InputError, match=says) as refusal:
        cli.path(text, kind, "--x=")
    assert str(refusal.value).startswith(("--x=", "'--x="))
    assert len(str(refusal.value)) < 300
    assert "\n" not in str(refusal.value)


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", HOME)
    assert cli.path("~/runs/w", "folder") == Path(HOME) / "runs" / "w"
    assert cli.path("./~", "folder") == Path("~")
    assert cli.path("a~", "folder") == Path("a~")


FLAGS_WITH_PATHS = [
    (module, name)
    for module in top.COMMANDS.values()
    for shown, _ in defined(module)[1].lines
    if (name := shown.partition("=")[0]) != shown
    and shown.partition("=")[2].split(",")[0] in {"FOLDER", "FILE", "PATH"}
]


def test_every_flag_that_takes_a_path_is_one_of_the_shared_type():
    names = {(module.removeprefix("kd_jax.").removesuffix(".__main__"), name) for module, name in FLAGS_WITH_PATHS}
    assert names == {
        ("main", "--data_dir"), ("main", "--workdir"), ("tag", "--model"), ("tag", "--out"), ("ship", "--model"),
        ("ship", "--out"), ("ship", "--test"), ("card", "--workdir"), ("card", "--model"),
         ("card", "--data_dir"), ("report", "--workdir"),
        ("report", "--output"), ("corpora", "--data_dir"), ("corpora", "--out"), ("bench", "--data_dir"),
        ("bench", "--json"), ("bench", "--hlo"),
        ("evaluation", "--model"), ("evaluation", "--test"), ("evaluation", "--train"), ("evaluation", "--errors"),
        ("evaluation", "--json"), ("vectors", "--data_dir"), ("vectors", "--text"),
        ("vectors", "--words"), ("vectors", "--out"), ("teach", "--data_dir"), ("teach", "--workdir"),
        ("teach", "--text"), ("main", "--text"),
    }  # fmt: skip


@pytest.mark.parametrize(("module", "flag"), FLAGS_WITH_PATHS)
@pytest.mark.parametrize("value", ["", "s3://bucket/x", "x" * 300])
def test_every_flag_that_takes_a_path_refuses_what_is_none(capsys, module, flag, value):
    assert ended(cli.run, import_module(module).COMMAND, [f"{flag}={value}"], "it") == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {flag}=")
    assert (told.out, told.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("kd_jax.tag", ["--model=m", "s3://bucket/x.txt"]),
        ("kd_jax.corpora.__main__", ["check", "s3://bucket/x"]),
        ("kd_jax.main", ["--experiment=s3://bucket/x.py"]),
        ("kd_jax.main", ["--set=words.vectors=s3://bucket/x"]),
    ],
)
def test_words_and_settings_that_are_paths_are_too(capsys, module, words):
    assert ended(cli.run, import_module(module).COMMAND, words, "it") == 2
    assert "s3://bucket/x" in (told := capsys.readouterr().err)
    assert "is an address" in told
