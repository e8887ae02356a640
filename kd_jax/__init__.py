"""Knowledge distillation from multi-task teachers for biomedical named entity recognition."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kd_jax.tagging.tagger import TextTagger

__version__ = "0.2.0"
__all__ = ["load"]


def load(
    model: "str | Path | Sequence[str | Path]", *, task: str | None = None, constrained: bool | None = None
) -> "TextTagger":
    """A tagger from the folder of a trained or a shipped model; see `kd_jax.export.load.load`."""
    from kd_jax.export.load import load as open_models  # noqa: PLC0415 - `import kd_jax` needs no JAX

    return open_models(model, task=task, constrained=constrained)
