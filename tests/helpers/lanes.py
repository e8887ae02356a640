"""Jobs of a few tiny lanes, and their training."""

from collections import deque

import jax
import jax.numpy as jnp
import numpy as np

from helpers.tiny import tiny_corpus, tiny_settings
from kd_jax.data.dataset import read_tokens
from kd_jax.data.pipeline import Length
from kd_jax.data.vocab import build_vocabulary
from kd_jax.distill.scale import moments_of, scales
from kd_jax.structs import LossWeights, Outputs
from kd_jax.training import loop
from kd_jax.training.loop import Job
from kd_jax.training.objective import Knowledge

GOLD = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)


HALF = LossWeights(0.5, 0.5, 0.25, 0.25, 1.0)


def make_job(lanes, corpora=None, knowledge=False, **train_settings):
    corpora = corpora or [tiny_corpus()]
    settings = tiny_settings(**train_settings)
    seen = [s for corpus in corpora for s in corpus.splits["train"]]
    vocabulary = build_vocabulary(seen, settings.model.words)
    tokens = read_tokens(corpora, vocabulary, settings)
    outputs = None
    if knowledge:
        rng = np.random.default_rng(5)
        n, model = len(tokens.label), settings.model
        widths = (tokens.most_labels, 2 * model.task_units, 2 * model.shared_units)
        outputs = Outputs(*(np.float32(rng.normal(size=(n, width))) for width in widths))
        outputs = Knowledge(outputs, scales(moments_of(outputs)))
    return Job(
        settings=settings,
        tokens=tokens,
        sentences=tuple(tokens.sentences(corpus.name, ("train",)) for corpus in corpora),
        lanes=tuple(lanes),
        length=Length(settings.train.epochs),
        alphabet=len(vocabulary.chars) + 2,
        knowledge=outputs,
    )


def device_data(job):
    return jax.tree.map(jnp.asarray, loop.token_data(job))


def last(progress):
    return deque(progress, maxlen=1)[0]
