"""What stands beside a shipped model for people and for model hubs: a card with metadata, and what tagging needs."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from kd_jax import __version__
from kd_jax.corpora.registry import registry

_TAGS = ("kd_jax", "jax", "named-entity-recognition", "biomedical", "knowledge-distillation")
CARD, REQUIREMENTS = "README.md", "requirements.txt"
NEEDED = (
    "safetensors>=0.5",  # the weights
    "flatbuffers>=24.3",  # the program's file
    "jaxtyping>=0.3",  # signatures
    "absl-py>=2.0",  # flags of kd-jax tag
    "rich>=13.0",  # its colours
)
"""What tagging with a shipped model needs beside JAX, and kd_jax itself without what it trains with."""


def requirements() -> str:
    """The file requirements.txt."""
    # A program that a version of JAX has written is read by that one and by later ones.
    runs = f"jax>={jax.__version__}"
    lines = (
        "# What tagging needs; then kd_jax from a clone, without what only training needs: pip install --no-deps CLONE",
        runs,
        *NEEDED,
    )
    return "\n".join(lines) + "\n"


def hub_card(name: str, labels: Sequence[str], about: Mapping[str, Any], *, onnx: bool = False) -> str:
    """The file README.md, with the metadata that a hub reads.

    Args:
        name: the corpus's.
        labels: of the model.
        about: how it was trained, as its manifest says; what is missing there is left out.
        onnx: whether it stands beside an ONNX network.
    """
    kinds = [label[2:] for label in labels if label.startswith("B-")]
    scores = about.get("scores", {}).get(name)
    title = f"{about.get('label', 'model')} on {name}"
    # YAML reads JSON, which has no surprises in what is to be quoted.
    fields = {
        name: json.dumps(value, ensure_ascii=False) for name, value in _metadata(name, title, scores, about).items()
    }
    lines = ["---", *(f"{field}: {value}" for field, value in fields.items()), "---", f"# {title}", ""]
    lines += [f"Finds {', '.join(kinds)} in biomedical text: a BiLSTM of kd_jax {__version__}.", ""]
    if scores:
        lines += [
            f"Entity scores on {about.get('split', 'test')} of {name}, in percent, whole entities with their type:",
            "",
        ]
        lines += ["| | precision | recall | F1 |", "|---|---:|---:|---:|", _row("all", scores)]
        lines += [_row(kind, of_kind) for kind, of_kind in scores.get("types", {}).items()] if len(kinds) > 1 else []
        lines.append("")
    made = [f"{key} {about[key]}" for key in ("head", "protocol", "seed", "epochs") if key in about]
    taught = f" Taught by {', '.join(about['teachers'])}." if about.get("teachers") else ""
    lines += [f"How it was made: {', '.join(made) or 'unknown'}.{taught}", "", _USE_ONNX if onnx else _USE]
    return "\n".join(lines)


_USE = """## Use

    pip install -r requirements.txt && pip install --no-deps CLONE    # CLONE: a clone of kd_jax's repository

    import kd_jax
    tagger = kd_jax.load(".")              # this folder
    tagger("p53 mutations in colorectal cancer")

In spaCy (`pip install spacy`): `nlp.add_pipe("kd_jax", config={"model": "."})` sets `doc.ents`. From the command line:
`kd-jax tag --model=. FILE`.
"""
_USE_ONNX = """## Use

`model.onnx` runs in any ONNX runtime. It reads a row of sentences, T tokens of up to 512 different forms: `word`
[512] (rows of `words` in vocabulary.json, counted from 1, 0 for others, looked up as `words` in model.json says),
`chars` [512, C] (places in `chars` of vocabulary.json, counted from 2, 1 for others, 0 after the end), `form_index`
[1, T], `starts` and `mask` [1, T]. It gives `scores` [1, T, K] of the K `labels` in model.json; the best sequence is
Viterbi's with the `transitions` that stand there, or each token's best label where there are none.
"""


def _metadata(name: str, title: str, scores: Any, about: Mapping[str, Any]) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "library_name": "kd_jax",
        "pipeline_tag": "token-classification",
        "language": "en",
        # A hub's field `datasets` holds names of its own data sets, which the corpora's are not: known ones are tags.
        "tags": [*_TAGS, name] if name in registry() else [*_TAGS],
    }
    if scores:
        metrics = [{"type": kind, "value": round(scores[kind], 2)} for kind in ("precision", "recall", "f1")]
        result = {
            "task": {"type": "token-classification", "name": "named entity recognition"},
            "dataset": {"type": name, "name": name, "split": about.get("split", "test")},
            "metrics": metrics,
        }
        metadata |= {"metrics": ["precision", "recall", "f1"], "model-index": [{"name": title, "results": [result]}]}
    return metadata


def _row(kind: str, scores: Mapping[str, Any]) -> str:
    return f"| {kind} | " + " | ".join(f"{scores[name]:.2f}" for name in ("precision", "recall", "f1")) + " |"
