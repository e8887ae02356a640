"""The command that distils word vectors: what it reads and never reads, writes, says, and its exit status."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_encoder import WIDTH, tiny_encoder
from rich.console import Console

from kd_jax import vectors
from kd_jax.corpora.conll import write_split
from kd_jax.data.vectors import load_vectors
from kd_jax.distill.make_vectors import VectorsRequest, make_vectors
from kd_jax.errors import InputError
from kd_jax.settings import WordConfig
from kd_jax.structs import Sentence

AS_WRITTEN = WordConfig(lowercase=False, zero_digits=False)
SPLITS = {
    "train": "Genetic tumors IL-2 IL-6 il-6 of gene known words in a row",
    "devel": "developing words",
    "test": "secret zebra tests and so on and on for thirty characters",
}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    for name in ("mine", "yours"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for split, text in SPLITS.items():
            tokens = tuple(text.split()) if name == "mine" else ("common", split)
            write_split(tmp_path / "data" / name / f"{split}.tsv", [Sentence(tokens, ("O",) * len(tokens))])
    return tmp_path / "data"


def words_in(path: Path) -> set[str]:
    return {word.decode() for word in np.load(path)["words"].tolist()}


def quiet() -> Console:
    return Console(file=io.StringIO(), force_terminal=False)


def make(tmp_path: Path, data_dir: Path | None = None, **asked) -> tuple[set[str], str]:
    folder = tmp_path / "bert"
    if not folder.exists():
        tiny_encoder(folder)
    given = {"encoder": f"hf:{folder}", "dim": 4, "out": tmp_path / "w.npz"}
    told = make_vectors(VectorsRequest(data_dir=data_dir, **(given | asked)), quiet())
    return words_in(Path(told.split(":")[0])), told


def test_the_vocabulary_is_that_of_train_and_devel(data_dir, tmp_path):
    found, told = make(tmp_path, data_dir)
    of_train = {"genetic", "tumors", "il-0", "of", "gene", "known", "words", "in", "a", "row"}
    assert found == of_train | {"developing", "common", "train", "devel"}
    assert told.splitlines()[0].startswith(
        f"{tmp_path / 'w.npz'}: 14 words of mine (train+devel), yours (train+devel), 4 of {WIDTH} numbers with"
    )
    assert told.splitlines()[-1] == f"train with: --set=words.vectors={tmp_path / 'w.npz'} --set=words.dim=4"
    matrix, there, _ = load_vectors(tmp_path / "w.npz", sorted(found), 4)
    assert there.all()
    assert matrix.std() == pytest.approx(0.1, rel=1e-3)


def test_no_way_but_the_upper_bound_leads_to_test_words(data_dir, tmp_path):
    (tmp_path / "raw.txt").write_text(f"An abstract. {SPLITS['test'].capitalize()}. It ends.")
    of_test = {"secret", "zebra", "tests", "and", "so", "on", "test"}
    for number, asked in enumerate([{}, {"splits": ["train"]}, {"text": tmp_path / "raw.txt"}]):
        found, _ = make(tmp_path, data_dir, out=tmp_path / f"{number}.npz", **asked)
        assert not found & of_test, asked
    found, told = make(tmp_path, data_dir, upper_bound=True)
    assert found >= of_test
    assert told.startswith(f"{tmp_path / 'w-upper-bound.npz'}: 24 words")
    assert not (tmp_path / "w.npz").exists()
    with pytest.raises(InputError, match=r"--splits=test: .* Test words need --upper_bound"):
        make(tmp_path, data_dir, splits=["train", "test"])


def test_splits_text_lists_and_spelling_are_chosen(data_dir, tmp_path):
    (tmp_path / "raw.txt").write_text("An abstract.")
    (tmp_path / "list.txt").write_text("Listed2\n")
    given = {"text": tmp_path / "raw.txt", "words": tmp_path / "list.txt"}
    found, _ = make(tmp_path, data_dir, datasets=["mine"], splits=["train"], **given)
    of_train = {"genetic", "tumors", "il-0", "of", "gene", "known", "words", "in", "a", "row"}
    assert found == of_train | {"an", "abstract", "listed0"}
    found, _ = make(tmp_path, **given, dim=2, out=tmp_path / "raw.npz", spelling=AS_WRITTEN)
    assert found == {"An", "abstract", "Listed2"}  # the encoder has no piece for the full stop


def test_text_that_is_compared_with_no_test_split_is_said_to_be(data_dir, tmp_path):
    (tmp_path / "raw.jsonl").write_text(json.dumps({"text": f"An abstract. {SPLITS['test'].capitalize()}."}))
    asked = {"text": tmp_path / "raw.jsonl", "dim": 2}
    for given, words, number in ((data_dir, "without 1 test sentences", 0), (None, "compared with no test split", 1)):
        out = tmp_path / f"{number}.npz"
        found, told = make(tmp_path, given, out=out, **asked)
        assert {"an", "abstract"} < found
        assert ("zebra" in found) == (given is None)
        assert "text" not in found  # JSON's keys are no words
        assert f"raw.jsonl ({words})" in told.splitlines()[0]
        assert ("words of test sentences may be among those of the text" in told) == (given is None)
        assert f"raw.jsonl ({words})" in json.loads(np.load(out)["about"][0])["words of"][-1]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"encoder": None}, r"--from=hf:FOLDER is needed"),
        ({"encoder": "bert"}, r"--from=hf:FOLDER not 'bert'"),
        ({"encoder": "hf:/absent"}, r"/absent: no such folder"),
        ({"encoder": "hf:~nosuchuser/x"}, r"--from=hf:~nosuchuser/x: no such home folder"),
        ({"encoder": "hf:" + "a" * 300}, r"--from=hf:a+\.\.\.: a name in it is longer than 255 bytes"),
        ({"encoder": f"hf:{__file__}"}, r"--from=hf:.* is a file, not a folder"),
        ({"encoder": "hf:https://x/y"}, r"--from=hf:https://x/y: is an address"),
        ({"dim": 0}, r"--dim=0: give at least 1"),
        ({"data_dir": None}, r"no words: give corpora \(--data_dir\)"),
        ({"data_dir": None, "words": Path("x"), "upper_bound": True}, r"--upper_bound: of which corpora\? Give --data"),
        ({"data_dir": Path("/absent")}, r"/absent: no such folder"),
        ({"splits": ["trian"]}, r"--splits=trian: did you mean 'train'\?"),
        ({"out": Path("w.bin")}, r"--out=w.bin: the file is a .npz"),
    ],
)
def test_faults_are_one_line(data_dir, tmp_path, asked, message):
    given = {"encoder": f"hf:{tmp_path}", "data_dir": data_dir, "out": tmp_path / "w.npz"}
    with pytest.raises(InputError, match=message):
        make_vectors(VectorsRequest(**(given | asked)), quiet())
    assert not (tmp_path / "w.npz").exists()


def test_a_file_that_is_there_is_not_replaced(data_dir, tmp_path):
    make(tmp_path, data_dir)
    before = (tmp_path / "w.npz").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        make(tmp_path, data_dir)
    (tmp_path / "w.npz").unlink()
    (tmp_path / "w-upper-bound.npz").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"w-upper-bound\.npz: already exists"):
        make(tmp_path, data_dir, upper_bound=True)
    make(tmp_path, data_dir)
    assert (tmp_path / "w.npz").read_bytes() == before  # the same words, the same bytes


def command(*arguments: object, folder: Path, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{path}:{Path(vectors.__file__).parents[1]}"}
    call = [sys.executable, "-m", "kd_jax.vectors", *map(str, arguments)]
    return subprocess.run(call, check=False, capture_output=True, text=True, cwd=folder, env=environment)


def test_the_command_and_its_exit_status(data_dir, tmp_path):
    encoder = tiny_encoder(tmp_path / "bert")
    done = command(f"--from=hf:{encoder}", f"--data_dir={data_dir}", "--dim=3", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("words.npz: 14 words of mine")
    refused = command(f"--from=hf:{encoder}", f"--data_dir={data_dir}", "stray", folder=tmp_path)
    assert (refused.returncode, refused.stderr) == (2, "error: stray: flags look like --name=value\n")


def test_without_the_extra_it_is_named(data_dir, tmp_path):
    hidden = tmp_path / "hidden" / "transformers"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError('no', name='transformers')")
    folder = tmp_path / "bert"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (folder / name).write_text("{}")
    done = command(f"--from=hf:{folder}", f"--data_dir={data_dir}", folder=tmp_path, path=str(hidden.parent))
    assert done.returncode == 2
    assert done.stderr.endswith("not installed, which encoders need: pip install 'kd_jax[hf]'\n")
    assert done.stderr.count("\n") == 1
