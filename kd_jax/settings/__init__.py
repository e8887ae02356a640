"""Settings of a run: what there is, how it is given as text, and its JSON form."""

from kd_jax.settings.schema import (
    SMALL,
    CharConfig,
    Compute,
    DistillConfig,
    Divergence,
    Head,
    LaneConfig,
    ModelConfig,
    RuntimeConfig,
    SavingConfig,
    Settings,
    TrainConfig,
    WordConfig,
)
from kd_jax.settings.text import assigned, check, from_dict, override, to_dict

__all__ = [
    "SMALL",
    "CharConfig",
    "Compute",
    "DistillConfig",
    "Divergence",
    "Head",
    "LaneConfig",
    "ModelConfig",
    "RuntimeConfig",
    "SavingConfig",
    "Settings",
    "TrainConfig",
    "WordConfig",
    "assigned",
    "check",
    "from_dict",
    "override",
    "to_dict",
]
