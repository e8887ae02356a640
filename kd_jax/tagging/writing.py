"""Tagged records as CoNLL, JSONL, brat standoff, and coloured text."""

import json
from collections.abc import Callable, Iterator
from itertools import count
from typing import Literal

from rich.text import Text

from kd_jax.errors import InputError
from kd_jax.tagging.spans import Span
from kd_jax.tagging.tagger import Tagged, TextTagger

Format = Literal["terminal", "conll", "jsonl", "brat"]
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def conll(tagger: TextTagger, tagged: Tagged) -> str:
    """A token a line, its columns as they were and a tag of each model, an empty line after each sentence.

    Raises:
        InputError: where models cut running text differently.
    """
    record = tagged.record
    if record.columns is None and len(tagger.styles) > 1:
        names = " and ".join(model.name for model in tagger.models)
        raise InputError(f"--format=conll: {names} cut text into tokens differently; tag with one of them, or as jsonl")
    lines = [] if record.columns is None else [f"{mark}\n\n" for mark in record.columns.before]
    for number, tokens in enumerate(record.sentences[tagger.styles[0]]):
        tags = [
            [model.labels[k] for k in of_model[number].labels]
            for model, of_model in zip(tagger.models, tagged.found, strict=True)
        ]
        rows = [[token.text] for token in tokens] if record.columns is None else record.columns.rows
        lines += ["\t".join((*row, *of_token)) + "\n" for row, *of_token in zip(rows, *tags, strict=True)]
        lines.append("\n")
    return "".join(lines)


def jsonl(tagger: TextTagger, tagged: Tagged) -> str:
    """An object a record: what it had, text, entities with offsets into it, and of several models their names."""
    several = len(tagger.models) > 1
    found = [
        span._asdict() | ({"model": model.name} if several else {})
        for model, of_model in zip(tagger.models, tagger.entities_by_model(tagged), strict=True)
        for span in of_model
    ]
    found.sort(key=lambda entity: (entity["start"], entity["end"]))
    return (
        json.dumps((tagged.record.content or {}) | {"text": tagged.record.text, "entities": found}, ensure_ascii=False)
        + "\n"
    )


def brat() -> Callable[[TextTagger, Tagged], str]:
    """A writer of one document's text-bound annotations, numbered from T1, with offsets into the document."""
    numbers = count(1)

    def write(tagger: TextTagger, tagged: Tagged) -> str:
        at = tagged.record.place.at
        return "".join(_annotation(next(numbers), span, at) for span in tagger.entities(tagged))

    return write


def _annotation(number: int, span: Span, at: int) -> str:
    """A line of brat standoff; an entity that goes on in another line is in fragments, one a line."""
    fragments = list(_fragments(span.text))
    places = ";".join(f"{at + span.start + a} {at + span.start + b}" for a, b in fragments)
    text = " ".join(span.text[a:b] for a, b in fragments)
    return f"T{number}\t{span.type} {places}\t{text}\n"


def _fragments(text: str) -> Iterator[tuple[int, int]]:
    first = 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare:
            begin = first + line.index(bare)
            yield begin, begin + len(bare)
        first += len(line)


def coloured(tagger: TextTagger, tagged: Tagged) -> Text:
    """The text with its entities in the colours of their types; of several models a line each, after their names."""
    kinds = sorted({name[2:] for model in tagger.models for name in model.labels if name != "O"})
    out = Text()
    for model, found in zip(tagger.models, tagger.entities_by_model(tagged), strict=True):
        if len(tagger.models) > 1:
            out.append(f"{model.name}: ", "dim")
        last = 0
        for span in found:
            colour = _COLOURS[kinds.index(span.type) % len(_COLOURS)]
            out.append(_plain(tagged.record.text[last : span.start]))
            out.append(f"[{_plain(span.text)} ", f"bold {colour}").append(f"{span.type}]", colour)
            last = span.end
        out.append(_plain(tagged.record.text[last:]) + "\n")
    return out


def _plain(text: str) -> str:
    """Text that can't steer a terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
