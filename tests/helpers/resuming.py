"""Training that is saved and gone on with, compared bit for bit."""

import jax
import numpy as np

from kd_jax.training.checkpoints import Saved


def keep(progress, lanes=3):
    return Saved(progress.position, jax.tree.map(np.array, progress.saved(lanes)), None)


def assert_same_bits(a, b, lanes=3):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x)[:lanes], np.asarray(y)[:lanes])
