"""What IOB2 forbids, as transitions of a CRF: an entity's inside label follows only a label of the same type."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from kd_jax.errors import InputError
from kd_jax.models.crf import Transitions

FORBIDDEN_TRANSITION = -1e4


def allowed_transitions(labels: Sequence[str]) -> tuple[Bool[np.ndarray, "K"], Bool[np.ndarray, "K K"]]:
    """What IOB2 allows: I-X follows only B-X or I-X.

    Args:
        labels: "O", "B-X" and "I-X" of any entity types X, K of them.

    Returns:
        start_ok [K] bool, which labels may open a sentence; pair_ok [K, K] bool, whether label j may follow label i.

    Raises:
        InputError: a label is none of these.

    >>> start_ok, pair_ok = allowed_transitions(("O", "B-Gene", "I-Gene"))
    >>> start_ok.tolist(), pair_ok[0].tolist(), pair_ok[1].tolist()
    ([True, True, False], [True, True, False], [True, True, True])
    """
    for label in labels:
        if label != "O" and label[:2] not in ("B-", "I-"):
            raise InputError(f"label {label!r} is not IOB2: give labels 'O', 'B-TYPE' and 'I-TYPE'")
    start_ok = np.array([not label.startswith("I-") for label in labels])
    numbers: dict[str, int] = {}
    kind = np.array([numbers.setdefault(label[1:], len(numbers)) for label in labels])  # "-X"; O's is ""
    return start_ok, start_ok | (kind[:, None] == kind)


def constrain(transitions: Transitions, labels: Sequence[str]) -> Transitions:
    """Transitions with those that IOB2 forbids at FORBIDDEN_TRANSITION, for decoding and for training a CRF.

    Finite, so that no difference of infinities becomes a NaN. Large enough: any illegal path becomes legal by turning
    one I-X a step into B-X, so an illegal step could pay only where that exchange costs 1e4 nats, in the emissions of
    one token and its two transitions. Small enough: exp(-1e4) is exactly 0 in float32, where exp(-104) is already, so
    forbidden paths add nothing to a partition. In training, a labelling that is itself illegal costs 1e4 nats a step.

    Args:
        transitions: of one task.
        labels: its K labels.

    Returns:
        New transitions; what is forbidden has no gradient.

    Raises:
        InputError: a label is not IOB2.
    """
    start_ok, pair_ok = allowed_transitions(labels)
    return Transitions(
        jnp.where(start_ok, transitions.start, FORBIDDEN_TRANSITION),
        transitions.stop,
        jnp.where(pair_ok, transitions.pairs, FORBIDDEN_TRANSITION),
    )


def penalties(labels: Sequence[Sequence[str]], most: int) -> Transitions:
    """What rules out the transitions that IOB2 forbids.

    Args:
        labels: names of each task's labels.
        most: K, of the task that has most.

    Returns:
        0 where something is allowed and far below it where not, fields with a leading [B].
    """
    tasks = []
    for names in labels:
        of_task = constrain(Transitions.zeros(len(names)), names)
        # Labels that a task lacks need no penalty: their logits are forbidden already.
        tasks.append(Transitions(*(np.pad(np.asarray(x), [(0, most - len(names))] * np.ndim(x)) for x in of_task)))
    return Transitions(*(np.stack(of_field) for of_field in zip(*tasks, strict=True)))
