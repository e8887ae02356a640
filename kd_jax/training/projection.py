"""Hidden states of a student that is not as wide as its teacher, projected to the teacher's width.

Source: Romero et al., ICLR 2015, FitNets: Hints for Thin Deep Nets: a regressor over the student's guided layer is
trained with it. It serves training alone: its parameters are no part of the tagger's, and no shipped model has them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, PRNGKeyArray

from kd_jax.structs import Array, Outputs

HIDDEN = ("task_hidden", "shared_hidden")


def init_projections(key: PRNGKeyArray, student: Outputs, teacher: Outputs) -> dict[str, Any]:
    """Parameters of a linear map for every hidden state that is to be matched and is of another width.

    Args:
        key: random key.
        student: width of each of its outputs, Hs.
        teacher: width of each of its outputs, Ht; None for one that is not matched.

    Returns:
        {"task_hidden": {"kernel": [Hs, Ht], "bias": [Ht]}, "shared_hidden": ...} of those that need one. Kernels keep
        the variance of what they project (LeCun normal), biases are 0.
    """
    lecun = jax.nn.initializers.lecun_normal()
    projections = {}
    for number, name in enumerate(HIDDEN):
        ours, theirs = getattr(student, name), getattr(teacher, name)  # equal widths are compared as they are
        if theirs is not None and theirs != ours:
            kernel = lecun(jax.random.fold_in(key, number), (ours, theirs), jnp.float32)
            projections[name] = {"kernel": kernel, "bias": jnp.zeros(theirs)}
    return projections


def project(projections: dict[str, Any], student: Outputs) -> Outputs:
    """A student's outputs with its hidden states in the teacher's width: h W + b.

    Args:
        projections: as `init_projections` gives them; hidden states without one stay as they are.
        student: hidden states [..., Hs].

    Returns:
        Hidden states [..., Ht]; logits as they were.
    """
    return student._replace(**{name: _affine(getattr(student, name), **of) for name, of in projections.items()})


def _affine(
    hidden: Float[Array, "*tokens Hs"], kernel: Float[Array, "Hs Ht"], bias: Float[Array, "Ht"]
) -> Float[Array, "*tokens Ht"]:
    return hidden @ kernel + jnp.expand_dims(bias, range(hidden.ndim - 1))
