"""The command line: what each flag means or is refused for, exit statuses, Ctrl-C, and lists that need no JAX."""

import dataclasses
import errno
import os
import re
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import kd_jax
from kd_jax import __main__ as top
from kd_jax import cli
from kd_jax.errors import InputError, InterruptedRunError
from kd_jax.evaluation.significance import POSTHOCS
from kd_jax.experiment import experiments
from kd_jax.settings import SMALL, Settings
from kd_jax.sweep.explain import attributes, explain

MODULES = [name.removesuffix(".__main__") for name in top.COMMANDS.values()]
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


@pytest.fixture(autouse=True)
def usual_interrupts():
    """Commands that end change how their process answers Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def process(module, *words):
    call = [sys.executable, "-c", NO_JAX, module, *words]
    return subprocess.run(call, check=False, capture_output=True, text=True)


def ended(work, *given):
    with pytest.raises(SystemExit) as end:
        work(*given)
    return end.value.code


@pytest.fixture
def ran():
    """A command with every kind of flag, which keeps what it was given."""
    seen = []

    def define(flags):
        flags.text("text", None, "A text.")
        flags.whole("steps", 3, "Steps.")
        flags.number("alpha", 0.05, "Level.", 0.01, 0.5)
        flags.choice("posthoc", "nemenyi", ("nemenyi", "conover"), "Test.")
        flags.yes("starts", "Starts.", default=True)
        flags.words("datasets", [], "Corpora.")
        flags.repeated("set", "Setting.", "KEY=VALUE")
        flags.path("workdir", "Folder.")
        flags.path("json", "File.", "file")
        flags.path("out", "Either.", "any", dash=True)
        flags.paths("model", "Folders.", several="comma")
        flags.paths("both", "Folders.", several="repeat")

    command = cli.Command(
        "About it.\n\n  An example.", define, lambda given, words: seen.append((given, words)), "[FILE]"
    )
    return lambda *words: (ended(cli.run, command, words, "it"), seen[-1] if seen else None)


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
    about = cli.help_text(*_defined("kd_jax.report.__main__"), "it")
    assert "|".join(POSTHOCS) in about


def _defined(module):
    command, flags = import_module(module).COMMAND, cli.Flags()
    command.define(flags)
    return command, flags


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
    for shown, _ in _defined(module)[1].lines
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


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        (InputError("a\nb: wrong"), 2, "error: a b: wrong\n"),
        (InterruptedRunError("stopped by SIGTERM", 143), 143, "stopped by SIGTERM\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_ends_a_command_is_a_line_and_a_status(capsys, fault, status, says):
    def work():
        raise fault

    assert ended(cli.leave, work) == status
    assert capsys.readouterr().err == says


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: the output can't be written: No space left"),
        (ModuleNotFoundError("no", name="absl.flags"), "error: absl.flags is not installed here; is this the"),
    ],
)
def test_what_the_machine_lacks_is_a_line(capsys, fault, says):
    def work():
        raise fault

    assert ended(cli.leave, work) == 2
    assert capsys.readouterr().err.startswith(says)


@pytest.mark.parametrize("fault", [OSError(errno.ENOENT, "no", "a/file"), ModuleNotFoundError("no", name="kd_jax.x")])
def test_faults_of_ours_are_not_hidden(fault):
    def work():
        raise fault

    with pytest.raises(type(fault)):
        cli.leave(work)


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


def test_what_jax_refuses_to_start_with_is_a_line():
    program = "from kd_jax import cli\ndef work():\n    import jax\n    jax.numpy.ones(1)\ncli.leave(work)\n"
    for name, value, says in (
        ("JAX_PLATFORMS", "nonsense", "error: JAX does not start: Unable to initialize backend 'nonsense'"),
        ("JAX_ENABLE_COMPILATION_CACHE", "perhaps", "error: JAX does not start: invalid truth value 'perhaps'"),
    ):
        call = [sys.executable, "-c", program]
        done = subprocess.run(call, check=False, capture_output=True, text=True, env=os.environ | {name: value})
        assert done.returncode == 2
        assert done.stderr.startswith(says)
        assert f"{name}={value}" in done.stderr
        assert done.stderr.count("\n") == 1


def test_what_models_can_not_have_is_left_out_and_said(monkeypatch, capsys):
    monkeypatch.setenv("JAX_ENABLE_X64", "True")
    assert ended(cli.leave, lambda: print(os.environ["JAX_ENABLE_X64"])) == 0
    assert capsys.readouterr() == ("0\n", "JAX_ENABLE_X64 is left out: models are float32\n")


def test_a_full_disk_under_the_output_is_a_line():
    program = "import sys\nfrom kd_jax import cli\ncli.leave(lambda: print('x' * int(sys.argv[1])))"
    for size in ("10", "1000000"):
        with open("/dev/full", "w") as full:
            call = [sys.executable, "-c", program, size]
            done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr) == (2, "error: the output can't be written: No space left on device\n")


def test_closed_streams_are_empty_and_nobody_elses(tmp_path):
    program = (
        "import sys\nfrom kd_jax import cli\n"
        "def work():\n    with open(sys.argv[1], 'w') as file:\n        print(sys.stdin.read() + 'out')\n"
        "        print('err', file=sys.stderr)\n        file.write('mine')\ncli.leave(work)\n"
    )
    for closed in ("<&- >&- 2>&-", ">&-", "2>&-", "<&-"):
        call = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program, str(tmp_path / "file")]
        done = subprocess.run(call, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0
        assert (tmp_path / "file").read_text() == "mine"
        streams = ("" if " >" in f" {closed}" else "out\n", "" if "2>" in closed else "err\n")
        assert (done.stdout, done.stderr) == streams


def test_the_works_own_status_is_the_commands(capsys):
    assert [ended(cli.leave, lambda status=status: status) for status in (None, 0, 1)] == [0, 0, 1]


@pytest.mark.parametrize("module", ["jax", "textwrap"])
@pytest.mark.parametrize("command", [["-m", "kd_jax.main"], ["-m", "kd_jax", "tag", "--model=m", "--text=a"]])
def test_ctrl_c_while_modules_are_imported(tmp_path, command, module):
    """An import begins, then Ctrl-C is pressed; an import that swallows it changes nothing."""
    (tmp_path / f"{module}.py").write_text(
        "import time\nprint('importing', flush=True)\ntry:\n    time.sleep(60)\n"
        "except BaseException as fault:\n    raise ImportError('swallowed') from fault\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(kd_jax.__file__).parents[1])])
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
    ) as process_:  # fmt: skip
        assert process_.stdout.readline() == "importing\n"
        process_.send_signal(signal.SIGINT)
        _, told = process_.communicate(timeout=300)
    assert (process_.returncode, told) == (130, "interrupted\n")


def test_ctrl_c_in_mid_work_cleans_up_and_is_one_line(tmp_path):
    program = (
        "import sys, time\nfrom kd_jax import cli\n"
        "def work():\n    try:\n        print('working', flush=True)\n        time.sleep(60)\n"
        "    finally:\n        open(sys.argv[1], 'w').close()\ncli.leave(work)\n"
    )
    call = [sys.executable, "-c", program, str(tmp_path / "cleaned")]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process_:
        assert process_.stdout.readline() == "working\n"
        process_.send_signal(signal.SIGINT)
        _, told = process_.communicate(timeout=300)
    assert (process_.returncode, told) == (130, "interrupted\n")
    assert (tmp_path / "cleaned").exists()


def test_ctrl_c_that_is_ignored_stays_ignored():
    program = (
        "import os, signal\nfrom kd_jax import cli\n"
        "cli.leave(lambda: os.kill(os.getpid(), signal.SIGINT) or print('done'))\n"
    )
    call = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(call, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_a_reader_that_has_seen_enough_ends_it_quietly():
    call = [sys.executable, "-c", "from kd_jax import cli\ncli.leave(lambda: print('x' * 10**6))"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process_:
        process_.stdout.close()
        told = process_.stderr.read()
    assert (process_.wait(), told) == (0, b"")
