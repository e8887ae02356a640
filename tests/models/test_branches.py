"""Branches moved by a TPU's kernels, interpreted, against indices."""

import jax
import jax.numpy as jnp
import numpy as np

from kd_jax.models import branches

SHAPES = (4, 3, 5), (4, 7), (4, 2, 8, 6)


def stacked(lanes, count=4):
    keys = jax.random.split(jax.random.key(0), len(SHAPES))
    return [jax.random.normal(key, (lanes, count, *shape[1:])) for key, shape in zip(keys, SHAPES, strict=True)]


def test_each_lane_has_the_branch_of_its_task():
    tasks, arrays = jnp.array([2, 0, 3]), stacked(3)
    found = jax.vmap(lambda task, *of: branches.take(of, task, interpret=True))(tasks, *arrays)
    for x, ours in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(ours, x[jnp.arange(3), tasks])


def test_that_branch_is_put_back_and_no_other():
    tasks, arrays = jnp.array([2, 0, 3]), stacked(3)
    branch = [x[:, 0] + 1 for x in arrays]
    found = jax.vmap(lambda task, *of: branches.put(of[:3], task, of[3:], interpret=True))(tasks, *arrays, *branch)
    for x, y, ours in zip(arrays, branch, found, strict=True):
        np.testing.assert_array_equal(ours, x.at[jnp.arange(3), tasks].set(y))


def test_lanes_are_one_launch_each_way():
    def there_and_back(task, *of):
        return branches.put(of, task, branches.take(of, task, interpret=True), interpret=True)

    tasks, arrays = jnp.array([1, 1]), stacked(2)
    traced = str(jax.make_jaxpr(jax.vmap(there_and_back))(tasks, *arrays))
    assert traced.count("pallas_call[") == 2
    for x, ours in zip(arrays, jax.vmap(there_and_back)(tasks, *arrays), strict=True):
        np.testing.assert_array_equal(ours, x)
