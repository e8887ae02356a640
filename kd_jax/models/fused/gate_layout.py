"""Gates apart and together, in a TPU's registers of 8 x 128 numbers.

Of weights no more is moved than is there: four gates stand side by side without a gap, zeros after the last, so that
those of 200 units are 7 registers wide and not 8. States begin at a register. Between the two lanes are rolled.
"""

import jax.numpy as jnp
from jax import lax
from jax.experimental.pallas import tpu as pltpu
from jaxtyping import Float

from kd_jax.models.padding import LANES, Widths
from kd_jax.structs import Array


def apart(gates: Float[Array, "rows gates"], of: Widths) -> tuple[Float[Array, "rows hidden"], ...]:
    """Gates one by one, zeros after their units."""
    return tuple(_lanes([(gates, k * of.units, 0, of.units)], of.hidden) for k in range(4))


def together(parts: tuple[Float[Array, "rows hidden"], ...], of: Widths) -> Float[Array, "rows gates"]:
    """Gates side by side, zeros after the last."""
    return _lanes([(part, 0, k * of.units, of.units) for k, part in enumerate(parts)], of.gates)


def _lanes(runs: list[tuple[Float[Array, "rows _"], int, int, int]], width: int) -> Float[Array, "rows _"]:
    """Lanes of some arrays, [rows, whole registers], as others: of each the array, from where, to where and how many.

    Runs follow one another without a gap from lane 0 on; after the last are zeros.
    """
    rolled: dict[tuple[int, int, int], Array] = {}
    found = []
    lane = lax.broadcasted_iota(jnp.int32, (len(runs[0][0]), LANES), 1)
    for start in range(0, width, LANES):
        whole, filled = None, 0
        for n, (x, source, target, size) in enumerate(runs):
            for register in range(source // LANES, -(-(source + size) // LANES)):
                # Of this register the lanes that are wanted, as lanes of the result, and of those this register's.
                first = max(source, register * LANES)
                to = target + first - source
                begin, end = (
                    max(to, start),
                    min(target + min(source + size, (register + 1) * LANES) - source, start + LANES),
                )
                if begin >= end:
                    continue
                by = (to - first) % LANES
                if (n, register, by) not in rolled:
                    own = x[:, register * LANES : (register + 1) * LANES]
                    rolled[n, register, by] = pltpu.roll(own, by, 1) if by else own
                own = rolled[n, register, by]
                whole = own if whole is None else jnp.where(lane >= begin - start, own, whole)
                filled = end - start
        if whole is None:
            whole = jnp.zeros((runs[0][0].shape[0], LANES), runs[0][0].dtype)
        elif filled < LANES:
            whole = jnp.where(lane < filled, whole, 0.0)
        found.append(whole)
    return jnp.concatenate(found, -1)
