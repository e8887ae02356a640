"""What a device need not look up itself: on a TPU a gather goes row by row, and the host waits anyway."""

from typing import Any

from kd_jax.data.dataset import Tokens
from kd_jax.data.packing import Batches, look_up
from kd_jax.training.mesh import platform_of


def known_to(mesh: Any, tokens: Tokens, batches: Batches) -> Batches:
    """Batches as the devices of a mesh take them."""
    return looked_up(tokens, batches) if platform_of(mesh) == "tpu" else batches


def looked_up(tokens: Tokens, batches: Batches) -> Batches:
    """Batches with what the flat tables say of their tokens and forms."""
    return look_up(batches, tokens.forms.chars, tokens.forms.single, tokens.label, tokens.labelled)
