"""Words that training did not have: n-grams say the same of them to a run's scores, students, tagger, shipped model."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
from helpers.runs import SIZES, carry_out, request
from helpers.tiny import tiny_corpus

from kd_jax.corpora.conll import write_split
from kd_jax.distill.cache import QUERIED, reading_job
from kd_jax.distill.extract import extract
from kd_jax.errors import InputError
from kd_jax.evaluation.scores import score
from kd_jax.export import onnx
from kd_jax.export.measures import tagging
from kd_jax.export.shipped import open_shipped
from kd_jax.export.shipping import ship
from kd_jax.export.trained import open_tasks, open_trained
from kd_jax.tagging.program import emit
from kd_jax.training.saved_model import load_model

LENGTH = ("updates=30", "teacher_updates=60", "learning_rate=0.03", "unknown_rate=0.5", "distill.foreign=10")


def with_new_words(corpus):
    """A corpus whose test sentences have words of their own, each near one that is trained."""

    def renamed(sentence, number):
        tokens = [f"{t}{t[-1]}" if (i + number) % 2 else t for i, t in enumerate(sentence.tokens)]
        return sentence._replace(tokens=tuple(tokens))

    test = tuple(renamed(s, i) for i, s in enumerate(corpus.splits["test"]))
    return replace(corpus, splits=corpus.splits | {"test": test})


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    found = {}
    for name, kinds in (("First", ("Gene",)), ("Second", ("Drug", "Gene"))):
        (folder / name).mkdir()
        found[name] = with_new_words(tiny_corpus(name, kinds))
        for split, sentences in found[name].splits.items():
            write_split(folder / name / f"{split}.tsv", sentences)
    return folder, found


def run(corpora, workdir, unseen):
    experiment = workdir.parent / "unseen.py"
    experiment.write_text(
        "from kd_jax.experiment import Average, Experiment, Student, Teacher\n"
        "EXPERIMENT = Experiment('unseen', 'Unseen words', multi=('softmax',),\n"
        "    teachers=(Teacher('softmax'),), students=(Student('SM', alpha=0.5, beta=0.5, foreign=True),),\n"
        "    averages=(Average('mean', 'STM', 'softmax'),))\n"
    )
    settings = (*SIZES, *LENGTH, f"words.unseen={unseen}")
    asked = request(corpora[0], workdir, experiment=str(experiment), assignments=settings)
    carry_out(asked)


@pytest.fixture(scope="module")
def ran(corpora, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("ngrams") / "w"
    run(corpora, workdir, "ngrams")
    return corpora, workdir


def folders(workdir, place):
    return sorted(path.parent for path in (workdir / place).rglob("model.json"))


def f1_of(model, sentences):
    return score([list(s.tags) for s in sentences], tagging(model, sentences).tags).f1


def test_scores_of_a_run_are_those_of_the_saved_and_of_the_shipped_model(ran, tmp_path):
    (_, found), workdir = ran
    for number, folder in enumerate(folders(workdir, "students") + folders(workdir, "teachers")):
        for model, tagger in open_tasks(folder, None if "students" in str(folder) else ["First", "Second"], None):
            sentences = found[model.name].splits["test"]
            assert f1_of(model, sentences) == pytest.approx(model.about["scores"][model.name]["f1"])
            assert f1_of(replace(model, ngrams=None), sentences) != f1_of(model, sentences) or number
            if not number:
                ship(model, tagger, tmp_path / "shipped", "float32")
                shipped = open_shipped(tmp_path / "shipped", None)
                assert tagging(shipped, sentences).tags == tagging(model, sentences).tags


@pytest.mark.parametrize("weights", ["bfloat16", "int8"])
def test_narrow_weights_predict_nearly_the_same_vectors(ran, tmp_path, weights):
    _, workdir = ran
    model, tagger = open_trained(folders(workdir, "students")[0], None, None)
    ship(model, tagger, tmp_path / "m", weights)
    dual, narrow = model.ngrams.dual, open_shipped(tmp_path / "m", None).ngrams.dual
    np.testing.assert_allclose(narrow, dual, rtol=2**-7)


def test_a_teacher_speaks_of_unseen_words_as_its_tagger_does(ran):
    (_, found), workdir = ran
    (folder, *_), sentences = folders(workdir, "teachers"), found["First"].splits["test"]
    teacher = load_model(folder)
    job, params, task = reading_job(teacher, "First", sentences)
    logits = np.zeros((job.tokens.count(job.tokens.sentences("First", (QUERIED,))), len(teacher.labels[task])))
    for rows, outputs in extract(job, params, task, job.tokens.sentences("First", (QUERIED,))):
        logits[rows] = outputs.logits
    model, tagger = open_trained(folder, "First", None)
    at = 0
    seen = []
    read = jax.jit(partial(emit, tagger))

    def keep(params, rows, penalty):
        seen.append(np.asarray(read(params, rows)))
        return model.function(params, rows, penalty)

    for sentence in sentences:  # one at a time: a row each
        replace(model, function=keep).label([sentence.tokens], raw=False)
        of_sentence = seen[-1][0, : len(sentence.tokens)]
        np.testing.assert_allclose(of_sentence, logits[at : at + len(sentence.tokens)], atol=1e-4)
        at += len(sentence.tokens)


def test_training_is_the_same_and_the_model_is_another(ran, corpora, tmp_path):
    _, workdir = ran
    run(corpora, tmp_path / "w", "unknown")
    with_ngrams, without = (folders(place, "students/First")[-1] for place in (workdir, tmp_path / "w"))
    assert with_ngrams.name != without.name
    assert with_ngrams.name.rsplit("-", 1)[0] == without.name.rsplit("-", 1)[0]
    one, other = load_model(with_ngrams), load_model(without)
    assert set(one.params) - set(other.params) == {"ngrams"}
    if "STM" in without.name:
        np.testing.assert_array_equal(one.params["words"], other.params["words"])


def test_onnx_is_refused_in_a_line(ran, tmp_path):
    _, workdir = ran
    model, tagger = open_trained(folders(workdir, "students")[0], None, None)
    with pytest.raises(InputError, match="n-grams"):
        onnx.write(model, tagger, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
