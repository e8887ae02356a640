"""Students that are shown raw text: the teacher speaks of it, and none of it stands in their test split."""

from dataclasses import replace

import pytest
from helpers.runs import carry_out, request, rows_without_times

from kd_jax.distill.store import MANIFEST
from kd_jax.errors import InputError
from kd_jax.experiment import Experiment, Student
from kd_jax.sweep.job import make_job, out_of_corpus_sentences
from kd_jax.sweep.request import prepare

SHOWN = Experiment(
    name="of_text",
    title="Students of raw text",
    multi=(),
    students=(
        Student("SM", alpha=0.5, beta=0.5),
        Student("SM text", alpha=0.5, beta=0.5, foreign=True, assignments=("distill.foreign=0",)),
        Student("SM less", alpha=0.5, beta=0.5, foreign=True, assignments=("distill.foreign=0", "distill.text=5")),
    ),
)


@pytest.fixture
def text(corpora, tmp_path):
    """Thirty sentences of its own, and First's test split."""
    test = (corpora / "First" / "test.tsv").read_text().split("\n\n")
    tested = [" ".join(line.split("\t")[0] for line in s.splitlines()) for s in test]
    lines = [f"The protein number{i} was found in sample{i} again." for i in range(30)]
    (tmp_path / "some.txt").write_text("\n\n".join([*lines[:9], *tested, *lines[9:]]), encoding="utf-8")
    return tmp_path / "some.txt"


def asked_for(corpora, workdir, experiment=SHOWN, **changes):
    settings = {"experiment": experiment, "targets": ("First",), "seeds": "1"} | changes
    return request(corpora, workdir, **settings)


def groups(plan):
    return {group.specs[0].label: group for group in plan.students(None)}


def test_what_students_are_shown(corpora, text, tmp_path, capsys):
    (plan,), sweep_data = prepare(asked_for(corpora, tmp_path / "w", text=text))
    of = groups(plan)
    (whole,) = out_of_corpus_sentences(sweep_data, of["SM text"]).items()
    (some,) = out_of_corpus_sentences(sweep_data, of["SM less"]).items()
    assert whole[0] == some[0] == ("raw_text", "fine")
    assert len(some[1]) == 5
    assert set(some[1].tolist()) < set(whole[1].tolist())
    from kd_jax.corpora.overlap import keys

    test = set(keys(sweep_data.corpora["First"].splits["test"]))
    shown = [sweep_data.sentences(*whole[0])[i] for i in whole[1]]
    assert test
    assert not test & set(keys(shown))
    assert sum(s.tokens[:2] == ("The", "protein") for s in shown) == 30
    told = capsys.readouterr().err
    assert f"{len(test)} also occur in First's test split and are left out" in told
    job, _ = make_job(sweep_data, of["SM less"], of["SM less"].specs)
    assert len(job.unlabelled) == 5


def test_it_trains_on_it_and_nothing_else_is_another_model(corpora, text, tmp_path):
    carry_out(asked_for(corpora, tmp_path / "w", text=text))
    rows = rows_without_times(tmp_path / "w")
    assert {row["label"]: row["status"] for row in rows} == dict.fromkeys(("STM", "SM", "SM text", "SM less"), "ok")
    assert len([*(tmp_path / "w" / "knowledge").glob(f"*/First-on-raw_text/fine-*/{MANIFEST}")]) == 2  # all, and 5
    (with_text,), _ = prepare(asked_for(corpora, tmp_path / "w", text=text))
    (tmp_path / "other.txt").write_text(text.read_text() + "One more protein was found.\n")
    (with_other,), _ = prepare(asked_for(corpora, tmp_path / "w", text=tmp_path / "other.txt"))
    ids = [{g.specs[0].label: g.specs[0].model_id for g in plan.students(None)} for plan in (with_text, with_other)]
    assert ids[0]["SM"] == ids[1]["SM"]
    assert ids[0]["SM text"] not in ids[1].values()
    text.write_text(text.read_text() + "\n\nOne sentence more.", encoding="utf-8")
    (later,), _ = prepare(asked_for(corpora, tmp_path / "w", text=text))
    assert groups(later)["SM text"].specs[0].model_id not in ids[0].values()


def test_no_student_that_reads_it_is_one_line(corpora, text, tmp_path):
    plain = replace(SHOWN, students=SHOWN.students[:1])
    with pytest.raises(InputError, match="no student of of_text is shown it"):
        prepare(asked_for(corpora, tmp_path / "w", plain, text=text))
