"""What a batch touches of a lane's parameters and moments: taken out for an update, and put back."""

from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import Shaped

from kd_jax.data.packing import Batches
from kd_jax.models.execution import Execution
from kd_jax.structs import Array
from kd_jax.training.state import OptState, TrainState

WHOLE = {"encoder", "projection"}
"""What every batch touches all of."""


def take(trees: Sequence[Any], batch: Batches, how: Execution) -> list[Any]:
    """The part of parameter-shaped trees that a batch touches: its words, the encoder, what its task has."""
    of_task = _branch_of([_of_tasks(tree) for tree in trees], batch, how)
    if how.platform == "tpu":
        words: Sequence[Array] = _table_rows().read([tree["words"] for tree in trees], batch.word, how.interpret)
    else:  # the list of words is padded with a row that the table does not have: zeros here, dropped by `put`
        words = [tree["words"].at[batch.word].get(mode="fill", fill_value=0.0) for tree in trees]
    return [
        {"words": rows, **{name: tree[name] for name in tree.keys() & WHOLE}, **own}
        for rows, tree, own in zip(words, trees, of_task, strict=True)
    ]


def at_task(x: Shaped[Array, "B *axes"], batch: Batches, how: Execution) -> Shaped[Array, "*axes"]:
    """What the task of a batch has."""
    return x[0] if _only(x, how) else x[batch.task]


def _of_tasks(tree: Any) -> Any:
    """What there is of every task."""
    return {name: tree[name] for name in tree.keys() & {"branch", "crf"}}


def _branch_of(trees: Any, batch: Batches, how: Execution) -> Any:
    """Trees of [B, ...] at a batch's task."""
    leaves, structure = jax.tree.flatten(trees)
    if how.platform == "tpu" and len(leaves[0]) > 1:
        return jax.tree.unflatten(structure, _branches().take(leaves, batch.task, how.interpret))
    return jax.tree.map(lambda x: at_task(x, batch, how), trees)


def _with_branch(trees: Any, parts: Any, batch: Batches, how: Execution) -> Any:
    """Trees of [B, ...] with what a batch's task has replaced."""
    leaves, structure = jax.tree.flatten(trees)
    if how.platform == "tpu" and len(leaves[0]) > 1:
        return jax.tree.unflatten(structure, _branches().put(leaves, batch.task, jax.tree.leaves(parts), how.interpret))

    def replaced(x: Array, y: Array) -> Array:
        return y[None] if _only(x, how) else x.at[batch.task].set(y)

    return jax.tree.map(replaced, trees, parts)


def put(trees: Sequence[Any], touched: Sequence[Any], batch: Batches, frozen_words: bool, how: Execution) -> list[Any]:
    """The trees with that part replaced; rows that do not exist are dropped."""
    words: Sequence[Array] = [tree["words"] for tree in trees]
    if not frozen_words:
        rows = [part["words"] for part in touched]
        if how.platform == "tpu":
            words = _table_rows().write(words, batch.word, rows, how.interpret)
        else:
            words = [table.at[batch.word].set(new, mode="drop") for table, new in zip(words, rows, strict=True)]
    of_tasks = _with_branch([_of_tasks(tree) for tree in trees], [_of_tasks(part) for part in touched], batch, how)
    return [
        {"words": table, **{name: part[name] for name in part.keys() & WHOLE}, **own}
        for table, part, own in zip(words, touched, of_tasks, strict=True)
    ]


def take_touched(state: TrainState, batch: Batches, how: Execution) -> tuple[Any, OptState]:
    """Parameters and the optimiser's state of what a batch touches: moments are cut as the parameters are."""
    clip, adam = state.opt_state
    params, mu, nu = take((state.params, adam.mu, adam.nu), batch, how)
    return params, (clip, adam._replace(mu=mu, nu=nu))


def put_touched(
    state: TrainState, params: Any, opt_state: OptState, batch: Batches, frozen_words: bool, how: Execution
) -> TrainState:
    """The state with those parameters and that optimiser's state in place of its own."""
    (_, old), (clip, new) = state.opt_state, opt_state
    trees, touched = (state.params, old.mu, old.nu), (params, new.mu, new.nu)
    params, mu, nu = put(trees, touched, batch, frozen_words, how)
    return state._replace(params=params, opt_state=(clip, new._replace(mu=mu, nu=nu)))


def _only(x: Shaped[Array, "B *axes"], how: Execution) -> bool:
    """Whether a model of one task needs no index to look up by; a CPU's programs stay what they were."""
    return len(x) == 1 and how.platform != "cpu"


def _branches() -> Any:
    """The kernels that move branches on a TPU."""
    from kd_jax.models import branches  # noqa: PLC0415

    return branches


def _table_rows() -> Any:
    """The kernels that move rows on a TPU; Pallas takes a while to import."""
    from kd_jax.models import table_rows  # noqa: PLC0415

    return table_rows
