"""Static word vectors distilled from a contextual encoder: each word read alone, then fewer dimensions.

After Bommasani et al. 2020 ("Interpreting pretrained contextualized representations via reductions to static
embeddings"), who call words read alone decontextualized: the last layer's mean over a word's pieces, here of its own
pieces only, reduced by principal components.
"""

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from kd_jax.distill.encoder import Encoder
from kd_jax.errors import InputError
from kd_jax.runtime.files import replace_file

DEVIATION = 0.1  # of a table's numbers: about what random tables start with, so that one learning rate suits both
UPPER_BOUND = "upper-bound"  # in the name of a file that knows test words


@dataclass(frozen=True)
class Projection:
    """Principal components: hidden states [N, H] to vectors [N, D].

    Attributes:
        mean: that is taken off, [H].
        axes: by falling variance, orthogonal, all of one length, [H, D].
        share: of the variance that is kept, 0 to 1.
    """

    mean: Float[np.ndarray, "H"]
    axes: Float[np.ndarray, "H D"]
    share: float

    def __call__(self, hidden: Float[np.ndarray, "N H"]) -> Float32[np.ndarray, "N D"]:
        """Vectors, [N, D]."""
        return ((hidden - self.mean) @ self.axes).astype(np.float32)


def principal_components(hidden: Float[np.ndarray, "N H"], dim: int, deviation: float = DEVIATION) -> Projection:
    """The projection that keeps most of the variance of hidden states.

    Args:
        hidden: of N words, [N, H].
        dim: D, at most H and less than N.
        deviation: standard deviation of all N x D projected numbers together; directions keep their relative lengths.

    Raises:
        ValueError: for another dim, or hidden states that are all the same.
    """
    if not 0 < dim <= hidden.shape[1] or dim >= len(hidden):
        raise ValueError(f"{dim} components of {len(hidden)} vectors of {hidden.shape[1]} numbers")
    mean = hidden.mean(0, dtype=np.float64)
    centred = hidden.astype(np.float64) - mean
    variances, directions = np.linalg.eigh(centred.T @ centred / len(hidden))  # rising
    kept, axes = variances[::-1][:dim], directions[:, ::-1][:, :dim]
    if kept.sum() <= 0:
        raise ValueError("vectors that are all the same have no components")
    # An axis may point either way; its largest entry is made positive, so that the same words give the same file.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(dim)])
    scale = deviation / np.sqrt(kept.mean())
    return Projection(mean, axes * scale, float(kept.sum() / variances.sum()))


@dataclass(frozen=True)
class Distilled:
    """Word vectors, and what they were made from.

    Attributes:
        words: N keys by which they are looked up.
        vectors: theirs, [N, D].
        unknown: words left out, for they have no piece that the encoder knows.
        share: of the variance that is kept, 0 to 1.
    """

    words: tuple[str, ...]
    vectors: Float32[np.ndarray, "N D"]
    unknown: int
    share: float


def distill_words(
    encoder: Encoder, spellings: Mapping[str, str], dim: int, advance: Callable[[int], None] = lambda _: None
) -> Distilled:
    """Vectors of words.

    Args:
        encoder: that reads them.
        spellings: the form that is read for each key.
        dim: D.
        advance: called with the number of words done since the last call.

    Raises:
        InputError: for more dimensions than the encoder or the number of words allows.
    """
    if dim > encoder.width:
        raise InputError(f"--dim={dim}: {encoder.path} gives vectors of {encoder.width} numbers; ask for fewer")
    if dim >= len(spellings):
        raise InputError(f"--dim={dim}: there are only {len(spellings):,} words; give fewer dimensions, or more words")
    hidden, known = encoder.words([*spellings.values()], advance)
    if dim >= known.sum():
        raise InputError(f"{encoder.path}: knows only {known.sum():,} of {len(known):,} words; --dim={dim} needs more")
    projection = principal_components(hidden[known], dim)
    words = tuple(word for word, is_known in zip(spellings, known, strict=True) if is_known)
    return Distilled(words, projection(hidden[known]), int((~known).sum()), projection.share)


def write_words(path: Path, distilled: Distilled, about: Mapping[str, Any]) -> None:
    """Write a .npz that `words.vectors` takes: arrays `words` and `vectors`, and `about` as JSON.

    The same content gives the same bytes.

    Raises:
        InputError: where it can't be written.
    """
    arrays: dict[str, Any] = {"words": np.array([word.encode("utf-8", "surrogatepass") for word in distilled.words])}
    arrays |= {"vectors": distilled.vectors, "about": np.array([json.dumps(about, sort_keys=True).encode()])}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    replace_file(path, content.getvalue())


def named(out: Path, *, upper_bound: bool) -> Path:
    """The name of a file of word vectors, which says whether it knows test words.

    Raises:
        InputError: for a file that is to know none but is called so, or is no .npz.
    """
    if out.suffix != ".npz":
        raise InputError(f"--out={out}: the file is a .npz; give it this ending")
    if upper_bound:
        return out if UPPER_BOUND in out.stem else out.with_name(f"{out.stem}-{UPPER_BOUND}{out.suffix}")
    if UPPER_BOUND in out.stem:
        raise InputError(f"--out={out}: only a file that knows test words is called {UPPER_BOUND}; add --upper_bound")
    return out
