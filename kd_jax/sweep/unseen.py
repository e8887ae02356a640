"""Words that training did not have, as the models of a lane group are scored on them."""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float32

from kd_jax.data.dataset import read_tokens
from kd_jax.data.ngrams import NgramIndex, NgramVectors, extended
from kd_jax.data.vocab import Vocabulary, words_of
from kd_jax.distill.ngram_fit import fit_ngrams
from kd_jax.sweep.job import SweepData
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.training import mesh as meshes
from kd_jax.training.loop import Job


def with_unseen(
    sweep_data: SweepData, group: LaneGroup, job: Job, vocabulary: Vocabulary, params: Any
) -> tuple[Job, Any, Float32[np.ndarray, "L W+1 D"]]:
    """What scores the lanes with vectors of words that training did not have.

    Args:
        sweep_data: the corpora.
        group: the lane group.
        job: that trained the lanes.
        vocabulary: of its models.
        params: the lanes' on the device, [L, ...], perhaps with more lanes that fill up the devices.

    Returns:
        The job and the parameters with a row more for every such word of the corpora, to be read and not to be trained;
        and what predicts the rows, of each lane, as `kd_jax.data.ngrams.NgramVectors` has it.
    """
    corpora = [sweep_data.corpora[name] for name in group.corpora]
    keys = words_of(corpora, group.settings.model.words)
    tables, index = np.asarray(params["words"]), NgramIndex(vocabulary.words)
    dual = np.stack([fit_ngrams(index, table[1:]) for table in tables[: len(job.lanes)]])
    of_lanes = [
        extended(vocabulary, table, NgramVectors(index, its), keys) for table, its in zip(tables, dual, strict=False)
    ]
    words = [table for _, table in of_lanes]
    words += words[-1:] * (len(tables) - len(words))  # lanes that fill up the devices are copies of the last
    more = meshes.shard(np.stack(words), meshes.lane_mesh(len(job.lanes)))
    tokens = read_tokens(corpora, of_lanes[0][0], group.settings)
    return replace(job, tokens=tokens), params | {"words": more}, dual
