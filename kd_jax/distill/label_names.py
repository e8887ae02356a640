"""Another model's labels as a corpus's: by name, in any order, whatever scheme they are of."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kd_jax.errors import InputError

PREFIXES = {"B": "B", "U": "B", "S": "B", "I": "I", "L": "I", "E": "I"}
"""What begins or continues an entity in BILOU and IOBES, as IOB2 has it."""
_SHOWN = 12


class LabelMap(NamedTuple):
    """How a teacher's labels become a corpus's.

    Attributes:
        columns: of each of the corpus's labels, those of the teacher's that mean it; at least one.
        others: labels of types that the corpus does not have; they count as O.
    """

    columns: tuple[tuple[int, ...], ...]
    others: tuple[str, ...]

    def __call__(self, logits: Float[np.ndarray, "N J"]) -> Float[np.ndarray, "N K"]:
        """A teacher's logits, [N, J], as those of the corpus's labels, [N, K].

        Where several labels mean one, their logits are added as logarithms: under a softmax their probabilities add up.
        """
        return np.stack([np.logaddexp.reduce(logits[:, of], axis=1) for of in map(list, self.columns)], axis=1)


def map_labels(names: Sequence[str], labels: Sequence[str], where: str) -> LabelMap:
    """Find a corpus's labels among a teacher's.

    Args:
        names: the teacher's, J, in any case: O, and B-X, I-X of IOB2, with U-X, L-X of BILOU or S-X, E-X of IOBES.
            Bare B and I are of the corpus's type where it has only one.
        labels: the corpus's, K: O, B-X, I-X.
        where: for messages.

    Raises:
        InputError: for a label that the teacher lacks or names twice, or one that is none.
    """
    folds = Counter(name.casefold() for name in names)
    if twice := [name for name in names if folds[name.casefold()] > 1]:
        raise InputError(f"{where}: label {twice[0]!r:.40} stands there twice; give each column a name of its own")
    kinds = list(dict.fromkeys(label[2:] for label in labels if label != "O"))
    folded = {kind.casefold(): kind for kind in kinds}
    columns: dict[str, list[int]] = {label: [] for label in labels}
    others = []
    for column, name in enumerate(names):
        label = _label(name, kinds, folded)
        if label is None:
            raise InputError(f"{where}: label {name!r:.40} is no O, B-TYPE or I-TYPE; name its labels so (id2label)")
        if label not in columns:
            others.append(name)
        columns[label if label in columns else "O"].append(column)
    if missing := [label for label in labels if not columns[label]]:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        raise InputError(f"{where}: has no label {missing[0]}, which the corpus has; its labels are {shown}")
    return LabelMap(tuple(tuple(columns[label]) for label in labels), tuple(others))


def _label(name: str, kinds: Sequence[str], folded: dict[str, str]) -> str | None:
    """A teacher's label in IOB2, with the corpus's spelling of the type; None where it is no label."""
    if name.casefold() == "o":
        return "O"
    prefix, dash, kind = name.partition("-")
    prefix = prefix.upper()
    if prefix not in PREFIXES or bool(dash) != bool(kind):
        return None
    if not kind:
        return f"{PREFIXES[prefix]}-{kinds[0]}" if len(kinds) == 1 else None
    return f"{PREFIXES[prefix]}-{folded.get(kind.casefold(), kind)}"
