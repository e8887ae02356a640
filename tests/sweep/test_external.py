"""Students of a teacher that is none of ours: what it said reaches them, and nothing that it did not say."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from helpers.runs import carry_out, request, rows_without_times
from rich.console import Console

from kd_jax.corpora.conll import read_split
from kd_jax.corpora.registry import load
from kd_jax.distill.make_knowledge import TeachRequest, make_knowledge
from kd_jax.distill.store import MANIFEST
from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Student, Teacher, check_experiment
from kd_jax.sweep import externals
from kd_jax.sweep.request import prepare
from kd_jax.sweep.teachers import knowledge

TAUGHT = Experiment(
    name="from_outside",
    title="Students of an external teacher",
    single=(),
    multi=(),
    teachers=(Teacher(external="said"),),
    students=(Student("SM", alpha=0.0, beta=1.0),),
)


def write_said(path, corpora, branch, asked, unknown=()):
    """Made-up logits of every token asked about, [N, K], but for those that are unknown; returns them."""
    by_name = {corpus.name: corpus for corpus in load(corpora)}
    labels = by_name[branch].labels
    sentences = [s for name, split in asked for s in by_name[name].splits[split]]
    logits = np.random.default_rng(1).normal(size=(sum(len(s.tokens) for s in sentences), len(labels)))
    lines, at = [json.dumps({"label_names": labels[::-1]})], 0
    for s in sentences:
        rows = [None if at + i in unknown else logits[at + i, ::-1].tolist() for i in range(len(s.tokens))]
        lines.append(json.dumps({"tokens": s.tokens, "logits": rows}))
        at += len(s.tokens)
    path.write_text("\n".join(lines), encoding="utf-8")
    return logits.astype(np.float32)


def teach(corpora, workdir, path, **changes):
    asked = {"datasets": ["First"], "splits": ["train"]} | changes
    given = TeachRequest(teacher=str(path), data_dir=corpora, workdir=workdir, **asked)
    return make_knowledge(given, Console(file=io.StringIO()))


def asked_for(corpora, workdir, experiment=TAUGHT, **changes):
    settings = {"experiment": experiment, "targets": ("First",), "protocol": "train", "seeds": "1"} | changes
    return request(corpora, workdir, **settings)


class Quiet:
    def begin(self, _):
        pass


def heard(asked, workdir):
    (plan,), sweep_data = prepare(asked)
    (group,) = plan.students(None)
    context = type("Context", (), {"meter": Quiet(), "workdir": workdir})()
    return knowledge(plan, sweep_data, group, context), sweep_data, group


def test_students_hear_what_was_said_and_nothing_of_unknown_tokens(corpora, tmp_path):
    logits = write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train")], unknown=(0, 7))
    told = teach(corpora, tmp_path / "w", tmp_path / "said.jsonl")
    assert "2 of which it says nothing (masked)" in told
    found, _, _ = heard(asked_for(corpora, tmp_path / "w"), tmp_path / "w")
    known = np.ones(len(logits), bool)
    known[[0, 7]] = False
    np.testing.assert_array_equal(found.known, known)
    np.testing.assert_array_equal(found.outputs.logits[known], logits[known])
    assert found.outputs.task_hidden is found.outputs.shared_hidden is None
    centred = logits[known] - logits[known].mean(1, keepdims=True)
    assert found.scale.logits == pytest.approx(np.square(centred - centred.mean(0)).mean(), rel=1e-5)


def test_a_chain_is_matched_as_a_whole_or_not_at_all(corpora, tmp_path):
    write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train")], unknown=(7,))
    teach(corpora, tmp_path / "w", tmp_path / "said.jsonl")
    structured = replace(TAUGHT, assignments=("distill.match=posteriors",))
    found, sweep_data, _ = heard(asked_for(corpora, tmp_path / "w", structured), tmp_path / "w")
    lengths = [len(s.tokens) for s in sweep_data.corpora["First"].splits["train"]]
    of_sentences = np.split(found.known, np.cumsum(lengths)[:-1])
    holed = int(np.searchsorted(np.cumsum(lengths), 7, side="right"))
    assert [set(s.tolist()) for s in of_sentences] == [{i != holed} for i in range(len(lengths))]


def test_other_corpora_s_sentences_in_its_labels(corpora, tmp_path):
    shown = replace(TAUGHT, students=(Student("SM", alpha=0.0, beta=1.0, foreign=True),))
    logits = write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train"), ("Second", "train")])
    teach(corpora, tmp_path / "w", tmp_path / "said.jsonl", on=["Second"])
    limit = asked_for(corpora, tmp_path / "w", replace(shown, assignments=("distill.foreign=3",)))
    found, sweep_data, group = heard(limit, tmp_path / "w")
    own, other = (sweep_data.corpora[name].splits["train"] for name in ("First", "Second"))
    n_own = sum(len(s.tokens) for s in own)
    np.testing.assert_array_equal(found.outputs.logits[:n_own], logits[:n_own])
    from kd_jax.sweep.job import out_of_corpus_sentences

    (chosen,) = out_of_corpus_sentences(sweep_data, group).values()
    ends = n_own + np.cumsum([len(s.tokens) for s in other])
    expected = np.concatenate([logits[ends[i] - len(other[i].tokens) : ends[i]] for i in chosen])
    assert len(chosen) == 3
    np.testing.assert_array_equal(found.outputs.logits[n_own:], expected)


@pytest.mark.parametrize(("assignments", "asked"), [
    ((), {"First", "Second", "raw_text"}),
    (("distill.foreign=0",), {"First", "raw_text"}),
    (("distill.text=0",), {"First", "Second"}),
])  # fmt: skip
def test_it_is_asked_for_what_some_student_is_shown_alone(corpora, tmp_path, monkeypatch, assignments, asked):
    wanted = {}
    monkeypatch.setattr(
        externals, "identity", lambda _, name, queries: wanted.update({name: {q.corpus for q in queries}}) or name
    )
    (tmp_path / "text.txt").write_text("One more protein was found .\n")
    students = (
        Student("SM", alpha=0.0, beta=1.0, foreign=True, assignments=assignments),
        Student("SM beside", alpha=0.0, beta=1.0, foreign=True, teachers=(Teacher(external="beside"),)),
    )
    prepare(asked_for(corpora, tmp_path / "w", replace(TAUGHT, students=students), text=tmp_path / "text.txt"))
    assert wanted == {"said": asked, "beside": {"First", "Second", "raw_text"}}


def test_it_trains_and_another_teacher_is_another_model(corpora, tmp_path):
    write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train")], unknown=(3,))
    teach(corpora, tmp_path / "w", tmp_path / "said.jsonl")
    carry_out(asked_for(corpora, tmp_path / "w"))
    (row,) = rows_without_times(tmp_path / "w")
    assert (row["label"], row["status"], row["teachers"]) == ("SM", "ok", "shared")
    (before,), _ = prepare(asked_for(corpora, tmp_path / "w"))
    said = (tmp_path / "said.jsonl").read_text()
    (tmp_path / "said.jsonl").write_text(said + "\n")
    teach(corpora, tmp_path / "w", tmp_path / "said.jsonl")
    (after,), _ = prepare(asked_for(corpora, tmp_path / "w"))
    ids = [{spec.model_id for group in plan.students(None) for spec in group.specs} for plan in (before, after)]
    assert not ids[0] & ids[1]


def test_what_it_was_not_asked_about_is_one_line(corpora, tmp_path):
    with pytest.raises(InputError, match=r"said: nothing of First train .*run kd-jax teach"):
        prepare(asked_for(corpora, tmp_path / "w"))
    write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train")])
    teach(corpora, tmp_path / "w", tmp_path / "said.jsonl")
    prepare(asked_for(corpora, tmp_path / "w"))
    with pytest.raises(InputError, match="nothing of First devel"):
        prepare(asked_for(corpora, tmp_path / "w", protocol="train+devel"))
    shown = replace(TAUGHT, students=(Student("SM", alpha=0.0, beta=1.0, foreign=True),))
    with pytest.raises(InputError, match=r"nothing of Second train in the labels of First .*--on=Second"):
        prepare(asked_for(corpora, tmp_path / "w", shown))
    place = tmp_path / "w" / "external" / "said" / "First" / "train"
    manifest = json.loads((place / MANIFEST).read_text())
    (place / MANIFEST).write_text(json.dumps(manifest | {"tokens": 3}))
    with pytest.raises(InputError, match="damaged, its checksum differs"):
        prepare(asked_for(corpora, tmp_path / "w"))


def test_another_text_is_one_line(corpora, tmp_path):
    write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train")])
    teach(corpora, tmp_path / "w", tmp_path / "said.jsonl")
    other = tmp_path / "corpora" / "First"
    other.mkdir(parents=True)
    for split in ("train", "devel", "test"):
        text = (corpora / "First" / f"{split}.tsv").read_text()
        (other / f"{split}.tsv").write_text(text.replace("\tO", "x\tO", 1))
        assert read_split(other / f"{split}.tsv") != read_split(corpora / "First" / f"{split}.tsv")
    with pytest.raises(InputError, match="is of another text than First train is now"):
        prepare(asked_for(tmp_path / "corpora", tmp_path / "w"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"students": (Student("SM", 1.0, 1.0, gamma=0.5),)}, "'said' gives logits and no BiLSTM states"),
        ({"students": (Student("SM", 1.0, 1.0, start="words"),)}, "'said' has no words to start from"),
        ({"teachers": (Teacher("crf", external="said"),)}, "has no head, model, seeds or corpora; leave them out"),
        ({"teachers": (Teacher(external=3),)}, "write a name of kd-jax teach"),
    ],
)
def test_what_an_external_teacher_lacks_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check_experiment(replace(TAUGHT, **changes), "mine.py")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teacher": None}, "--from=hf:FOLDER, or a file"),
        ({"name": "../up"}, "no name for a teacher"),
        ({"splits": ["test"]}, "--splits=test: "),
        ({"datasets": ["Second"]}, "has no label B-Drug"),
    ],
)
def test_requests_that_can_not_be(corpora, tmp_path, changes, message):
    write_said(tmp_path / "said.jsonl", corpora, "First", [("First", "train")])
    asked = {"teacher": str(tmp_path / "said.jsonl"), "data_dir": corpora, "workdir": tmp_path / "w"} | changes
    with pytest.raises(InputError, match=message) as caught:
        make_knowledge(TeachRequest(**asked), Console(file=io.StringIO()))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "w").exists()
