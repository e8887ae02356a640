"""Arrays are described by their axes in signatures, and tests run with these checked (conftest.py)."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.made_paths import packed
from jaxtyping import TypeCheckError

import kd_jax
from kd_jax.models import crf
from kd_jax.models.crf import Transitions
from kd_jax.training import losses

ROOT = Path(kd_jax.__file__).parent
ROOMS = ("data", "models", "training", "distill", "tagging", "evaluation")
ROWS = packed([[3, 1]], 2, seed=0)


def test_arrays_that_fit_their_signature_are_taken():
    emissions, labels, starts, mask = ROWS
    crf.negative_log_likelihood(emissions, labels, Transitions.zeros(2), starts, mask)
    losses.squared_error(emissions, emissions)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit, jax.vmap], ids=["as it is", "jit", "vmap"])
def test_mis_shaped_arrays_are_refused_by_name(transform):
    emissions, labels, starts, mask = (x[None] if transform is jax.vmap else x for x in ROWS)
    zeros = jax.tree.map(lambda x: x[None] if transform is jax.vmap else x, Transitions.zeros(2))
    loss = transform(crf.negative_log_likelihood)
    with pytest.raises(TypeCheckError, match="'starts'"):
        loss(emissions, labels, zeros, starts[..., :-1], mask)  # fewer tokens than emissions
    with pytest.raises(TypeCheckError, match="'labels'"):
        loss(emissions, labels[..., None], zeros, starts, mask)  # an axis too many
    with pytest.raises(TypeCheckError, match="'labels'"):
        loss(emissions, labels.astype(np.float32), zeros, starts, mask)


def test_what_broadcasts_and_should_not_is_refused():
    student, teacher = jnp.zeros((2, 5, 4)), jnp.zeros((1, 5, 4))
    assert (student - teacher).shape == student.shape
    with pytest.raises(TypeCheckError, match="'teacher'"):
        losses.squared_error(student, teacher)


def test_a_result_of_another_shape_is_refused(monkeypatch):
    monkeypatch.setattr(jax.nn, "softmax", lambda logits, axis: logits.max(axis, keepdims=True))
    with pytest.raises(TypeCheckError, match="soften"):
        losses.soften(jnp.zeros((2, 3)))


def undescribed(annotation):
    """Whether an annotation has an array without axes: the second argument of jaxtyping's types says them."""
    if annotation is None or isinstance(annotation, ast.Constant):
        return False
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.slice, ast.Tuple):
        last = annotation.slice.elts[-1]
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            return False
    if ast.unparse(annotation) in {"Array", "np.ndarray", "jax.Array", "jnp.ndarray"}:
        return True
    return any(undescribed(child) for child in ast.iter_child_nodes(annotation))


@pytest.mark.parametrize("room", ROOMS)
def test_signatures_say_the_axes_of_their_arrays(room):
    bare = []
    for path in sorted((ROOT / room).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        methods = [node for of in tree.body if isinstance(of, ast.ClassDef) for node in of.body]
        for node in [*tree.body, *methods]:
            if isinstance(node, ast.FunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                if any(undescribed(a) for a in [node.returns, *(arg.annotation for arg in given)]):
                    bare.append(f"{path.name}: {node.name}")
    assert bare == []
