"""How a device computes what the models say: nothing here changes a parameter, and results only in their rounding."""

from typing import Literal, NamedTuple

Platform = Literal["cpu", "gpu", "tpu"]
Recurrence = Literal["nn.scan", "scan", "fused"]


class Execution(NamedTuple):
    """How a program is computed.

    Attributes:
        platform: that it is for: on a TPU rows are looked up by products with one-hot rows, in its matrix units, and
            rows of large tables are moved by kernels.
        recurrence: as `runtime.recurrence` of the settings has it, "auto" decided.
        interpret: whether kernels run as plain JAX, on any platform.
    """

    platform: Platform = "cpu"
    recurrence: Recurrence = "scan"
    interpret: bool = False


class Dropout(NamedTuple):
    """What becomes of hidden states.

    Attributes:
        stay: of 256 units those that are read.
        hidden: whether hidden states are wanted too as they are.
    """

    stay: int
    hidden: bool
