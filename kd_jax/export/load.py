"""A tagger from the folder of a trained or a shipped model."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kd_jax.errors import InputError
from kd_jax.export.shipped import is_shipped, open_shipped
from kd_jax.runtime.device import enable_compilation_cache
from kd_jax.tagging.model import TextModel
from kd_jax.tagging.tagger import TextTagger


def load(
    model: str | Path | Sequence[str | Path],
    *,
    task: str | Sequence[str] | None = None,
    constrained: bool | None = None,
) -> TextTagger:
    """A tagger from the folder of a trained or a shipped model, or from several folders.

    Args:
        model: a folder such as runs/sample/students/SampleGene/STM-softmax-seed1-..., or what kd_jax.ship wrote.
        task: of a model of several corpora, the one whose labels are wanted, or several, which tag in one pass.
        constrained: whether tag sequences that IOB2 forbids are ruled out; None for what the model was scored with.

    Raises:
        InputError: where a folder holds no model, is damaged, or does not have a task.
    """
    folders = [model] if isinstance(model, str | Path) else model
    if not folders:
        raise InputError("no model: give the folder of a trained or a shipped one")
    tasks = [task] if isinstance(task, str) else task or None
    enable_compilation_cache()
    paths = [Path(folder).expanduser() for folder in folders]
    of_folder = [(path, found) for path in paths for found in _open(path, tasks, constrained)]
    # Folders of one name are told apart by their whole paths.
    last = Counter(path.name for path in {path.resolve() for path in paths})
    names = {path: path.name if last[path.resolve().name] == 1 else str(path) for path in paths}
    return TextTagger(tuple(replace(found, source=names[path]) for path, found in of_folder))


def _open(folder: Path, tasks: Sequence[str] | None, constrained: bool | None) -> list[TextModel]:
    if is_shipped(folder):
        shipped = open_shipped(folder, constrained)
        if other := [task for task in tasks or () if task != shipped.name]:
            raise InputError(f"{folder}: was shipped for {shipped.name}, not for {other[0]!r}; ship that one too")
        return [shipped]
    from kd_jax.export.trained import open_tasks  # noqa: PLC0415 - a shipped model does without flax and orbax

    return [found for found, _ in open_tasks(folder, tasks, constrained)]
