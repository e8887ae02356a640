"""A student's card: what it is, how good, how large, how fast, how calibrated, and how it was made."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import jax

from kd_jax.errors import InputError
from kd_jax.evaluation.scores import MODE, SCHEME
from kd_jax.export.measures import agreement, entity_calibration, illegal_share, scores, tagging
from kd_jax.export.speed import Speed, measure_speed
from kd_jax.export.trained import open_trained
from kd_jax.runtime import device
from kd_jax.runtime.files import digest, read_json, replace_file
from kd_jax.settings import from_dict, to_dict
from kd_jax.structs import Corpus

FORMAT = 2
CARD, PAGE = "card.json", "card.md"
Said = Callable[[str], list[list[str]] | None]
"""The tags that a teacher of a name gives the test split; None where it isn't there."""


def teachers_of(workdir: Path, corpus: Corpus) -> Said:
    """The teachers of a work folder, each of which tags the corpus's test split once."""

    @cache
    def said(name: str) -> list[list[str]] | None:
        # A single-task model may teach too.
        places = (workdir / "teachers" / name, workdir / "students" / corpus.name / name)
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            return None
        return tagging(open_trained(folder, corpus.name, None)[0], corpus.splits["test"]).tags

    return said


def known_speeds(workdir: Path) -> dict[str, Speed]:
    """The speeds on the cards of a work folder, by architecture; a card that can't be read is ignored."""
    speeds = {}
    for path in sorted(workdir.glob(f"students/*/*/{CARD}")):
        try:
            speed = from_dict(Speed, read_json(path)["speed"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError, InputError):
            continue
        speeds[speed.architecture] = speed
    return speeds


def write_card(folder: Path, corpus: Corpus, teacher_tags: Said, speeds: dict[str, Speed]) -> dict[str, Any]:
    """Make a student's card and write it beside it as card.md and card.json.

    Args:
        folder: of the student.
        corpus: whose test split it was scored on.
        teacher_tags: what its teachers say of that.
        speeds: known ones by architecture; one that is not among them is measured and put there.

    Returns:
        The card in plain JSON types.

    Raises:
        InputError: where the student or a teacher can't be read, or the disk refuses.
    """
    model, tagger = open_trained(folder, None, None)
    sentences, about = corpus.splits["test"], model.about
    tagged = {c: tagging(replace(model, constrained=c), sentences) for c in (False, True)}
    predicted = tagged[model.constrained]
    architecture = digest([to_dict(tagger.settings), about["head"], device.devices()])[:12]
    name = f"{model.name}/{folder.name}"
    if architecture not in speeds:
        speeds[architecture] = measure_speed(model, [s.tokens for s in sentences], architecture, name)
    tables = [model.params["words"], *([] if model.ngrams is None else [model.ngrams.dual])]
    arrays = [*jax.tree.leaves(model.params), *tables[1:]]
    taught = {teacher: tags for teacher in about["teachers"] if (tags := teacher_tags(teacher)) is not None}
    card = {
        "format": FORMAT,
        "name": name,
        "corpus": model.name,
        **{key: about[key] for key in ("label", "head", "protocol", "seed", "weights", "epochs", "seconds")},
        "constrained": model.constrained,
        "scorer": f"seqeval, {MODE}, {SCHEME}",
        # Scores are those of results.csv; what follows is measured by the saved model.
        **{key: about["scores"][model.name][key] for key in ("precision", "recall", "f1", "types")},
        "f1_constrained": scores(sentences, tagged[True].tags).f1,
        "illegal_sentences": illegal_share(tagged[False].tags),
        "calibration_error": entity_calibration(sentences, predicted),
        "agreement": {teacher: agreement(tags, predicted.tags) for teacher, tags in taught.items()},
        "parameters": sum(x.size for x in arrays),
        "word_parameters": sum(int(x.size) for x in tables),
        "bytes": sum(x.nbytes for x in arrays),
        "speed": to_dict(speeds[architecture]),
        "settings": about["settings"],
    }
    replace_file(folder / PAGE, markdown(card).encode())
    replace_file(folder / CARD, json.dumps(card, indent=1).encode())
    return card


def markdown(card: Mapping[str, Any]) -> str:
    """A card for people."""
    weights = ", ".join(f"{term} {value:g}" for term, value in card["weights"].items())
    agrees = [f"{_or_none(f1, '.2f')} ({teacher})" for teacher, f1 in card["agreement"].items()]
    train, speed = card["settings"]["train"], card["speed"]
    of = "itself" if speed["model"] == card["name"] else f"{speed['model']}, which has the same sizes"
    rows = {
        "corpus, protocol": f"{card['corpus']}, {card['protocol']}",
        f"F1 on test ({card['scorer']})": f"{card['f1']:.2f}",
        "F1 with forbidden sequences ruled out": f"{card['f1_constrained']:.2f}",
        "sentences with a forbidden sequence where nothing is ruled out": f"{card['illegal_sentences']:.2%}",
        "expected calibration error of its entities' scores": _or_none(card["calibration_error"], ".3f"),
        "entity F1 against its teacher's own tags": "; ".join(agrees) or "it has none here",
        "parameters, bytes": f"{card['parameters']:,}, {card['bytes'] / 1e6:.1f} MB",
        "of these the word table": f"{card['word_parameters']:,}",
        "tokens/s, many sentences": f"{speed['tokens_per_s']:,.0f}",
        "one sentence, p50 and p95": f"{speed['latency_p50_ms']:.1f} ms, {speed['latency_p95_ms']:.1f} ms",
        "speed was measured": f"of {of}; {speed['date']}, {speed['device']}, jax {speed['jax']}",
        "how it was made": f"{card['label']}, {card['head']}, seed {card['seed']}; {weights}; {card['epochs']} epochs,"
        f" learning rate {train['learning_rate']:g}, {card['seconds']:.0f} s",
    }
    lines = [f"# {card['label']} on {card['corpus']}", "", "| | |", "|---|---|"]
    lines += [f"| {title} | {value} |" for title, value in rows.items()]
    lines += ["", "| entity type | precision | recall | F1 | entities |", "|---|---:|---:|---:|---:|"]
    for kind, s in card["types"].items():
        lines.append(f"| {kind} | {s['precision']:.2f} | {s['recall']:.2f} | {s['f1']:.2f} | {s['support']} |")
    return "\n".join(lines) + "\n"


def _or_none(value: float | None, form: str) -> str:
    return "no entity was found" if value is None else format(value, form)


def summary(cards: Sequence[Mapping[str, Any]]) -> str:
    """Several seeds' cards of one column in a line, as means."""
    agrees = [f1 for card in cards for f1 in card["agreement"].values() if f1 is not None]
    errors = [card["calibration_error"] for card in cards if card["calibration_error"] is not None]
    parts = [
        f"F1 {mean(card['f1'] for card in cards):.1f}",
        f"{mean(card['illegal_sentences'] for card in cards):.1%} of sentences illegal",
        f"calibration error {mean(errors):.3f}" if errors else "no entity found",
        *([f"F1 {mean(agrees):.1f} against its teacher's tags"] if agrees else []),
    ]
    seeds = f"{len(cards)} seeds" if len(cards) > 1 else "1 seed"
    return f"{cards[0]['label']} on {cards[0]['corpus']} ({seeds}): {', '.join(parts)}"
