"""A student's card: what it is, how good, how large, how fast, how calibrated, and how it was made."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from kd_jax import __version__, device
from kd_jax.evaluation.scores import MODE, SCHEME
from kd_jax.tagging.measures import agreement, entity_calibration, illegal_share, scores, tagging
from kd_jax.tagging.speed import latency, rate
from kd_jax.tagging.trained import open_trained
from kd_jax.types import Sentence

TIMED = 100  # sentences that are tagged one by one


def measure(folder: Path, sentences: Sequence[Sentence]) -> dict[str, Any]:
    """A student's card in plain JSON types.

    Args:
        folder: of the student, in a work folder's students/CORPUS; its teachers are looked for in teachers/ there.
        sentences: of the corpus's test split.

    Raises:
        InputError: where the student or a teacher can't be read.
    """
    model, free, bound = (open_trained(folder, None, asked)[0] for asked in (None, False, True))
    found, loose, legal = (tagging(m, sentences) for m in (model, free, bound))
    tokens = [sentence.tokens for sentence in sentences]
    about = model.about
    teachers = {name: folder.parents[2] / "teachers" / name for name in about["teachers"]}
    one_by_one = latency(model, tokens[:TIMED])
    parameters = jax.tree.leaves(model.params)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"kd_jax": __version__, "jax": jax.__version__},
        "device": device.describe(),
        "corpus": model.name,
        **{name: about[name] for name in ("label", "head", "protocol", "seed", "weights", "epochs", "seconds")},
        "constrained": model.constrained,
        "scorer": f"seqeval, {MODE}, {SCHEME}",
        "runner": about["scores"].get(model.name) if about["split"] == "test" else None,
        "f1": scores(sentences, found.tags).f1,
        "f1_constrained": scores(sentences, legal.tags).f1,
        "types": {kind: s._asdict() for kind, s in scores(sentences, found.tags).types.items()},
        "illegal_sentences": illegal_share(loose.tags),
        "calibration_error": entity_calibration(sentences, found),
        "agreement": {
            name: agreement(tagging(open_trained(path, model.name, None)[0], sentences).tags, found.tags)
            for name, path in teachers.items()
            if path.is_dir()
        },
        "parameters": sum(x.size for x in parameters),
        "bytes": sum(x.nbytes for x in parameters),
        "tokens_per_s": rate(model, tokens),
        "latency_p50_ms": one_by_one.p50,
        "latency_p95_ms": one_by_one.p95,
        "settings": about["settings"],
    }


def markdown(card: Mapping[str, Any]) -> str:
    """A card for people."""
    weights = ", ".join(f"{name} {value:g}" for name, value in card["weights"].items())
    agrees = [f"{share:.2%} of tokens ({name})" for name, share in card["agreement"].items()]
    train = card["settings"]["train"]
    rows = {
        "corpus, protocol": f"{card['corpus']}, {card['protocol']}",
        f"F1 on test ({card['scorer']})": f"{card['f1']:.2f}",
        "F1 with forbidden sequences ruled out": f"{card['f1_constrained']:.2f}",
        "sentences with a forbidden sequence where nothing is ruled out": f"{card['illegal_sentences']:.2%}",
        "expected calibration error of its entities' scores": f"{card['calibration_error']:.3f}",
        "same tag as its teacher": "; ".join(agrees) or "it has none here",
        "parameters, bytes": f"{card['parameters']:,}, {card['bytes'] / 1e6:.1f} MB",
        "tokens/s, many sentences": f"{card['tokens_per_s']:,.0f}",
        "one sentence, p50 and p95": f"{card['latency_p50_ms']:.1f} ms, {card['latency_p95_ms']:.1f} ms",
        "measured": f"{card['date']}, {card['device']}, jax {card['versions']['jax']}",
        "how it was made": f"{card['label']}, {card['head']}, seed {card['seed']}; {weights}; {card['epochs']} epochs,"
        f" learning rate {train['learning_rate']:g}, {card['seconds']:.0f} s",
    }
    lines = [f"# {card['label']} on {card['corpus']}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    lines += ["", "| entity type | precision | recall | F1 | entities |", "|---|---:|---:|---:|---:|"]
    for kind, s in card["types"].items():
        lines.append(f"| {kind} | {s['precision']:.2f} | {s['recall']:.2f} | {s['f1']:.2f} | {s['support']} |")
    return "\n".join(lines) + "\n"
