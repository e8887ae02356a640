"""The command that asks a teacher of another kind, from its flags to its exit status."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.tiny_encoder import tiny_encoder
from safetensors.numpy import load_file, save_file


def run(*words, **environment):
    command = [sys.executable, "-m", "kd_jax.teach", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_a_transformer_is_asked_and_what_is_wrong_is_one_line(corpora, tmp_path):
    teacher = tiny_encoder(tmp_path / "bert", ("I-Gene", "O", "B-Gene", "B-Cell"))
    text = tmp_path / "some.txt"
    text.write_text("The gene. A tumor of genes.", encoding="utf-8")
    flags = (f"--data_dir={corpora}", "--datasets=First", f"--workdir={tmp_path / 'w'}")
    done = run(f"--from=hf:{teacher}", *flags, "--test", "--on=Second", f"--text={text}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("external/bert: what bert says")
    assert [line.partition(":")[0] for line in lines[1:-1]] == [
        "First train", "First devel", "First test",
        "Second train, in First's labels", "Second devel, in First's labels",
        "raw_text fine, in First's labels",
    ]  # fmt: skip
    assert all(line.endswith("B-Cell count as O") for line in lines[1:-1])
    assert ("F1" in lines[3], "F1" in lines[4]) == (True, False)
    stored = sorted(path.parent.relative_to(tmp_path / "w").as_posix() for path in tmp_path.rglob("w/**/manifest.json"))
    assert sorted(stored) == sorted(
        [f"external/bert/First{on}/{split}" for on in ("-on-Second", "") for split in ("devel", "train")]
        + ["external/bert/First-on-raw_text/fine"]
    )

    lacking = run(f"--from=hf:{teacher}", f"--data_dir={corpora}", "--datasets=Second", f"--workdir={tmp_path / 'v'}")
    assert (lacking.returncode, lacking.stderr.count("\n"), lacking.stdout) == (2, 1, "")
    assert "bert for Second: has no label I-Drug" in lacking.stderr or "no label B-Drug" in lacking.stderr
    assert not (tmp_path / "v").exists()


@pytest.mark.parametrize(
    ("source", "says"),
    [("hf:/nowhere", "no such folder"), ("said.csv", "no such file"), ("", "is needed: the teacher")],
)
def test_a_teacher_that_is_none_is_one_line(corpora, source, says):
    done = run(f"--from={source}", f"--data_dir={corpora}", "--datasets=First")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert says in done.stderr


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--splits="], "--splits=: is empty; name some of train, devel"),
        (["--splits=train,train"], "--splits=train,train: a split stands there twice; once is enough"),
        (["--splits=devel"], "First: no split devel; name others with --splits"),
    ],
)
def test_nothing_asked_is_one_line(corpora, tmp_path, flags, says):
    """Where nothing was said, no experiment is told that it may name the teacher."""
    data_dir = tmp_path / "data"
    (data_dir / "First").mkdir(parents=True)
    for split in ("train.tsv", "test.tsv"):
        (data_dir / "First" / split).write_bytes((corpora / "First" / split).read_bytes())
    teacher = tiny_encoder(tmp_path / "bert", ("I-Gene", "O", "B-Gene"))
    done = run(f"--from=hf:{teacher}", f"--data_dir={data_dir}", f"--workdir={tmp_path / 'w'}", *flags)
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert says in done.stderr
    assert not (tmp_path / "w").exists()


def test_a_model_that_gives_no_numbers_leaves_nothing_behind(corpora, tmp_path):
    teacher = tiny_encoder(tmp_path / "bert", ("I-Gene", "O", "B-Gene"))
    weights = load_file(teacher / "model.safetensors")
    weights["classifier.bias"] = np.full_like(weights["classifier.bias"], np.nan)
    save_file(weights, teacher / "model.safetensors", {"format": "pt"})
    done = run(f"--from=hf:{teacher}", f"--data_dir={corpora}", "--datasets=First", f"--workdir={tmp_path / 'w'}")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert "gives logits that are not finite" in done.stderr
    assert not (tmp_path / "w").exists()
