"""The command on corpora: what it prints, writes and answers, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import pytest

from kd_jax import corpora as room
from kd_jax.corpora import command as corpora
from kd_jax.corpora.conll import write_split
from kd_jax.errors import InputError
from kd_jax.structs import Sentence

LONG = Sentence(("a sentence that is long enough to count in the audit",), ("O",))
OTHER = Sentence(("another sentence that is long enough to count in it",), ("B-X",))


def put(
    data_dir: Path, name: str, train: list[Sentence], test: list[Sentence], devel: list[Sentence] | None = None
) -> None:
    (data_dir / name).mkdir(parents=True)
    for split, sentences in {"train": train, "devel": devel, "test": test}.items():
        if sentences:
            write_split(data_dir / name / f"{split}.tsv", sentences)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    put(tmp_path / "data", "mine", [OTHER], [LONG, OTHER], devel=[LONG])
    put(tmp_path / "data", "yours", [OTHER], [OTHER])
    return tmp_path / "data"


def command(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(Path(room.__file__).parents[2])}
    call = [sys.executable, "-m", "kd_jax.corpora", *map(str, arguments)]
    return subprocess.run(call, check=False, capture_output=True, text=True, cwd=folder, env=environment)


def test_check_says_what_is_wrong_and_fails(data_dir, capsys):
    assert corpora.check(data_dir, None, None) == 0
    assert "2 checked, all well" in capsys.readouterr().out
    (data_dir / "yours" / "test.tsv").write_text("a\tO\nb\tI-X\n")
    assert corpora.check(data_dir, None, None) == 1
    told = capsys.readouterr().out
    assert f"FAULT: {data_dir}/yours/test.tsv:2: 'I-X' after 'O'" in told
    assert "something is wrong with yours" in told
    assert corpora.check(data_dir, ["mine"], None) == 0
    assert corpora.check(data_dir / "yours", None, "IOB1") == 1  # train has a B- after O, which IOB1 has not
    assert corpora.check(data_dir / "mine", None, None) == 0


def test_audit_prints_and_writes_a_table_and_a_picture(data_dir, capsys, tmp_path):
    out = tmp_path / "made" / "overlap"
    assert corpora.audit(data_dir, None, None, ["train", "devel"], out) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[2].split() == ["1", "mine", "100.0", "50.0", "100.0", "2"]
    assert told[3].split() == ["2", "yours", "100.0", "100.0", "100.0", "1"]
    table = out.with_suffix(".md").read_text()
    assert "| mine | 100.0 | 50.0 | 100.0 | 2 |" in table
    assert "![heat map](overlap.png)" in table
    assert matplotlib.image.imread(out.with_suffix(".png")).ndim == 3
    assert sorted(os.listdir(out.parent)) == ["overlap.md", "overlap.png"]
    corpora.audit(data_dir, None, None, ["train"], out)
    assert "| mine | 50.0 | 50.0 | 50.0 | 2 |" in out.with_suffix(".md").read_text()
    with pytest.raises(InputError, match=r"--splits=tran: .*did you mean 'train'"):
        corpora.audit(data_dir, None, None, ["tran"], out)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/overlap"):
        corpora.audit(data_dir, None, None, ["train"], tmp_path / "file" / "overlap")


def test_list_knows_the_15_and_what_is_there(data_dir, capsys):
    put(data_dir, "NCBI-disease-IOB", [OTHER], [LONG])
    assert corpora.list_corpora(None) == 0
    assert len(capsys.readouterr().out.splitlines()) == 15
    assert corpora.list_corpora(data_dir) == 0
    states = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert states.count(["there", "NCBI"]) == 1
    assert [state for state, _ in states].count("missing") == 14
    assert states[15:] == [["there", "mine"], ["there", "yours"]]


def test_fetch_lays_out_a_copy_and_names_what_is_not_as_published(real_corpora, tmp_path, capsys):
    assert corpora.fetch(tmp_path, ["NCBI", "JNLPBA"], str(real_corpora), overwrite=False) == 0
    told = capsys.readouterr().out
    assert "NCBI         3 new" in told
    assert "train.tsv: checked by its counts" in told
    for path in tmp_path.rglob("*.tsv"):
        assert path.read_bytes() == (real_corpora / path.relative_to(tmp_path)).read_bytes()
    with (tmp_path / "JNLPBA" / "train.tsv").open("a") as file:
        file.write("\nmore\tO\n")
    with pytest.raises(InputError, match=r"1 of 3 files are not as published: JNLPBA/train\.tsv \(kept\)"):
        corpora.fetch(tmp_path, ["JNLPBA"], str(real_corpora), overwrite=False)
    with pytest.raises(InputError, match=r"BC4CHEMD/train\.tsv \(absent\)"):
        corpora.fetch(tmp_path, ["BC4CHEMD"], str(real_corpora), overwrite=False)


def test_help_teaches_each_command(tmp_path):
    told = command("--help", folder=tmp_path).stdout
    for part in ("corpora list", "corpora check DIR", "corpora audit DIR", "corpora fetch DIR", "--from", "--data_dir"):
        assert part in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "error: no command: known: audit, check, fetch, list"),
        (("adit",), "error: adit: did you mean 'audit'?"),
        (("check",), "error: check: of which folder?"),
        (("check", "a", "--data_dir=b"), "error: a and b: give one folder"),
        (("check", "data", "--datasets=mein"), "no corpus 'mein'; did you mean 'mine'?"),
        (("audit", "--data_dir", "absent"), "error: absent: no such folder"),
        (("fetch", "into", "--from=absent"), "error: --from=absent: no such folder or archive"),
    ],
)
def test_a_wrong_call_is_answered_in_one_line(data_dir, arguments, words):
    done = command(*arguments, folder=data_dir.parent)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_flags_may_follow_the_command(data_dir):
    done = command("audit", "data", "--out=made", "--datasets=yours", folder=data_dir.parent)
    assert done.returncode == 0, done.stderr
    assert (data_dir.parent / "made.md").is_file()
    mistyped = command("audit", "data", "--datsets=yours", folder=data_dir.parent)
    assert mistyped.returncode != 0
    assert "--datsets: no such flag; did you mean 'datasets'" in mistyped.stderr
