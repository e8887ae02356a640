"""Floating-point operations of a traced program's matrix products; elementwise arithmetic is not counted."""

import math
from typing import Any


def products(jaxpr: Any) -> int:
    """Operations of all products in a jaxpr, loops multiplied; a multiplication and an addition are two.

    Args:
        jaxpr: such as `jax.jit(f).trace(...).jaxpr`. Of the branches for several platforms the dearest counts.
    """
    return sum(_of_equation(equation) for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns)


def _of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracted, _), _ = params["dimension_numbers"]
        shape = equation.invars[0].aval.shape
        return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in contracted)
    # Any primitive may hold programs of its own (jit, custom_vjp, while, pallas_call): their products count too.
    inner = [part for value in params.values() for part in _jaxprs(value)]
    if name == "cond":
        return max(map(products, inner))
    # A while loop does not say how often it runs, and counts once. Loops of known length are scans in a trace.
    times = params.get("length", 1) if name == "scan" else 1
    if name == "pallas_call":
        times = math.prod(params["grid_mapping"].grid)
    return int(times * sum(map(products, inner)))


def _jaxprs(value: Any) -> list[Any]:
    if hasattr(value, "eqns") or hasattr(getattr(value, "jaxpr", None), "eqns"):
        return [value]
    return [part for one in value for part in _jaxprs(one)] if isinstance(value, list | tuple) else []
