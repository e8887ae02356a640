"""Two BiLSTMs with dropout between them as one function, against one after the other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kd_jax.models.execution import Dropout
from kd_jax.models.fused import Kernels, Weights, layer
from kd_jax.models.fused.dropout_bits import of_row, stays
from kd_jax.models.fused.stack import two_layers
from kd_jax.models.padding import Widths
from kd_jax.models.tagger import dropout_words

STEPS, ROWS, INPUTS, UNITS = 11, 8, 6, 16
STAY = 100
OF = Widths.of(UNITS)


def weights(key, inputs):
    """Of a layer; zeros wherever it has no unit."""
    keys = jax.random.split(key, 3)
    real = jnp.arange(OF.gates)[None] < 4 * UNITS
    kernel = jax.random.normal(keys[0], (inputs, 2, OF.gates)) * real[None] / 3
    recurrent = jax.random.normal(keys[1], (2, UNITS, OF.gates)) * real[None] / UNITS**0.5
    bias = jax.random.normal(keys[2], (2, OF.gates)) * real
    return Weights(kernel.reshape(inputs, -1), recurrent, bias, jnp.zeros(()))


def case():
    keys = jax.random.split(jax.random.key(3), 6)
    x = jax.random.normal(keys[0], (STEPS, ROWS, INPUTS))
    keep = tuple((jax.random.uniform(k, (STEPS, ROWS, 1)) > 0.2).astype(jnp.float32) for k in keys[1:3])
    layers = weights(keys[3], INPUTS), weights(keys[4], 2 * OF.hidden)
    words = dropout_words(keys[5], ROWS * STEPS, 2 * UNITS)
    return x, keep, layers, stays(words, ROWS, STEPS, STAY, (UNITS,) * 2, (OF.hidden,) * 2, interpret=True)


def apart(x, keep, layers, bits, dropout, how):
    h = layer(x, keep, layers[0], how)
    seen = h * of_row(bits, ROWS).astype(h.dtype) * (256 / dropout.stay) if bits else h
    return h, layer(seen, keep, layers[1], how)


def results(run, dropping, hidden, compute):
    """Hidden states, and gradients of a loss of the second's and, where they are wanted, the first's."""
    x, keep, layers, bits = case()

    def loss(x, layers):
        how = Kernels("tpu", compute, interpret=True)
        first, second = run(x, keep, layers, bits if dropping else (), Dropout(STAY, hidden), how)
        return (second**3).sum() + ((first**2).sum() if hidden else 0.0), (second, first if hidden else None)

    return jax.grad(loss, (0, 1), has_aux=True)(x, layers)


@pytest.mark.parametrize("dropping", [True, False])
@pytest.mark.parametrize("hidden", [True, False])
def test_is_one_after_the_other(dropping, hidden):
    ours, theirs = (results(run, dropping, hidden, "float32") for run in (two_layers, apart))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_bfloat16_rounds_what_the_second_reads_and_not_its_gradient():
    ours, theirs = (results(run, True, False, "bfloat16") for run in (two_layers, apart))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * float(jnp.abs(b).max()))


def test_hidden_states_that_nobody_wants_are_not_kept():
    x, keep, layers, bits = case()
    how = Kernels("tpu", "float32", interpret=True)
    assert two_layers(x, keep, layers, bits, Dropout(STAY, hidden=False), how)[0] is None
