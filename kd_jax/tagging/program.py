"""The tagging program, a pure function of parameters and rows: network, decoder and the labels' probabilities."""

from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int32

from kd_jax.data.vocab import UNKNOWN, Forms
from kd_jax.models.crf import Transitions, marginals
from kd_jax.models.decode import decode
from kd_jax.models.tagger import Batch, Tagger
from kd_jax.structs import Array
from kd_jax.tagging.model import Penalty
from kd_jax.tagging.rows import Rows


def emit(tagger: Tagger, params: Any, rows: Rows) -> Float[Array, "R T K"]:
    """The network's logits, [R, T, K]; arguments as of `label_rows`."""
    # Each form has its word to itself here: nothing is trained, so no two need to share a row. -1 is no row of a table,
    # so no form counts as seen once.
    places = jnp.arange(rows.word.shape[0])
    batch = Batch(rows.mask, rows.starts, rows.form_index, places, Forms(rows.word, rows.chars, rows.word < 0))
    network = {"params": {"encoder": params["encoder"], "branch": params["branch"]}}
    words = params["words"][rows.word]
    if rows.vectors is not None:
        words = jnp.where((rows.word == UNKNOWN)[:, None], rows.vectors, words)
    outputs: Any = tagger.apply(network, batch, words)
    return cast(Array, outputs.logits)


def label_rows(
    tagger: Tagger, params: Any, rows: Rows, penalty: Penalty
) -> tuple[Int32[Array, "R T"], Float[Array, "R T"]]:
    """The best labels of every sentence, and how probable each is.

    Args:
        tagger: the module.
        params: of one task: words, encoder, branch and, of a CRF, its transitions, crf.
        rows: the sentences.
        penalty: added to the transitions; all 0 where nothing is ruled out.

    Returns:
        Label ids, 0 on padding, [R, T], by Viterbi's algorithm; their probabilities, [R, T]: of a softmax
        head the token's own, of a CRF head the marginal among the sequences that are not ruled out.
    """
    emissions, ruled_out = emit(tagger, params, rows), Transitions(*penalty)
    if "crf" in params:
        transitions = Transitions(**params["crf"])
        labels = decode(emissions, transitions, ruled_out, rows.starts, rows.mask)
        allowed = jax.tree.map(jnp.add, transitions, ruled_out)
        probabilities = marginals(emissions, allowed, rows.starts, rows.mask)
    else:
        labels = decode(emissions, None, ruled_out, rows.starts, rows.mask)
        probabilities = jax.nn.softmax(emissions)
    return labels, jnp.take_along_axis(probabilities, labels[..., None], -1)[..., 0]
