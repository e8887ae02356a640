"""A teacher that is a file: what was written is what is read, and every fault is one line."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from kd_jax.distill.given_outputs import SURE
from kd_jax.distill.output_files import read_outputs
from kd_jax.errors import InputError
from kd_jax.structs import Sentence

NAMES = ("O", "B-Gene", "I-Gene")
SENTENCES = [Sentence(("p53", "β", "binds"), ("O",) * 3), Sentence(("It", "acts"), ("O",) * 2)]
TOKENS = [token for s in SENTENCES for token in s.tokens]
LOGITS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
TAGS = ["B-Gene", "O", "I-Gene", "O", "O"]


def as_bytes(texts):
    return np.frombuffer("\n".join(texts).encode(), np.uint8)


def write(path, tokens=TOKENS, names=NAMES, **values):
    if path.suffix == ".npz":
        np.savez(path, tokens=np.array(tokens), label_names=np.array(names), **values)
    elif path.suffix == ".safetensors":
        arrays = {name: as_bytes(v) if isinstance(v, list) else v for name, v in values.items()}
        save_file({"tokens": as_bytes(tokens), "label_names": as_bytes(names), **arrays}, path)
    else:
        lines, at = [json.dumps({"label_names": names})], 0
        for s in SENTENCES:
            rows = {k: v[at : at + len(s.tokens)] for k, v in values.items()}
            rows = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in rows.items()}
            lines.append(json.dumps({"tokens": tokens[at : at + len(s.tokens)], **rows}))
            at += len(s.tokens)
        path.write_text("\n".join(lines), encoding="utf-8")
    return path


def read(path, sentences=SENTENCES):
    teacher = read_outputs(path)
    ((rows, logits),) = teacher.part(sentences, NAMES, "NCBI train").logits(sentences)
    return rows, logits, teacher


@pytest.fixture(params=["npz", "safetensors", "jsonl"])
def path(tmp_path, request):
    return tmp_path / f"said.{request.param}"


def test_logits_are_those_that_were_written(path):
    rows, logits, teacher = read(write(path, logits=LOGITS))
    assert rows.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(logits, LOGITS)
    assert teacher.names(NAMES) == NAMES
    teacher.end()


def test_probabilities_are_logits_of_the_same_distribution(path):
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    p[0] = [0.0, 1.0, 0.0]
    logits = read(write(path, probabilities=p))[1]
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), p, atol=1e-5)


def test_labels_are_nearly_sure(path):
    values = TAGS if path.suffix != ".safetensors" else np.array([NAMES.index(tag) for tag in TAGS])
    logits = read(write(path, labels=values))[1]
    p = np.exp(logits)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(p.max(1), SURE, rtol=1e-5)
    assert [NAMES[k] for k in p.argmax(1)] == TAGS


def test_parts_follow_each_other(path):
    teacher = read_outputs(write(path, logits=LOGITS))
    for part, rows in ((SENTENCES[:1], slice(0, 3)), (SENTENCES[1:], slice(3, 5))):
        ((_, logits),) = teacher.part(part, NAMES, "x").logits(part)
        np.testing.assert_array_equal(logits, LOGITS[rows])
    teacher.end()


def test_what_is_not_known_has_no_row(tmp_path):
    known = np.array([True, False, True, True, True])
    logits = LOGITS.copy()
    logits[1] = np.nan
    rows, found, _ = read(write(tmp_path / "a.npz", logits=logits, known=known))
    assert rows.tolist() == [0, 2, 3, 4]
    np.testing.assert_array_equal(found, LOGITS[rows])
    lines = write(tmp_path / "b.jsonl", logits=LOGITS).read_text().splitlines()
    holed = json.loads(lines[1])
    holed["logits"][1] = None
    (tmp_path / "b.jsonl").write_text("\n".join([lines[0], json.dumps(holed), lines[2]]))
    assert read(tmp_path / "b.jsonl")[0].tolist() == [0, 2, 3, 4]


def refused(message, path, sentences=SENTENCES):
    with pytest.raises(InputError, match=message) as caught:
        read(path, sentences)[2].end()
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_other_tokens_are_named(path):
    write(path, tokens=["p53", "b", *TOKENS[2:]], logits=LOGITS)
    refused("NCBI train, sentence 1, token 2: the file has 'b', the corpus 'β'", path)


def test_too_few_and_too_many_sentences(path):
    write(path, logits=LOGITS)
    refused(
        "sentence 3: the file ends, after 5 tokens, and 1 of 3 sentences are missing", path, [*SENTENCES, SENTENCES[0]]
    )
    refused("has 2 tokens more", path, SENTENCES[:1])


def test_numbers_that_are_none(path):
    for value, kind, what in (
        (np.nan, "logits", "not finite"),
        (-0.5, "probabilities", "below 0"),
        (3.0, "probabilities", "do not add up to 1"),
    ):
        values = np.full((5, 3), 1 / 3)
        values[3, 1] = value
        write(path, **{kind: values})
        refused(f"token 4 .'It'.: its {kind} .*{what}", path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "said.jsonl:1: no JSON"),
        ("[]", "said.jsonl:1: no object"),
        ('{"tokens": ["a"]}', "said.jsonl:1: gives nothing; give one of logits"),
        ('{"tokens": ["a"], "labels": ["O"], "logits": [[1]]}', "said.jsonl:1: gives logits and labels"),
        ('{"tokens": ["a"], "labels": []}', "an entry for each of the 1 tokens"),
        ('{"tokens": ["a"], "logits": [[1, 2]]}', ":1: logits, but no line so far says whose they are"),
        (
            '{"tokens": ["a"], "labels": ["O"]}\n{"tokens": ["b"], "logits": [[1]]}',
            ":2: gives logits, the lines",
        ),
        ("", "said.jsonl: holds no token"),
        ('{"label_names": ["O"]}', "said.jsonl: holds no token"),
        ('{"label_names": ["O", "B-X"]}\n{"label_names": ["B-X", "O"]}', ":2: other label_names than a line before"),
        ('{"tokens": ["a"], "labels": [0]}', ":1: labels has 0; give texts"),
        ('{"tokens": ["a"], "labels": [""]}', ":1: labels has ''; give texts"),
        ('{"tokens": ["a"], "labels": [null]}', "says nothing of any of its 1 tokens"),
        ('{"label_names": ["O"], "tokens": ["a"], "logits": [[true]]}', ":1: logits must be rows of 1 numbers"),
        ('{"label_names": ["O"], "tokens": ["a"], "logits": [["1"]]}', ":1: logits must be rows of 1 numbers"),
        ('{"label_names": ["O"], "tokens": ["a"], "logits": [[1, 2]]}', ":1: logits must be rows of 1 numbers"),
        (f'{{"label_names": ["O"], "tokens": ["a"], "logits": [[1{"0" * 400}]]}}', ":1: logits has a number that is"),
        ('{"label_names": ["O"], "tokens": ["a"], "logits": [[1e300]]}', "token 1 .'a'.: its logits are not finite in"),
        ('{"tokens": "a", "labels": ["O"]}', "tokens must be a list of texts"),
        ('{"label_names": ["O"], "tokens": ["a"], "logits": [["x"]]}', "rows of 1 numbers"),
    ],
)
def test_lines_that_are_none(tmp_path, content, message):
    (tmp_path / "said.jsonl").write_text(content)
    refused(message, tmp_path / "said.jsonl")


ONE = {"tokens": np.array(["a"]), "label_names": np.array(["O"])}
ROW = np.zeros((1, 1))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"tokens": np.array(["a"])}, "gives nothing"),
        ({"logits": np.zeros((1, 3))}, "has no array tokens"),
        ({"tokens": np.array(["a"]), "logits": ROW}, "no array label_names says whose they are"),
        ({"tokens": np.array(["a"]), "logits": np.zeros((2, 3))}, "logits of 2 tokens, and 1 tokens"),
        (ONE | {"logits": np.zeros((1, 3))}, "rows of 1 numbers, .* not 1 x 3"),
        (ONE | {"logits": np.array(3.0)}, "logits of no tokens, and 1 tokens"),
        *(
            (ONE | {"logits": ROW.astype(of)}, f"rows of 1 numbers, .* of .*{of}")
            for of in ("U1", "complex128", "bool")
        ),
        (ONE | {"logits": ROW.astype(object)}, "are pickles, which are never loaded"),
        (ONE | {"logits": ROW + 1e300}, "token 1 .'a'.: its logits are not finite in float32"),
        (ONE | {"tokens": np.array("a"), "logits": ROW}, "tokens must be a row of texts"),
        (ONE | {"label_names": np.array([["O"]]), "logits": ROW}, "label_names must be a row of texts, not 1 x 1"),
        (ONE | {"tokens": np.array([b"\xff"]), "logits": ROW}, "tokens can't be read"),
        (ONE | {"labels": np.array([1])}, "numbers of label_names, 0 to 0"),
        (ONE | {"labels": np.array([-1])}, "numbers of label_names, 0 to 0"),
        (ONE | {"labels": np.array(0)}, "labels of no tokens"),
        (ONE | {"labels": np.array([[0, 0]])}, "labels must be a row .* not 1 x 2 of int64"),
        (ONE | {"labels": np.array([0.0])}, "labels must be a row of texts .* not 1 of float64"),
        (ONE | {"labels": np.array([False])}, "labels must be a row of texts .* not 1 of bool"),
        ({"tokens": np.array(["a"]), "labels": np.array([0])}, "labels are numbers, but no array label_names"),
        (ONE | {"labels": np.array([""])}, "token 1 .'a'.: its label is empty"),
        *(
            (ONE | {"labels": np.array(["O"]), "known": np.array(known)}, "known must be true or false")
            for known in ([0.0, 1.0], ["yes"], [float("nan")], [2], True)
        ),
        (ONE | {"labels": np.array(["O"]), "known": np.array([0])}, "says nothing of any of its 1 tokens"),
        ({"tokens": np.zeros(0, "U1"), "labels": np.zeros(0, "U1")}, "holds no token"),
        ({"tokens": np.zeros(0, "U1"), "label_names": np.array(["O"]), "labels": np.zeros(0, int)}, "holds no token"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_arrays_that_are_none(tmp_path, arrays, message):
    np.savez(tmp_path / "said.npz", **arrays)
    refused(message, tmp_path / "said.npz")


def test_labels_of_tokens_that_are_not_known_may_be_anything(tmp_path):
    known = np.array([1, 0, 1, 1, 1])
    for values in (np.array([1, -100, 2, 0, 0]), np.array(["B-Gene", "", "I-Gene", "O", "O"])):
        rows, logits, _ = read(write(tmp_path / "a.npz", labels=values, known=known))
        assert rows.tolist() == [0, 2, 3, 4]
        assert [NAMES[k] for k in logits.argmax(1)] == ["B-Gene", "I-Gene", "O", "O"]


def test_bfloat16_is_a_number(tmp_path):
    values = LOGITS.astype(jnp.bfloat16)
    logits = read(write(tmp_path / "a.safetensors", logits=values))[1]
    np.testing.assert_array_equal(logits, values.astype(np.float32))


def test_files_that_are_none(tmp_path):
    for name in ("a.npz", "a.safetensors", "a.jsonl"):
        (tmp_path / name).write_bytes(b"\xff\xfe rubbish")
        refused("can't be read", tmp_path / name)
    refused("no such file", tmp_path / "absent.npz")
    (tmp_path / "a.csv").write_text("a,b")
    refused("is none of .jsonl, .npz, .safetensors", tmp_path / "a.csv")
