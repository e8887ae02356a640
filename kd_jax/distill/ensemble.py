"""Several teachers as one: a weighted mean of their stored logits, without running any of them again."""

from collections.abc import Sequence

import numpy as np

from kd_jax.errors import InputError
from kd_jax.structs import Outputs


def mean_logits(teachers: Sequence[Outputs], weights: Sequence[float] | None = None) -> Outputs:
    """sum_m w_m z_m / sum_m w_m of M teachers' logits; hidden states of different teachers have no common axes.

    Source: sections 5.2 and 5.3.

    Args:
        teachers: outputs for the same tokens, logits [N, K].
        weights: M numbers, at least one above 0; None for equal ones.

    Returns:
        float32 logits [N, K]; the only teacher's outputs where there is one, hidden states included, else None.

    Raises:
        InputError: where no weight is above 0.
    """
    if len(teachers) == 1:
        return teachers[0]
    shares = np.ones(len(teachers)) if weights is None else np.asarray(weights, np.float64)
    if not shares.sum() > 0 or shares.min() < 0:
        raise InputError("teachers' weights by F1 on devel are all 0: use --set distill.ensemble=uniform")
    logits = np.zeros(teachers[0].logits.shape, np.float64)
    for share, teacher in zip(shares / shares.sum(), teachers, strict=True):
        logits += share * np.asarray(teacher.logits, np.float64)
    return Outputs(logits.astype(np.float32), None, None)
