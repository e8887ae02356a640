"""Vectors of pieces such that the mean over a word's pieces comes near the word's own vector."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy import sparse

from kd_jax.data.pieces import PieceTable
from kd_jax.distill.ridge import ridge

STRENGTH = 0.1


def fit_pieces(
    alone: PieceTable, words: Sequence[str], vectors: Float[np.ndarray, "N D"], strength: float = STRENGTH
) -> PieceTable:
    """Move pieces from where they stand alone, by ridge regression.

    Minimises sum_w |mean of w's pieces - vector of w|^2 + strength * sum_p |p - p alone|^2, so a piece that few words
    have stays near where it stands alone, and one that none has stays there.

    Args:
        alone: the pieces, each encoded alone.
        words: N words that have vectors.
        vectors: theirs, [N, D].
        strength: by which a piece is held; 0.1 and 0.3 did best among 0.01 to 3 for words held out (docs/words.md).

    Returns:
        The same pieces with other vectors.
    """
    cuts = [alone.cut(word) for word in words]
    sizes = np.array([len(cut) for cut in cuts])
    rows = np.repeat(np.arange(len(cuts)), sizes)
    columns = np.array([row for cut in cuts for row in cut], np.int64)
    shares = np.repeat(1 / np.maximum(sizes, 1), sizes)
    mean = sparse.csr_array((shares, (rows, columns)), shape=(len(cuts), len(alone.pieces)))
    rest = vectors - mean @ alone.vectors.astype(
        np.float64
    )  # a word without pieces has an empty row, and counts for nothing
    moves = ridge(mean, mean.T @ rest, strength)
    return replace(alone, vectors=(alone.vectors + moves).astype(np.float32))
