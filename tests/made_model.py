"""Tiny models as training saves them, untrained: every label is a function of the text all the same."""

import jax
import numpy as np
from tiny import tiny_corpus, tiny_settings

from kd_jax.data.tokens import read_tokens
from kd_jax.data.vocab import build_vocabulary
from kd_jax.settings import override
from kd_jax.training.checkpoint import TrainedModel, save_model
from kd_jax.training.loop import Job, Lane
from kd_jax.training.step import init_state
from kd_jax.types import LossWeights


def made(folder, *, head="softmax", constrained=False, name="Tiny", kinds=("Gene",)):
    """Save a model and give what the runner would label with: (job, params [1, ...])."""
    settings = override(tiny_settings(), [f"constrained={str(constrained).lower()}"])
    corpus = tiny_corpus(name, kinds)
    vocabulary = build_vocabulary(corpus.splits["train"], settings.model.words)
    tokens = read_tokens([corpus], vocabulary, settings)
    lanes = (Lane(3, LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)),)
    alphabet = len(vocabulary.chars) + 2
    job = Job(settings, tokens, (tokens.sentences(name, ("train",)),), lanes, 1, alphabet, head)
    rng = np.random.default_rng(1)
    state = jax.eval_shape(lambda: init_state(job.tagger, head, np.int32(0), lanes[0].weights, 1, job.tokens.word_rows))
    params = jax.tree.map(lambda x: np.float32(rng.normal(size=(1, *x.shape))), state.params)
    params["branch"]["logits"]["bias"][...] = [-1.0] + [0.0] * (len(corpus.labels) - 1)  # more than a few entities
    about = {"head": head, "model": "STM", "label": "STM", "seed": 3, "protocol": "train+devel", "teachers": []}
    model = TrainedModel(
        about=about,
        settings=settings.model,
        tasks=(name,),
        labels=(corpus.labels,),
        vocabulary=vocabulary,
        params=jax.tree.map(lambda x: x[0], params),
    )
    save_model(folder, model, {})
    return corpus, job, params
