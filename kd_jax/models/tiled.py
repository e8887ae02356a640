"""The tagger as a TPU computes it: time first, rows and units in whole tiles of 8 x 128.

What it computes is what `kd_jax.models.tagger.Tagger` computes, to rounding, from the same parameters and the same
random bits. Parameters are padded once for many steps: zeros beside a unit's weights stay zeros, since all that reaches
a padded unit is 0, forward and backward, and Adam leaves what has no gradient alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray, Shaped

from kd_jax.models.bilstm import keep_masks
from kd_jax.models.execution import Execution
from kd_jax.models.features import CharEncoder
from kd_jax.models.lookups import product_with_one_hot
from kd_jax.models.precision import dense
from kd_jax.models.tagger import Batch, Tagger, dropout_planes
from kd_jax.settings import Compute
from kd_jax.structs import Array, Outputs

UNITS, ROWS = 128, 8

_AXES: dict[
    tuple[str, ...], tuple[tuple[int, int], ...]
] = {  # of a parameter, its axes from the end that are padded, and how many runs of units each has
    ("shared", "kernel"): ((1, 4),),
    ("shared", "recurrent"): ((2, 1), (1, 4)),
    ("shared", "bias"): ((1, 4),),
    ("task", "kernel"): ((2, 2), (1, 4)),
    ("task", "recurrent"): ((2, 1), (1, 4)),
    ("task", "bias"): ((1, 4),),
    ("hidden", "kernel"): ((2, 2),),
}

_KERNELS = {("shared", "kernel"), ("task", "kernel")}  # of two directions, which become one [D, 2 * 4H]


def padded(units: int) -> int:
    """Units as padded."""
    return -(-units // UNITS) * UNITS


def tile(tree: Any) -> Any:
    """A tree of the parameters' shapes, of one lane, with units padded by zeros, input kernels side by side."""

    def pad(path: Any, x: Array) -> Array:
        for axis, runs in _AXES.get(_name(path), ()):
            x = resized(x, -axis, runs, padded(x.shape[-axis] // runs))
        return jnp.concatenate([x[..., 0, :, :], x[..., 1, :, :]], -1) if _name(path) in _KERNELS else x

    return jax.tree_util.tree_map_with_path(pad, tree)


def untile(tree: Any, like: Any) -> Any:
    """The tree before it was padded; `like` has its shapes."""

    def cut(path: Any, x: Array, whole: Array) -> Array:
        if _name(path) in _KERNELS:
            x = jnp.stack(jnp.split(x, 2, -1), -3)
        for axis, runs in _AXES.get(_name(path), ()):
            x = resized(x, -axis, runs, whole.shape[-axis] // runs)
        return x

    return jax.tree_util.tree_map_with_path(cut, tree, like)


def _name(path: Any) -> tuple[str, ...]:
    return tuple(str(getattr(key, "key", "")) for key in path[-2:])


def resized(x: Shaped[Array, "..."], axis: int, runs: int, wanted: int) -> Shaped[Array, "..."]:
    """Runs of an axis each cut, or filled up with zeros, to a size."""
    axis %= x.ndim
    apart = x.reshape(*x.shape[:axis], runs, x.shape[axis] // runs, *x.shape[axis + 1 :])
    now = apart.shape[axis + 1]
    if wanted > now:
        apart = jnp.pad(apart, [(0, wanted - now) if a == axis + 1 else (0, 0) for a in range(apart.ndim)])
    else:
        apart = jax.lax.slice_in_dim(apart, 0, wanted, axis=axis + 1)
    return apart.reshape(*x.shape[:axis], runs * wanted, *x.shape[axis + 1 :])


def outputs(tagger: Tagger, params: Any, batch: Batch, words: Float[Array, "V D"], key: PRNGKeyArray | None) -> Outputs:
    """What the tagger gives for a batch, as `Tagger.__call__` has it.

    Args:
        tagger: the module.
        params: its encoder and one branch, padded by `tile`.
        batch: the tokens.
        words: vectors of the batch's distinct words, [V, D].
        key: for dropout; None at test time.
    """
    settings, how = tagger.settings, tagger.how
    compute, rate = settings.compute, settings.dropout
    encoder, branch = params["encoder"], params["branch"]
    rows, steps = batch.mask.shape
    places = _Places(rows, steps, rows + -rows % ROWS)
    keys: Any = (None, None, None)
    if key is not None:
        of_encoder, of_branch = jax.random.split(key)
        keys = of_encoder, *jax.random.split(of_branch)

    characters = CharEncoder(settings.chars, tagger.alphabet, compute, how, parent=None)
    chars: Any = characters.apply({"params": encoder["chars"]}, batch.forms.chars)
    forms = jnp.concatenate([product_with_one_hot(batch.form_to_word, words, compute), chars], -1)
    x = product_with_one_hot(places.time_first(batch.form_index).reshape(-1), forms, compute)
    x = x * places.time_first(batch.mask.astype(x.dtype)).reshape(-1, 1)
    keep = keep_masks(jnp.pad(batch.starts.T, ((0, 0), (0, places.padded - rows)), constant_values=True))

    x = places.dropout(keys[0], x, rate, 1)
    shared = places.bilstm(x, keep, encoder["shared"], compute, how)
    units = settings.shared_units
    task = places.bilstm(places.dropout(keys[1], shared, rate, units), keep, branch["task"], compute, how)
    seen = places.dropout(keys[2], task, rate, settings.task_units)
    z = jnp.tanh(dense(seen, branch["hidden"]["kernel"], compute) + branch["hidden"]["bias"][None])
    logits = dense(z, branch["logits"]["kernel"], compute) + branch["logits"]["bias"][None]
    return Outputs(
        places.batch_first(logits),
        places.batch_first(resized(task, -1, 2, settings.task_units)),
        places.batch_first(resized(shared, -1, 2, units)),
    )


class _Places(NamedTuple):
    """Tokens as rows of T * R, R padded, and back."""

    rows: int
    steps: int
    padded: int

    def time_first(self, x: Shaped[Array, "R T"]) -> Shaped[Array, "T padded"]:
        """[R, T] as [T, R], zeros in rows that there are not."""
        return jnp.pad(x.T, ((0, 0), (0, self.padded - self.rows)))

    def batch_first(self, x: Float[Array, "all D"]) -> Float[Array, "R T D"]:
        """[T * R, D] as [R, T, D]."""
        return x.reshape(self.steps, self.padded, -1)[:, : self.rows].swapaxes(0, 1)

    def dropout(
        self, key: PRNGKeyArray | None, x: Float[Array, "all D"], rate: float, units: int
    ) -> Float[Array, "all D"]:
        """`kd_jax.models.tagger.dropout` of [T * R, D] by the bits that it draws for [R, T, D].

        Args:
            key: None for no dropout.
            x: two runs of units, each padded, or, where units is 1, as wide as it is.
            rate: share of units set to 0.
            units: of a run.
        """
        kept = 256 - round(rate * 256)
        if key is None or kept == 256:
            return x
        tokens, width = self.rows * self.steps, x.shape[-1] if units == 1 else 2 * units
        stays = (dropout_planes(key, tokens, width) < kept).astype(jnp.bfloat16)
        order = self.time_first(jnp.arange(tokens).reshape(self.rows, self.steps)).reshape(-1)
        hot = jax.nn.one_hot(order, tokens, dtype=jnp.bfloat16)  # a transpose of 7 rows would shuffle every register
        here = jnp.matmul(hot, stays, preferred_element_type=jnp.bfloat16)  # of zeros and ones: exact
        if units > 1:  # so would a pad be
            places = resized(jnp.eye(width, dtype=jnp.bfloat16), -1, 2, x.shape[-1] // 2)
            here = jnp.matmul(here, places, preferred_element_type=jnp.bfloat16)
        here = jax.lax.optimization_barrier(here)  # else the product is done once for x and again for its gradient
        return x * (here.astype(x.dtype) * (256 / kept))

    def bilstm(
        self,
        x: Float[Array, "all D"],
        keep: tuple[Float[Array, "T padded 1"], Float[Array, "T padded 1"]],
        of: Any,
        compute: Compute,
        how: Execution,
    ) -> Float[Array, "all H"]:
        """Hidden states, [T * R, 2H], of inputs [T * R, D]."""
        from kd_jax.models.fused import Kernels, layer  # noqa: PLC0415 - Pallas takes a while to import

        kernels = Kernels("tpu", compute, how.interpret)
        h = layer(x.reshape(self.steps, self.padded, -1), keep, of["kernel"], of["recurrent"], of["bias"], kernels)
        return h.reshape(self.steps * self.padded, -1)
