"""Several teachers as one: a weighted mean of their stored logits, without running any of them again."""

from collections.abc import Sequence

import numpy as np

from kd_jax.errors import InputError
from kd_jax.structs import Outputs


def mean_logits(
    teachers: Sequence[Outputs], weights: Sequence[float] | None = None, scales: Sequence[float] | None = None
) -> Outputs:
    """sum_m w_m z_m / sum_m w_m of M teachers' logits; hidden states of different teachers have no common axes.

    With scales, teachers are first brought to one standard deviation, the weighted mean of theirs, so that the surest
    one does not outweigh the others: z_m becomes (z_m - mean z_m) s / s_m with s = sum_m w_m s_m / sum_m w_m.

    Source: sections 5.2 and 5.3, which average logits as they are.

    Args:
        teachers: outputs for the same tokens, logits [N, K].
        weights: M numbers, at least one above 0; None for equal ones.
        scales: the variance s_m^2 of each teacher's logits, as `kd_jax.distill.scale` has it; None for no scaling.

    Returns:
        float32 logits [N, K]; the only teacher's outputs where there is one, hidden states included, else None.

    Raises:
        InputError: where no weight is above 0.

    >>> one, other = (Outputs(np.array([[z, 0.0]]), None, None) for z in (1.0, 3.0))
    >>> mean_logits([one, other], weights=[3, 1]).logits.tolist()
    [[1.5, 0.0]]
    """
    if len(teachers) == 1:  # memory-mapped as it is, and nothing is rounded
        return teachers[0]
    shares = np.ones(len(teachers)) if weights is None else np.asarray(weights, np.float64)
    if not shares.sum() > 0 or shares.min() < 0:
        raise InputError("teachers' weights by F1 on devel are all 0: use --set distill.ensemble=uniform")
    shares = shares / shares.sum()
    deviations = np.ones(len(teachers)) if scales is None else np.sqrt(np.asarray(scales, np.float64))
    common = shares @ deviations
    logits = np.zeros(teachers[0].logits.shape, np.float64)
    for share, deviation, teacher in zip(shares, deviations, teachers, strict=True):
        z = np.asarray(teacher.logits, np.float64)
        logits += share * (z if scales is None else (z - z.mean(1, keepdims=True)) * (common / deviation))
    return Outputs(logits.astype(np.float32), None, None)
