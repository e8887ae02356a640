"""A trained network as ONNX, converted by jax2onnx: arrays of a row of sentences to scores of their tags.

model.onnx        word [U], chars [U, C], form_index [1, T] int32, starts, mask [1, T] bool to scores [1, T, K] float32
model.json        labels, how words are read, and the transitions that decoding adds to the scores, null where none
vocabulary.json   its words and characters
README.md         a card for people and for model hubs

The arrays are those of `Rows`, for any number of tokens T; U, the distinct forms of a row, is always FORMS, with zeros
behind those that there are.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.extend.core import jaxpr_as_fun

from kd_jax.errors import InputError
from kd_jax.export.hub import CARD, hub_card
from kd_jax.export.shipped import MANIFEST, VOCABULARY
from kd_jax.models.crf import Transitions
from kd_jax.models.decode import decode
from kd_jax.models.tagger import Tagger
from kd_jax.runtime.files import read_json, whole_folder
from kd_jax.settings import to_dict
from kd_jax.structs import Array
from kd_jax.tagging.model import Penalty, TextModel
from kd_jax.tagging.program import emit
from kd_jax.tagging.rows import Rows

FORMAT = 1
KIND = "kd_jax ONNX model"
NETWORK = "model.onnx"
FORMS = 512  # distinct words of a row


def scores(tagger: Tagger, params: Any, rows: Rows) -> Array:
    """What decoding starts from: of a softmax head log-probabilities, of a CRF head emissions, [R, T, K]."""
    emissions = emit(tagger, params, rows)
    return emissions if "crf" in params else jax.nn.log_softmax(emissions)


def transitions_of(model: TextModel) -> Transitions | None:
    """What decoding adds to the scores: those of a CRF, and what a constrained model rules out; None for nothing."""
    if "crf" not in model.params and not model.constrained:
        return None
    ruled_out = Transitions(*model.penalty)
    trained = Transitions(**model.params["crf"]) if "crf" in model.params else Transitions.zeros(len(model.labels))
    return Transitions(*(np.asarray(a) + np.asarray(b) for a, b in zip(trained, ruled_out, strict=True)))


def write(model: TextModel, tagger: Tagger, folder: Path) -> None:
    """Write a model's folder, whole or not at all.

    Args:
        model: as trained, its products in float32.
        tagger: its module.
        folder: that isn't there yet.

    Raises:
        InputError: where the folder already exists, the model reads unknown words by n-grams, jax2onnx is missing, or
            the disk refuses.
    """
    if folder.exists():
        raise InputError(f"--out={folder}: already exists; name another folder")
    if tagger.settings.compute != "float32":
        raise InputError("--onnx: the model computes its products in bfloat16; ONNX is written of float32 only")
    if model.ngrams is not None:
        raise InputError(
            "--onnx: the model reads words that it does not know by their n-grams (words.unseen=ngrams), which is"
            " outside of its network; ship it without --onnx"
        )
    added = transitions_of(model)
    about = {
        "kind": KIND,
        "format": FORMAT,
        "corpus": model.name,
        "labels": model.labels,
        "words": to_dict(dataclasses.replace(model.words, vectors="")),
        "chars": to_dict(model.chars),
        "transitions": None if added is None else {k: np.asarray(v).tolist() for k, v in added._asdict().items()},
        "about": model.about,
    }
    words = {"words": model.vocabulary.words, "chars": model.vocabulary.chars}
    with whole_folder(folder) as partial:
        _convert(model, tagger, partial / NETWORK)
        (partial / VOCABULARY).write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
        (partial / CARD).write_text(hub_card(model.name, model.labels, model.about, onnx=True), encoding="utf-8")
        (partial / MANIFEST).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _convert(model: TextModel, tagger: Tagger, path: Path) -> None:
    try:
        from jax2onnx import to_onnx  # noqa: PLC0415 - an extra
        from jax2onnx.plugins.plugin_system import PrimitiveLeafPlugin, register_primitive  # noqa: PLC0415
    except ImportError:
        raise InputError("--onnx needs jax2onnx: pip install -e '.[onnx]'") from None

    @register_primitive(jaxpr_primitive="platform_index", testcases=[])
    class OnCPU(PrimitiveLeafPlugin):
        """Of what differs between platforms, what is for CPUs: plain scans."""

        def lower(self, ctx: Any, eqn: Any) -> None:
            names = eqn.params["platforms"]
            index = next(i for i, platforms in enumerate(names) if platforms is None or "cpu" in platforms)
            ctx.bind_const_for_var(eqn.outvars[0], np.int32(index))

    (t,) = export.symbolic_shape("T")
    shape, integer, boolean = jax.ShapeDtypeStruct, jnp.int32, jnp.bool_
    rows = Rows(
        word=shape((FORMS,), integer),
        chars=shape((FORMS, model.chars.longest), integer),
        form_index=shape((1, t), integer),
        starts=shape((1, t), boolean),
        mask=shape((1, t), boolean),
    )
    given = rows.given()
    # traced here, since to the converter's own tracing symbolic lengths that agree seem to differ
    traced = jaxpr_as_fun(jax.make_jaxpr(lambda *arrays: scores(tagger, model.params, Rows(*arrays)))(*given.values()))
    to_onnx(
        lambda *arrays: traced(*arrays)[0],
        list(given.values()),
        return_mode="file",
        output_path=path,
        export_mode="web",  # one file whatever its size
        input_names=list(given),
        output_names=["scores"],
    )


def open_onnx(model: TextModel, folder: Path) -> TextModel:
    """The model with its network run by onnxruntime from what `write` wrote, to be compared with it."""
    import onnxruntime  # noqa: PLC0415 - comes with jax2onnx

    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(folder / NETWORK, quiet, providers=["CPUExecutionProvider"])
    added = read_json(folder / MANIFEST)["transitions"]
    transitions = None if added is None else Transitions(**{k: jnp.asarray(v, jnp.float32) for k, v in added.items()})

    def of_row(row: Rows) -> np.ndarray:
        forms, form_index = np.unique(row.form_index, return_inverse=True)
        if len(forms) > FORMS:
            raise InputError(f"{folder}: reads rows of up to {FORMS} different words; one has {len(forms)}")
        room = FORMS - len(forms)
        word, chars = np.pad(row.word[forms], (0, room)), np.pad(row.chars[forms], ((0, room), (0, 0)))
        feed = Rows(word, chars, np.int32(form_index).reshape(1, -1), row.starts[None], row.mask[None])
        return session.run(["scores"], feed.given())[0]

    def run(_: Any, rows: Rows, __: Penalty) -> tuple[Array, Array]:
        each = zip(rows.form_index, rows.starts, rows.mask, strict=True)
        logits = jnp.concatenate([of_row(Rows(rows.word, rows.chars, *row)) for row in each])
        labels = decode(logits, transitions, None, jnp.asarray(rows.starts), jnp.asarray(rows.mask))
        # Of a CRF these are not the marginals that `label_rows` gives; the comparison looks at labels alone.
        return labels, jnp.take_along_axis(jax.nn.softmax(logits), labels[..., None], -1)[..., 0]

    return dataclasses.replace(model, function=run)
