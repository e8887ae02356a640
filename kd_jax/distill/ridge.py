"""Ridge regression on sparse features."""

import numpy as np
from jaxtyping import Float64
from scipy import sparse

_STEPS = 100


def ridge(
    features: sparse.csr_array, target: Float64[np.ndarray, "P D"], strength: float
) -> Float64[np.ndarray, "P D"]:
    """Solve (features' features + strength I) x = target for every column of target at once, by conjugate gradients.

    Args:
        features: [N, P].
        target: [P, D].
        strength: more than 0.

    Returns:
        x, [P, D], to a residual of 1e-5 of the target's norm, or what 100 steps reach.
    """
    # Iteratively, since features' features is P x P and dense where features has a few numbers a row. A column that is
    # solved has a residual of 0, whose step would be 0 / 0: hence the smallest positive numbers below.
    x = np.zeros_like(target)
    residual, direction = target.copy(), target.copy()
    size = (residual**2).sum(0)
    goal = 1e-10 * size
    for _ in range(_STEPS):
        if (size <= goal).all():
            break
        image = features.T @ (features @ direction) + strength * direction
        step = size / np.maximum((direction * image).sum(0), np.finfo(float).tiny)
        x += step * direction
        residual -= step * image
        before, size = size, (residual**2).sum(0)
        direction = residual + (size / np.maximum(before, np.finfo(float).tiny)) * direction
    return x
