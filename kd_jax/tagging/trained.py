"""A model as training saved it, ready to tag."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kd_jax.errors import InputError, nearest
from kd_jax.models.tagger import Tagger
from kd_jax.tagging.model import TextModel
from kd_jax.tagging.program import label_rows
from kd_jax.training.checkpoint import load_model


@lru_cache
def program(tagger: Tagger) -> Any:
    """The jitted tagging program of a module."""
    return jax.jit(partial(label_rows, tagger))


def open_trained(folder: Path, task: str | None, constrained: bool | None) -> tuple[TextModel, Tagger]:
    """Read a trained model's folder.

    Args:
        folder: of a student, a single-task model or a teacher.
        task: the corpus whose branch is to speak; None where there is one only.
        constrained: whether forbidden sequences are ruled out; None for what the model was scored with.

    Returns:
        The model, and its module.

    Raises:
        InputError: where it can't be read or the task is not one of its own.
    """
    model = load_model(folder)
    if task is None and len(model.tasks) > 1:
        raise InputError(
            f"{folder}: a model of {len(model.tasks)} corpora; give the folder of a student, or in Python one of them:"
            f" kd_jax.load(..., task={model.tasks[0]!r})"
        )
    if task is not None and task not in model.tasks:
        raise InputError(f"{folder}: was not trained on {task!r}; {nearest(task, model.tasks)}")
    branch = 0 if task is None else model.tasks.index(task)
    labels = model.labels[branch]
    shared = {"words": model.params["words"], "encoder": model.params["encoder"]}
    own = {name: jax.tree.map(lambda x: x[branch], model.params[name]) for name in model.params.keys() - shared.keys()}
    params = _own_labels(shared | own, len(labels))
    tagger = Tagger(model.settings, len(model.vocabulary.chars) + 2, len(labels))
    found = TextModel(
        name=model.tasks[branch],
        labels=labels,
        vocabulary=model.vocabulary,
        words=model.settings.words,
        chars=model.settings.chars,
        constrained=model.settings.constrained if constrained is None else constrained,
        about=model.about,
        params=jax.device_put(params),
        function=program(tagger),
    )
    return found, tagger


def _own_labels(params: Any, count: int) -> Any:
    """Parameters without the labels that only other tasks have."""
    logits = {name: np.asarray(x)[..., :count] for name, x in params["branch"]["logits"].items()}
    own = params | {"branch": params["branch"] | {"logits": logits}}
    if "crf" in params:
        pairs = params["crf"]["pairs"][:count, :count]
        own["crf"] = {"start": params["crf"]["start"][:count], "stop": params["crf"]["stop"][:count], "pairs": pairs}
    return own
