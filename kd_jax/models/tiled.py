"""The tagger as a TPU computes it: time first, rows and units in whole tiles of 8 x 128.

What it computes is what `kd_jax.models.tagger.Tagger` computes, to rounding, from the same parameters and the same
random bits. Parameters are padded once for a whole training, word tables among them, which XLA would else lay out anew
for each call: arrays whose rows are not whole tiles it keeps the other way round. Zeros beside a unit's weights stay
zeros, since all that reaches a padded unit is 0, forward and backward, and Adam leaves what has no gradient alone.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int32, PRNGKeyArray, Shaped

from kd_jax.models.bilstm import keep_masks
from kd_jax.models.execution import Dropout, Execution
from kd_jax.models.features import CharEncoder
from kd_jax.models.lookups import product_with_one_hot
from kd_jax.models.padding import LANES, SUBLANES, Widths, gate_sizes, resized, round_up
from kd_jax.models.precision import dense
from kd_jax.models.tagger import Batch, Tagger, dropout_words
from kd_jax.settings import Compute
from kd_jax.structs import Array, Outputs

_KERNELS = {("shared", "kernel"), ("task", "kernel")}  # of two directions, which become one [D, 2 * gates]
_OF_TWO = {("task", "kernel"), ("hidden", "kernel")}  # rows are the units of two directions


class _Sizes(NamedTuple):
    """Of a tagger's parameters, before they are padded: of its words, of what its BiLSTM reads, and its units."""

    words: int
    inputs: int
    shared: int
    task: int
    hidden: int

    @classmethod
    def of(cls, tagger: Tagger) -> "_Sizes":
        """Those of a tagger."""
        settings, words = tagger.settings, tagger.settings.words.dim
        inputs = words + settings.chars.units
        return cls(words, inputs, settings.shared_units, settings.task_units, settings.hidden_units)

    def axes(self, name: tuple[str, ...]) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
        """Of a layer's parameter the axes that are padded, from the end: sizes of their runs before and after."""
        found: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
        if name in _OF_TWO:
            units = self.shared if name[0] == "task" else self.task
            found.append((-2, (units,) * 2, _both(units)))
        whole = {
            ("words",): (-1, self.words),
            ("shared", "kernel"): (-2, self.inputs),
            ("hidden", "kernel"): (-1, self.hidden),
            ("hidden", "bias"): (-1, self.hidden),
            ("logits", "kernel"): (-2, self.hidden),
        }
        if name in whole:
            axis, size = whole[name]
            found.append((axis, (size,), (round_up(size, LANES),)))
        if name[0] in {"shared", "task"} and name[1] in {"kernel", "recurrent", "bias"}:
            units = self.shared if name[0] == "shared" else self.task
            of = Widths.of(units)
            found.append((-1, (units,) * 4, gate_sizes(of.units, of.gates)))
            if name[1] == "recurrent":
                found.append((-2, (units,), (of.units,)))
        return found


def is_tiled(tagger: Tagger) -> bool:
    """Whether a tagger's programs hold its parameters as `tile` gives them."""
    return tagger.how.platform == "tpu" and tagger.how.recurrence == "fused"


def tile(tagger: Tagger, tree: Any) -> Any:
    """A tree of parameters, of one lane or [L, ...], with units padded by zeros, input kernels side by side."""
    sizes = _Sizes.of(tagger)

    def pad(path: Any, x: Array) -> Array:
        for axis, before, after in sizes.axes(_name(path)):
            x = resized(x, axis, before, after)
        return jnp.concatenate([x[..., 0, :, :], x[..., 1, :, :]], -1) if _name(path) in _KERNELS else x

    return jax.tree_util.tree_map_with_path(pad, tree)


def untile(tagger: Tagger, tree: Any) -> Any:
    """The tree before it was padded."""
    sizes = _Sizes.of(tagger)

    def cut(path: Any, x: Array) -> Array:
        if _name(path) in _KERNELS:
            x = jnp.stack(jnp.split(x, 2, -1), -3)
        for axis, before, after in sizes.axes(_name(path)):
            x = resized(x, axis, after, before)
        return x

    return jax.tree_util.tree_map_with_path(cut, tree)


def _name(path: Any) -> tuple[str, ...]:
    return tuple(str(getattr(key, "key", "")) for key in path[-2:])


def _both(units: int) -> tuple[int, int]:
    """What the hidden states of two directions take."""
    return (Widths.of(units).hidden,) * 2


class Squares(NamedTuple):
    """Numbers whose gradients are the squares, summed, of those of a BiLSTM's recurrent kernels and biases."""

    shared: Float[Array, ""]
    task: Float[Array, ""]

    @classmethod
    def of_none(cls) -> "Squares":
        """What to ask for them with."""
        return cls(jnp.zeros(()), jnp.zeros(()))


def outputs(
    tagger: Tagger,
    params: Any,
    batch: Batch,
    words: Float[Array, "V D"],
    key: PRNGKeyArray | None,
    squares: Squares | None = None,
    *,
    hidden: bool = True,
) -> Outputs:
    """What the tagger gives for a batch, as `Tagger.__call__` has it.

    Args:
        tagger: the module.
        params: its encoder and one branch, padded by `tile`.
        batch: the tokens.
        words: vectors of the batch's distinct words, padded by `tile` too.
        key: for dropout; None at test time.
        squares: get what they are for; None where nobody asks.
        hidden: whether the shared hidden states are wanted; where they are not, they may be None.
    """
    settings, how = tagger.settings, tagger.how
    compute, rate = settings.compute, settings.dropout
    encoder, branch = params["encoder"], params["branch"]
    rows, steps = batch.mask.shape
    places = _Places(rows, steps, rows + -rows % SUBLANES, how)
    keys: Any = (None, None, None)
    if key is not None:
        of_encoder, of_branch = jax.random.split(key)
        keys = of_encoder, *jax.random.split(of_branch)

    characters = CharEncoder(settings.chars, tagger.alphabet, compute, how, parent=None)
    chars: Any = characters.apply({"params": encoder["chars"]}, batch.forms.chars)
    shared_units, task_units, dim = settings.shared_units, settings.task_units, settings.words.dim
    wide = round_up(width := dim + settings.chars.units, LANES)
    # Side by side in whole registers: a word is padded where its characters go, and gets none of their gradient.
    of_words = jnp.pad(product_with_one_hot(batch.form_to_word, words, compute), ((0, 0), (0, wide - words.shape[-1])))
    of_chars = jnp.pad(chars, ((0, 0), (dim, wide - width)))
    forms = jnp.where(jnp.arange(wide) < dim, of_words, of_chars)
    x = product_with_one_hot(places.time_first(batch.form_index).reshape(-1), forms, compute)
    x = x * places.time_first(batch.mask.astype(x.dtype)).reshape(-1, 1)
    keep = keep_masks(jnp.pad(batch.starts.T, ((0, 0), (0, places.padded - rows)), constant_values=True))

    of_shared, of_task = Squares.of_none() if squares is None else squares
    stay = 256 - round(rate * 256)
    bits = places.stays(keys[0], stay, (width,), (wide,))
    between = places.stays(keys[1], stay, (shared_units,) * 2, _both(shared_units))
    shared, task = places.bilstms(
        places.dropout(x, bits, stay), keep, (encoder["shared"], of_shared), (branch["task"], of_task), between,
        Dropout(stay, hidden), compute,
    )  # fmt: skip
    seen = places.dropout(task, places.stays(keys[2], stay, (task_units,) * 2, _both(task_units)), stay)
    z = jnp.tanh(dense(seen, branch["hidden"]["kernel"], compute) + branch["hidden"]["bias"][None])
    logits = dense(z, branch["logits"]["kernel"], compute) + branch["logits"]["bias"][None]
    return Outputs(
        places.batch_first(logits),
        places.batch_first(_without_padding(task, task_units)),
        None if shared is None else places.batch_first(_without_padding(shared, shared_units)),
    )


def _without_padding(h: Float[Array, "all padded"], units: int) -> Float[Array, "all H"]:
    """Hidden states of both directions."""
    return resized(h[:, : sum(_both(units))], -1, _both(units), (units, units))


class _Places(NamedTuple):
    """Tokens as rows of T * R, R padded, and back."""

    rows: int
    steps: int
    padded: int
    how: Execution

    def time_first(self, x: Shaped[Array, "R T"]) -> Shaped[Array, "T padded"]:
        """[R, T] as [T, R], zeros in rows that there are not."""
        return jnp.pad(x.T, ((0, 0), (0, self.padded - self.rows)))

    def batch_first(self, x: Float[Array, "all D"]) -> Float[Array, "R T D"]:
        """[T * R, D] as [R, T, D]."""
        return x.reshape(self.steps, self.padded, -1)[:, : self.rows].swapaxes(0, 1)

    def stays(
        self, key: PRNGKeyArray | None, stay: int, before: tuple[int, ...], after: tuple[int, ...]
    ) -> tuple[Int32[Array, "T D"], ...]:
        """Which units stay, of runs of units that are each padded: the bits that a CPU draws for [R, T, D].

        Args:
            key: None for no dropout.
            stay: of 256.
            before: units of each run.
            after: what each is padded to.

        Returns:
            As `kd_jax.models.fused.dropout_bits.stays`; nothing where all units stay.
        """
        from kd_jax.models.fused import dropout_bits  # noqa: PLC0415 - Pallas takes a while to import

        if key is None or stay == 256:
            return ()
        words = dropout_words(key, self.rows * self.steps, sum(before))
        found = dropout_bits.stays(words, self.rows, self.steps, stay, before, after, self.how.interpret)
        bits: tuple[Array, ...] = jax.lax.optimization_barrier(
            found
        )  # else drawn once for x and again for its gradient
        return bits

    def dropout(
        self, x: Float[Array, "all D"], bits: tuple[Int32[Array, "T D"], ...], stay: int
    ) -> Float[Array, "all D"]:
        """Units of [T * R, D] dropped, and the others scaled up."""
        from kd_jax.models.fused.dropout_bits import of_row  # noqa: PLC0415

        if not bits:
            return x
        return x * (of_row(bits, self.padded).reshape(x.shape).astype(x.dtype) * (256 / stay))

    def bilstms(
        self,
        x: Float[Array, "all D"],
        keep: tuple[Float[Array, "T padded 1"], Float[Array, "T padded 1"]],
        first: tuple[Any, Float[Array, ""]],
        second: tuple[Any, Float[Array, ""]],
        bits: tuple[Int32[Array, "T H"], ...],
        between: Dropout,
        compute: Compute,
    ) -> tuple[Float[Array, "all H"] | None, Float[Array, "all G"]]:
        """Hidden states of two layers, [T * R, 2 * hidden] each, of inputs [T * R, D]; see `two_layers`."""
        from kd_jax.models.fused import Kernels, Weights  # noqa: PLC0415
        from kd_jax.models.fused.stack import two_layers  # noqa: PLC0415

        layers = [Weights(of["kernel"], of["recurrent"], of["bias"], squares) for of, squares in (first, second)]
        kernels = Kernels("tpu", compute, self.how.interpret)
        places = x.reshape(self.steps, self.padded, -1)
        found = two_layers(places, keep, tuple(layers), bits, between, kernels)
        shared, task = jax.tree.map(lambda h: h.reshape(self.steps * self.padded, -1), found)
        return shared, task
