"""The example that fine-tunes a teacher: what it writes can be asked, and what is wrong with its flags is one line."""

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.tiny_encoder import tiny_encoder

ROOT = Path(__file__).resolve().parents[1]


def run(*words):
    command = [sys.executable, str(ROOT / "examples" / "transformer_teacher" / "finetune.py"), *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_what_it_writes_labels_tokens_as_the_corpus_does(corpora, tmp_path):
    encoder = tiny_encoder(tmp_path / "bert", ("O", "B-Other"))  # its output layer is another's: drawn anew
    flags = (f"--data_dir={corpora}", "--datasets=First", f"--encoder={encoder}", f"--out={tmp_path / 'out'}")
    done = run(*flags, "--epochs=1")
    assert done.returncode == 0, done.stderr
    from kd_jax.distill.token_classifier import open_classifier

    assert set(open_classifier(tmp_path / "out").names) == {"O", "B-Gene", "I-Gene"}


@pytest.mark.parametrize("missing", ["data_dir", "encoder"])
def test_what_is_missing_is_one_line(corpora, tmp_path, missing):
    pytest.importorskip("transformers")
    (tmp_path / "d").mkdir()
    flags = {"data_dir": corpora, "datasets": "First", "encoder": tmp_path / "d", "out": tmp_path / "out"}
    said = {"data_dir": "--data_dir=FOLDER is needed", "encoder": f"{tmp_path / 'd'}: no config.json"}[missing]
    if missing == "data_dir":
        del flags["data_dir"]
    done = run(*(f"--{name}={value}" for name, value in flags.items()))
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (2, 1, "")
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_another_teacher_is_not_written_over_and_no_rows_are_no_batch(corpora, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_text("mine")
    for flags, said in (((), "already exists; name another folder"), (("--rows=0",), "at least 1")):
        done = run(f"--data_dir={corpora}", "--datasets=First", f"--out={tmp_path / 'out'}", *flags)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert said in done.stderr
    assert (tmp_path / "out" / "model.safetensors").read_text() == "mine"


def test_batches_hold_every_sentence_once_and_little_padding():
    pytest.importorskip("transformers")
    source = importlib.util.spec_from_file_location(
        "finetune", ROOT / "examples" / "transformer_teacher" / "finetune.py"
    )
    finetune = importlib.util.module_from_spec(source)
    source.loader.exec_module(finetune)
    random.seed(0)
    lengths = random.choices(range(3, 90), k=1001)
    batches = finetune.batched(lengths, 16)
    assert sorted(i for batch in batches for i in batch) == [*range(1001)]
    assert [len(batch) for batch in batches].count(16) == 62
    padded = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    assert padded < 1.1 * sum(lengths)
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest != sorted(longest)
