"""Where parameters start: at the label frequencies, at a teacher's mean, at a teacher's words and parameters."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from helpers.lanes import GOLD, HALF, last, make_job
from helpers.tiny import tiny_corpus

from kd_jax.corpora.registry import load
from kd_jax.data.pipeline import Length
from kd_jax.data.vocab import Vocabulary
from kd_jax.distill.extract import extract
from kd_jax.settings import ModelConfig
from kd_jax.structs import LossWeights
from kd_jax.training.initial import log_frequencies, mean_logits, teachers_words
from kd_jax.training.loop import Lane, initial_states, train
from kd_jax.training.mesh import lane_mesh
from kd_jax.training.saved_model import TrainedModel

TAUGHT = LossWeights(0.0, 1.0, 0.0, 0.0, 1.0)


def entropy(bias, tokens, sentences):
    labels = tokens.label[tokens.positions(sentences)]
    return float(-bias[labels].mean())


def test_log_frequencies_are_the_constant_tagger_of_lowest_loss():
    job = make_job([Lane(1, GOLD)], [tiny_corpus(), tiny_corpus("Other", ("Gene", "Disease"))])
    for task, sentences in enumerate(job.sentences):
        bias = log_frequencies(job.tokens, sentences, task)
        own = len(job.tokens.labels[task])
        labels = job.tokens.label[job.tokens.positions(sentences)]
        counts = np.array([(labels == k).sum() for k in range(own)])
        np.testing.assert_allclose(np.exp(bias[:own]), (counts + 1) / (counts.sum() + own), rtol=1e-6)
        assert (bias[own:] == 0).all()


def test_models_start_at_what_they_learn_from():
    job = make_job([Lane(1, GOLD), Lane(1, HALF), Lane(1, TAUGHT)], knowledge=True)
    state = initial_states(job, job.lanes, lane_mesh(1))
    gold, half, taught = np.asarray(state.params["branch"]["logits"]["bias"])[:, 0]
    np.testing.assert_array_equal(gold, log_frequencies(job.tokens, job.sentences[0], 0))
    np.testing.assert_array_equal(half, gold)
    np.testing.assert_allclose(taught, mean_logits(job.knowledge.outputs.logits, job.tokens, job.sentences[0]))


def test_a_teacher_and_a_student_of_one_seed_have_nothing_in_common():
    job = make_job([Lane(1, GOLD)])
    student, teacher = (
        initial_states(replace(job, stream=stream), job.lanes, lane_mesh(1)).params for stream in (0, 1)
    )
    assert not np.allclose(student["words"], teacher["words"])


def with_zero_bias(job):
    zero = replace(job)
    zero.__dict__["start"] = job.start._replace(label_bias=np.zeros_like(job.start.label_bias))
    return zero


def test_learning_begins_at_once():
    """The first epochs' loss is below the entropy of the labels; from a zero bias it is above for twice as long."""
    job = replace(make_job([Lane(1, GOLD)], rows=4, row_length=32, learning_rate=8e-3), length=Length(0, 12))
    bound = entropy(job.start.label_bias[0], job.tokens, job.sentences[0])
    fair, zero = (float(last(train(each)).loss[0]) for each in (job, with_zero_bias(job)))
    assert fair < bound < zero


def saturated(job):
    """Share of the hidden layer's outputs that are beyond 0.99 after a job's training, where tanh hardly learns."""
    params = jax.tree.map(lambda x: np.asarray(x)[0], last(train(job)).params)
    states = np.concatenate([np.asarray(of.task_hidden) for _, of in extract(job, params, 0, job.sentences[0])])
    hidden = params["branch"]["hidden"]
    return float((np.abs(np.tanh(states @ hidden["kernel"][0] + hidden["bias"][0])) > 0.99).mean())


def test_the_hidden_layer_is_not_used_up_by_the_labels_means():
    """After 60 updates on SampleMix none of its outputs is saturated; from a zero bias 42 % are."""
    (mix,) = load(Path(__file__).parents[2] / "data" / "sample", ["SampleMix"])
    job = make_job([Lane(1, GOLD)], [mix], rows=6, row_length=32, learning_rate=8e-3)
    model = replace(job.settings.model, shared_units=16, task_units=16, hidden_units=16)
    job = replace(job, settings=replace(job.settings, model=model), length=Length(0, 60))
    assert saturated(job) < 0.01
    assert saturated(with_zero_bias(job)) > 0.3


def test_words_of_a_teacher_come_in_the_order_of_the_student():
    teacher = TrainedModel(
        {}, ModelConfig(), (), (), Vocabulary(("a", "b", "c"), frozenset(), ""), {"words": np.arange(8.0).reshape(4, 2)}
    )
    table, there = teachers_words(teacher, Vocabulary(("c", "x", "a"), frozenset(), ""))
    np.testing.assert_array_equal(there, [True, True, False, True])
    np.testing.assert_array_equal(table[there], [[0, 1], [6, 7], [2, 3]])
    assert isinstance(jax.tree.leaves(table)[0], np.ndarray)
