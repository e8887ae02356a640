"""Operations of products, by hand and under every kind of loop."""

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl

from kd_jax.cost.operations import products


def of(function, *args):
    return products(jax.jit(function).trace(*args).jaxpr)


X, Y = jnp.ones((3, 5)), jnp.ones((5, 7))


def test_a_product_takes_two_operations_a_term():
    assert of(jnp.matmul, X, Y) == 2 * 3 * 5 * 7
    assert of(jax.vmap(jnp.matmul), jnp.ones((4, 3, 5)), jnp.ones((4, 5, 7))) == 4 * 2 * 3 * 5 * 7
    assert of(jnp.tanh, X) == 0


def test_loops_and_gradients_are_multiplied():
    def looped(x):
        return lax.scan(lambda c, _: (jnp.tanh(c @ jnp.ones((5, 5))), None), x, None, length=11)[0].sum()

    once = 11 * 2 * 3 * 5 * 5
    assert of(looped, X) == once
    assert of(jax.grad(looped), X) == 2 * once  # the kernel is no argument: one product back


def test_kernels_are_counted_for_every_step_of_their_grid():
    def kernel(x_ref, y_ref, out_ref):
        out_ref[...] = x_ref[...] @ y_ref[...]

    def called(x, y):
        block = pl.BlockSpec((None, 3, 5), lambda i: (i, 0, 0)), pl.BlockSpec((5, 7), lambda _: (0, 0))
        out = pl.BlockSpec((None, 3, 7), lambda i: (i, 0, 0))
        shape = jax.ShapeDtypeStruct((4, 3, 7), jnp.float32)
        return pl.pallas_call(kernel, grid=(4,), in_specs=block, out_specs=out, out_shape=shape, interpret=True)(x, y)

    assert of(called, jnp.ones((4, 3, 5)), Y) == 4 * 2 * 3 * 5 * 7
