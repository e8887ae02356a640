"""Alpha means what it says: the weights that terms really have, whatever stands beside the labelled sentences."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.lanes import make_job
from helpers.runs import ask
from helpers.tiny import tiny_corpus

from kd_jax.data.dataset import UNLABELLED, read_tokens
from kd_jax.data.vocab import build_vocabulary
from kd_jax.structs import LossWeights, Sentence
from kd_jax.training.loop import Lane, effective_weights

HALF = LossWeights(0.5, 0.5, 0.25, 0.0, 2.0)


def job_beside(unlabelled):
    """A student's job with some sentences that only its teacher speaks about."""
    corpus = tiny_corpus()
    job = make_job([Lane(1, HALF), Lane(2, LossWeights(0.0, 1.0, 0.0, 0.0, 1.0))], [corpus])
    mixed = replace(corpus, splits=dict(corpus.splits) | {UNLABELLED: tuple(unlabelled)})
    vocabulary = build_vocabulary([*corpus.splits["train"], *unlabelled], job.settings.model.words)
    tokens = read_tokens([mixed], vocabulary, job.settings)
    own = tokens.sentences(corpus.name, ("train",))
    return replace(
        job, tokens=tokens, sentences=(own,), alphabet=len(vocabulary.chars) + 2,
        unlabelled=tokens.sentences(corpus.name, (UNLABELLED,)),
    )  # fmt: skip


def sentence(length):
    return Sentence(("word",) * length, ("O",) * length)


@pytest.mark.parametrize("number", [1, 10, 500])
def test_any_number_of_unlabelled_sentences_leaves_the_gold_labels_their_weight(number):
    found = effective_weights(job_beside([sentence(4)] * number))
    assert found == [HALF, LossWeights(0.0, 1.0, 0.0, 0.0, 1.0)]


def test_updates_without_a_labelled_token_are_counted():
    """Sentences longer than a row have batches of their own, in which the teacher alone is heard."""
    job = job_beside([sentence(4)] * 5)
    long = job_beside([sentence(job.settings.train.row_length + 1)] * 40)
    (weights, _) = effective_weights(long)
    assert 0 < weights.alpha < 0.5
    assert weights[1:] == HALF[1:]


def test_it_is_what_the_steps_count():
    """The share of updates with labelled tokens, counted from what a run's pipeline gives its devices."""
    from kd_jax.training.loop import batches_of

    job = job_beside([sentence(4)] * 5 + [sentence(40)] * 20)
    (weights, _) = effective_weights(job)
    chunks = next(batches_of(job, job.lanes))
    labelled = [
        job.tokens.labelled[token[token >= 0]].any()
        for chunk in chunks
        for token, rate in zip(chunk.token[0], chunk.learning_rate[0], strict=True)
        if rate > 0
    ]
    assert weights.alpha == pytest.approx(0.5 * np.mean(labelled))


def test_a_run_says_what_its_weights_are_of(corpora, tmp_path):
    students = "".join(
        f"Student({match!r}, alpha=0.5, beta=0.5, assignments=('distill.match={match}',))," for match in ("mse", "soft")
    )
    (tmp_path / "two.py").write_text(
        "from kd_jax.experiment import Experiment, Student, Teacher\n"
        f"EXPERIMENT = Experiment('two', 'Two', single=(), teachers=(Teacher('softmax'),), students=({students}))\n"
    )
    said = ask(corpora, tmp_path / "w", experiment=str(tmp_path / "two.py"), targets=("First",), seeds="1")
    assert "weights in effect: mse gold 0.50, logits 0.50" in said
    assert "weights in effect: soft gold 0.50, soft labels 0.50" in said
