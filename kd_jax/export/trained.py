"""A model as training saved it, ready to tag."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from kd_jax.data.ngrams import NgramIndex, NgramVectors
from kd_jax.errors import InputError, nearest
from kd_jax.models.tagger import Tagger
from kd_jax.runtime.files import check_readable
from kd_jax.tagging.model import TextModel
from kd_jax.tagging.program import label_rows
from kd_jax.training.saved_model import TrainedModel, load_model


@lru_cache
def program(tagger: Tagger) -> Any:
    """The jitted tagging program of a module."""
    return jax.jit(partial(label_rows, tagger))


def open_trained(folder: Path, task: str | None, constrained: bool | None) -> tuple[TextModel, Tagger]:
    """Read one task of a trained model's folder; arguments and errors as of `open_tasks`."""
    return open_tasks(folder, None if task is None else [task], constrained)[0]


def open_tasks(folder: Path, tasks: Sequence[str] | None, constrained: bool | None) -> list[tuple[TextModel, Tagger]]:
    """Read a trained model's folder.

    Args:
        folder: of a student, a single-task model or a teacher.
        tasks: the corpora whose branches are to speak; None where there is one only.
        constrained: whether forbidden sequences are ruled out; None for what the model was scored with.

    Returns:
        The model of each task, and its module; all have one word table and encoder.

    Raises:
        InputError: where it can't be read or a task is not one of its own.
    """
    check_readable(folder)
    model = load_model(folder)
    if tasks is None and len(model.tasks) > 1:
        raise InputError(
            f"{folder}: a model of {', '.join(model.tasks)}; name those whose entities you want with"
            f" --task={','.join(model.tasks[:2])}, in Python with kd_jax.load(..., task=...)"
        )
    if unknown := [task for task in tasks or () if task not in model.tasks]:
        raise InputError(f"{folder}: was not trained on {unknown[0]!r}; {nearest(unknown[0], model.tasks)}")
    shared = jax.device_put({"words": model.params["words"], "encoder": model.params["encoder"]})
    dual = model.params.get("ngrams")
    ngrams = None if dual is None else NgramVectors(NgramIndex(model.vocabulary.words), dual)
    return [_of_task(model, model.tasks.index(task), shared, ngrams, constrained) for task in tasks or model.tasks]


def _of_task(
    model: TrainedModel, branch: int, shared: Any, ngrams: NgramVectors | None, constrained: bool | None
) -> tuple[TextModel, Tagger]:
    labels = model.labels[branch]
    of_branch = {
        name: jax.tree.map(lambda x: x[branch], model.params[name]) for name in model.params.keys() & {"branch", "crf"}
    }
    params = _own_labels(shared | of_branch, len(labels))
    tagger = Tagger(model.settings, model.vocabulary.alphabet, len(labels))
    model_of_task = TextModel(
        name=model.tasks[branch],
        labels=labels,
        vocabulary=model.vocabulary,
        words=model.settings.words,
        chars=model.settings.chars,
        constrained=model.settings.constrained if constrained is None else constrained,
        about=model.about,
        params=jax.device_put(params),
        function=program(tagger),
        ngrams=ngrams,
    )
    return model_of_task, tagger


def _own_labels(params: Any, count: int) -> Any:
    """Parameters without the labels that only other tasks have."""
    logits = {name: np.asarray(x)[..., :count] for name, x in params["branch"]["logits"].items()}
    cut = params | {"branch": params["branch"] | {"logits": logits}}
    if "crf" in params:
        pairs = params["crf"]["pairs"][:count, :count]
        cut["crf"] = {"start": params["crf"]["start"][:count], "stop": params["crf"]["stop"][:count], "pairs": pairs}
    return cut
