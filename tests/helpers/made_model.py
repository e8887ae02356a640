"""Tiny models as training saves them, untrained: every label is a function of the text all the same."""

import jax
import numpy as np

from helpers.tiny import tiny_corpus, tiny_settings
from kd_jax.data.dataset import read_tokens
from kd_jax.data.pipeline import Length
from kd_jax.data.vocab import build_vocabulary
from kd_jax.settings import override
from kd_jax.structs import LossWeights
from kd_jax.training.loop import Job, Lane
from kd_jax.training.saved_model import TrainedModel, save_model
from kd_jax.training.state import init_state


def made(folder, *, head="softmax", constrained=False, name="Tiny", kinds=("Gene",)):
    """Save a model and give its corpus, and what the runner would label with: (corpus, job, params [1, ...])."""
    (corpus,), job, params = made_of(folder, {name: kinds}, head=head, constrained=constrained)
    return corpus, job, params


def made_of(folder, kinds, *, head="softmax", constrained=False):
    """The same of a model of several corpora, given as the entity types of each."""
    settings = override(tiny_settings(), [f"constrained={str(constrained).lower()}"])
    corpora = [tiny_corpus(name, of_corpus) for name, of_corpus in kinds.items()]
    vocabulary = build_vocabulary([s for c in corpora for s in c.splits["train"]], settings.model.words)
    tokens = read_tokens(corpora, vocabulary, settings)
    lanes = (Lane(3, LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)),)
    alphabet = len(vocabulary.chars) + 2
    train = tuple(tokens.sentences(name, ("train",)) for name in kinds)
    job = Job(settings, tokens, train, lanes, Length(1), alphabet, head)
    rng = np.random.default_rng(1)
    rows = tokens.word_rows
    state = jax.eval_shape(
        lambda: init_state(job.tagger, job.settings, head, np.int32(0), lanes[0].weights, rows, job.start)
    )
    params = jax.tree.map(lambda x: np.float32(rng.normal(size=(1, *x.shape))), state.params)
    params["branch"]["logits"]["bias"][...] = [-1.0] + [0.0] * (tokens.most_labels - 1)  # more than a few entities
    about = {"head": head, "model": "STM", "label": "STM", "seed": 3, "protocol": "train+devel", "teachers": []}
    model = TrainedModel(
        about=about,
        settings=settings.model,
        tasks=tuple(kinds),
        labels=tuple(corpus.labels for corpus in corpora),
        vocabulary=vocabulary,
        params=jax.tree.map(lambda x: x[0], params),
    )
    save_model(folder, model, {})
    return corpora, job, params
