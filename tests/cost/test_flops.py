"""The counted floor is what the program does: its matmuls, counted in its trace, and XLA's own account of them."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.cost import flops as floor
from kd_jax.cost.timing import timing_job
from kd_jax.data.pipeline import Length, input_pipeline
from kd_jax.settings import Settings, override
from kd_jax.structs import GOLD_ONLY
from kd_jax.training import loop
from kd_jax.training.state import init_state
from kd_jax.training.step import train_step

SIZES = [
    [],
    ["words.update=frozen"],
    ["chars.encoder=bilstm"],
    ["shared_units=16", "task_units=24", "hidden_units=20", "words.dim=12", "chars.width=5"],
]


def one_step(settings, corpus=None):
    """A train step as a function of its state, that state, and what the batch holds with its padding."""
    job = timing_job([corpus or tiny_corpus(sizes=(60, 8, 8))], settings, 1, 100)
    chunk = next(input_pipeline(job.tokens, job.sentences, job.settings.train, [0], Length(1)))[0]
    batch = jax.tree.map(lambda x: jnp.asarray(x[0, 0]), chunk)
    data = jax.tree.map(jnp.asarray, loop.token_data(job))
    state = jax.eval_shape(
        lambda: init_state(job.tagger, job.settings, job.head, np.int32(0), GOLD_ONLY, job.tokens.word_rows, job.start)
    )
    at = floor.BatchSize(
        tokens=batch.token.size,
        steps=batch.token.shape[1],
        forms=len(batch.form),
        words=len(batch.word),
        labels=job.tokens.most_labels,
    )
    return lambda s: train_step(job.tagger, settings, s, batch, data, None)[0], state, job.alphabet, at


def matmul_operations(jaxpr, times=1):
    """Floating-point operations of a trace's matmuls, loops counted as often as they run."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            depth = math.prod(equation.invars[0].aval.shape[i] for i in contracted)
            total += times * 2 * depth * math.prod(equation.outvars[0].aval.shape)
        if equation.primitive.name == "cond":  # the form of the platform is one of several
            total += max(matmul_operations(branch.jaxpr, times) for branch in equation.params["branches"])
            continue
        inner_times = times * equation.params.get("length", 1) if equation.primitive.name == "scan" else times
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: hasattr(x, "jaxpr") or hasattr(x, "eqns")
        ):
            found = getattr(inner, "jaxpr", inner)
            if hasattr(found, "eqns"):
                total += matmul_operations(found, inner_times)
    return total


@pytest.mark.parametrize("changes", SIZES)
def test_operations_are_those_of_the_trace(changes):
    settings = override(tiny_settings(), changes)
    step, state, alphabet, at = one_step(settings)
    counted = matmul_operations(jax.make_jaxpr(step)(state).jaxpr)
    assert floor.operations(settings.model, alphabet, at) == counted


def test_operations_are_those_of_the_compiled_program():
    """With rows of one token every loop runs once, which is how often XLA counts its body."""
    sizes = ["shared_units=32", "task_units=32", "words.dim=64", "hidden_units=64", "dropout=0"]
    settings = override(tiny_settings(rows=64, row_length=1), sizes)
    corpus = tiny_corpus(sizes=(60, 8, 8))
    short = tuple(type(s)(s.tokens[:1], ("O",)) for s in corpus.splits["train"])
    step, state, alphabet, at = one_step(settings, replace(corpus, splits={"train": short}))
    cost = jax.jit(step).lower(state).compile().cost_analysis()
    counted = floor.operations(settings.model, alphabet, at)
    assert counted <= cost["flops"] <= 1.25 * counted


def test_real_sizes():
    at = floor.BatchSize(tokens=900, steps=128, forms=380, words=350, labels=3)
    layers = {layer.name: layer for layer in floor.layers(Settings().model, 80, at)}
    assert layers["shared BiLSTM"].operations == 3 * 2 * 900 * 2 * 800 * (250 + 200)
    assert layers["task BiLSTM"].parameters == 2 * 800 * (400 + 200 + 1)
    assert layers["shared BiLSTM"].recurrent == 4 * 2 * 128 * 2 * 800 * 200
    assert floor.operations(Settings().model, 80, at) / 900 == pytest.approx(10.6e6, rel=0.1)


def test_frozen_words_have_no_traffic_of_adam():
    at = floor.BatchSize(900, 128, 380, 350, 3)
    settings = override(Settings(), ["words.update=frozen"])
    assert floor.layers(settings.model, 80, at)[0].weights == 0 < floor.layers(Settings().model, 80, at)[0].weights
