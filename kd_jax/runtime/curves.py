"""Curves for TensorBoard (extra: tensorboard), from the same records as metrics.jsonl."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

from kd_jax.errors import InputError
from kd_jax.runtime.files import name_part

NUMBERS = ("loss", "devel_f1", "lane_tokens_per_s")
OPEN = 64  # files at a time; each has a thread


class Curves:
    """Writes a run for every lane, experiment/what/label-seedN, and in it a point an epoch at its step.

    Args:
        folder: for tensorboard --logdir.

    Raises:
        InputError: where TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from tensorboard.summary import Writer  # noqa: PLC0415 - the extra `tensorboard`
        except ImportError:
            raise InputError("--tensorboard: needs the extra tensorboard: pip install -e '.[tensorboard]'") from None
        self._open, self._folder = Writer, folder
        self._writers: OrderedDict[str, Any] = OrderedDict()

    def add(self, fields: dict[str, Any]) -> None:
        """A point of a lane's curves.

        Args:
            fields: of a record of metrics.jsonl.
        """
        name = "/".join(name_part(str(fields[part])) for part in ("experiment", "cell"))
        name += f"/{name_part(fields['label'])}-seed{fields['seed']}"
        if name not in self._writers:
            if len(self._writers) >= OPEN:
                self._writers.popitem(last=False)[1].close()
            self._writers[name] = self._open(str(self._folder / name))
        self._writers.move_to_end(name)
        for number in NUMBERS:
            if fields.get(number) is not None:
                self._writers[name].add_scalar(number, fields[number], fields["step"])
        self._writers[name].flush()

    def close(self) -> None:
        """Write what is still held back."""
        while self._writers:
            self._writers.popitem()[1].close()
