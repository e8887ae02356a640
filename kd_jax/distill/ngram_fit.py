"""What predicts the vectors of words that training did not have, fitted to those that it had."""

import numpy as np
from jaxtyping import Float, Float32
from scipy import sparse

from kd_jax.data.ngrams import NgramIndex
from kd_jax.distill.ridge import ridge

STRENGTH = 0.03


def fit_ngrams(
    index: NgramIndex, vectors: Float[np.ndarray, "W D"], strength: float = STRENGTH
) -> Float32[np.ndarray, "W+1 D"]:
    """Ridge regression of word vectors, less their mean, on the means of their n-grams' vectors.

    Minimises sum_w |mean of w's n-grams - (vector of w - mean)|^2 + strength * sum_g |g|^2 over vectors g of n-grams,
    in its dual form: with S [W, G] the shares of n-grams in words, g = S' a and (S S' + strength I) a = vectors - mean.

    Args:
        index: of W trained words.
        vectors: theirs.
        strength: by which n-grams are held at 0; 0.03 did best on devel among 0.01 to 1 (docs/words.md).

    Returns:
        `kd_jax.data.ngrams.NgramVectors.dual`, in the order of the words.
    """
    word, gram, share = index.cut(index.words)
    shares = sparse.csr_array((share, (gram, word)), shape=(len(index.ids), len(index.words)))
    mean = np.mean(vectors, 0, np.float64)
    return np.vstack([mean, ridge(shares, vectors - mean, strength)]).astype(np.float32)
