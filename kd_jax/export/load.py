"""A tagger from the folder of a trained or a shipped model."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kd_jax.errors import InputError
from kd_jax.export.found import open_place
from kd_jax.export.shipped import is_shipped, open_shipped
from kd_jax.runtime.device import enable_compilation_cache
from kd_jax.tagging.model import TextModel
from kd_jax.tagging.tagger import TextTagger


@dataclass(frozen=True, repr=False)
class LoadedTagger(TextTagger):
    """A tagger that can be pickled, as a worker process gets it: its folders are read again there.

    Attributes:
        opened: folder, corpus, and whether forbidden sequences are ruled out, of each model.
    """

    opened: tuple[tuple[str, str, bool], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """How to load it again."""
        return _reopened, (self.opened, self.min_score)


def _reopened(opened: Sequence[tuple[str, str, bool]], min_score: float) -> "LoadedTagger":
    # A worker process begins without it, and would compile again what its parent has on disk.
    enable_compilation_cache()
    models = [(Path(folder), _open(Path(folder), [corpus], ruled)[0]) for folder, corpus, ruled in opened]
    return _together(models, min_score)


def _together(of_folder: Sequence[tuple[Path, TextModel]], min_score: float) -> LoadedTagger:
    """One tagger of models with their folders; folders of one name are told apart by their whole paths."""
    paths = {path for path, _ in of_folder}
    last = Counter(path.name for path in {path.resolve() for path in paths})
    names = {path: path.name if last[path.resolve().name] == 1 else str(path) for path in paths}
    opened = tuple((str(path.absolute()), text_model.name, text_model.constrained) for path, text_model in of_folder)
    return LoadedTagger(
        tuple(replace(text_model, source=names[path]) for path, text_model in of_folder), min_score, opened
    )


def load(
    model: str | Path | Sequence[str | Path],
    *,
    corpus: str | Sequence[str] | None = None,
    label: str | None = None,
    best: bool = False,
    task: str | Sequence[str] | None = None,
    constrained: bool | None = None,
    min_score: float = 0.0,
    say: Callable[[str], object] = str,
) -> TextTagger:
    """A tagger from the folder of a trained or a shipped model, from a folder that models are below, or from several.

    Args:
        model: a work folder such as runs/sample, a model's own folder below it, or what kd_jax.ship wrote.
        corpus: of the models below the folder, those of this corpus; of several corpora a model of each, which tag in
            one pass.
        label: of these, those of a column of a table, such as "SM a=0.5".
        best: of several that are left, the one of the highest F1 is meant.
        task: of a model of several corpora, the one whose labels are wanted, or several, which tag in one pass.
        constrained: whether tag sequences that IOB2 forbids are ruled out; None for what the model was scored with.
        min_score: what an entity's score must be to be one.
        say: called with a line that names which model was chosen, and what below the folder can't be read.

    Raises:
        InputError: where a folder holds no model or several and no word on which, is damaged, or does not have a task.
    """
    folders = [model] if isinstance(model, str | Path) else model
    if not folders:
        raise InputError("no model: give the folder of a trained or a shipped one, or a work folder")
    tasks = [task] if isinstance(task, str) else task or None
    corpora: Sequence[str | None] = [corpus] if isinstance(corpus, str) else corpus or [None]
    enable_compilation_cache()
    of_folder: list[tuple[Path, TextModel]] = []
    for folder in folders:
        for name in corpora:
            path, chosen_task = open_place(Path(folder).expanduser(), name, label, best=best, say=say)
            wanted = tasks if tasks or chosen_task is None else [chosen_task]
            of_folder += [(path, text_model) for text_model in _open(path, wanted, constrained)]
    return _together(of_folder, min_score)


def _open(folder: Path, tasks: Sequence[str] | None, constrained: bool | None) -> list[TextModel]:
    if is_shipped(folder):
        shipped = open_shipped(folder, constrained)
        if other := [task for task in tasks or () if task != shipped.name]:
            raise InputError(f"{folder}: was shipped for {shipped.name}, not for {other[0]!r}; ship that one too")
        return [shipped]
    from kd_jax.export.trained import open_tasks  # noqa: PLC0415 - a shipped model does without flax and orbax

    return [model for model, _ in open_tasks(folder, tasks, constrained)]
