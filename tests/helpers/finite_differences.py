"""Gradients by central differences, for a reference in double precision."""

import numpy as np


def gradient(function, at, step=1e-5):
    """d function / d at, for a function of one float64 array that gives a number."""
    at = np.array(at, np.float64)
    found = np.zeros(at.shape)
    for place in np.ndindex(at.shape):
        value, sides = at[place], []
        for side in (step, -step):
            at[place] = value + side
            sides.append(function(at))
        at[place] = value
        found[place] = (sides[0] - sides[1]) / (2 * step)
    return found
