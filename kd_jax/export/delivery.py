"""A trained model shipped as a user asked for: checked, written, and compared with what it came from."""

import json
from pathlib import Path

from kd_jax.corpora.conll import read_split
from kd_jax.errors import InputError
from kd_jax.export import onnx as onnx_folder
from kd_jax.export import shipping
from kd_jax.export.measures import compare
from kd_jax.export.shipped import MANIFEST, is_shipped, open_shipped
from kd_jax.export.trained import open_trained
from kd_jax.runtime.files import read_json, replace_file


def ship(
    folder: Path,
    out: Path,
    weights: str,
    constrained: bool | None,
    test: Path | None,
    task: str | None = None,
    *,
    onnx: bool = False,
    scheme: str | None = None,
) -> str:
    """Ship a model.

    Args:
        folder: of a trained model.
        out: where it goes.
        weights: "float32", "bfloat16" or "int8".
        constrained: whether it rules out what IOB2 forbids; None for what it was scored with.
        test: a CoNLL file to compare both on; None for no comparison.
        task: of a model of several corpora, the one that is shipped.
        onnx: whether it is written as ONNX for other runtimes, which kd_jax itself does not read.
        scheme: tag scheme of the file, as for `kd_jax.corpora.conll.read_split`; bare tags B, I, ... are read as the
            model's type where it has only one.

    Returns:
        What was done, in a few lines.

    Raises:
        InputError: for whatever is wrong with the model, the file or the place.
    """
    if is_shipped(folder):
        raise InputError(f"--model={folder}: is shipped already; give the folder of the trained model")
    if onnx and weights != "float32":
        raise InputError(f"--weights={weights}: --onnx writes float32")
    if test is not None:
        read_split(test, scheme)  # refused before the model is read and written
    model, tagger = open_trained(folder, task, constrained)
    kinds = {label[2:] for label in model.labels} - {""}
    sentences = None if test is None else read_split(test, scheme, kinds.pop() if len(kinds) == 1 else None)
    if onnx:
        onnx_folder.write(model, tagger, out)
    else:
        shipping.ship(model, tagger, out, weights)
    size = sum(path.stat().st_size for path in out.iterdir())
    lines = [f"{out}: {size / 1e6:.1f} MB, {weights} weights, for {'ONNX runtimes' if onnx else 'cpu, cuda and tpu'}"]
    if test is not None and sentences is not None:
        comparison = compare(model, onnx_folder.open_onnx(model, out) if onnx else open_shipped(out, None), sentences)
        about = read_json(out / MANIFEST) | {"compared": {"file": test.name, **comparison}}
        replace_file(out / MANIFEST, json.dumps(about, indent=1).encode())
        lines.append(
            f"F1 on {test.name}: trained {comparison['trained_f1']:.2f}, shipped {comparison['shipped_f1']:.2f};"
            f" {comparison['different_tags']} of {comparison['tokens']:,} tags differ"
        )
    return "\n".join(lines)
