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
_COLUMNS = "# global.columns ="
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "red")


def conll() -> Callable[[TextTagger, Tagged], str]:
    """A writer of a token a line, its columns as they were and a tag of each model, an empty line after each sentence.

    Of several models a first line names the columns, as CoNLL-U Plus does: `# global.columns = FORM NCBI BC2GM`.

    The writer raises InputError where models cut running text differently.
    """
    named = False

    def write(tagger: TextTagger, tagged: Tagged) -> str:
        nonlocal named
        record = tagged.record
        if record.columns is None and len(tagger.styles) > 1:
            names = " and ".join(tagger.names)
            raise InputError(
                f"--format=conll: {names} cut text into tokens differently; tag with one of them, or as jsonl"
            )
        before = [] if record.columns is None else record.columns.before
        known = next((mark for mark in before if mark.startswith(_COLUMNS)), None)
        lines = [f"{mark}\n" if mark.startswith("# ") else f"{mark}\n\n" for mark in before if mark != known]
        if known is not None or (len(tagger.models) > 1 and not named):
            named = True
            given = len(record.columns.rows[0]) if record.columns is not None and record.columns.rows else 1
            columns = known.removeprefix(_COLUMNS).split() if known is not None else ["FORM"]
            columns += [f"COLUMN{number}" for number in range(len(columns) + 1, given + 1)]
            lines.insert(0, f"{_COLUMNS} {' '.join([*columns, *map(_without_blanks, tagger.names)])}\n")
        for number, tokens in enumerate(record.sentences[tagger.styles[0]]):
            tags = tagger.tags(tagged, number)
            rows = [[token.text] for token in tokens] if record.columns is None else record.columns.rows
            lines += ["\t".join((*row, *of_token)) + "\n" for row, *of_token in zip(rows, *tags, strict=True)]
            lines.append("\n")
        return "".join(lines)

    return write


def jsonl(tagger: TextTagger, tagged: Tagged, *, named: bool = False) -> str:
    """An object a record: what it had, text, entities with offsets into it, and of several models their names.

    Args:
        tagger: that tagged it.
        tagged: the record.
        named: whether the object also says the file that the record is from, as "file".

    Returns:
        The object's line; nothing for an empty document.
    """
    record = tagged.record
    if record.place.document and not (record.text or record.content or record.place.ending):
        return ""  # what stands for a document without records
    several = len(tagger.models) > 1
    entities = [
        span._asdict() | ({"model": name} if several else {})
        for name, of_model in zip(tagger.names, tagger.entities_by_model(tagged), strict=True)
        for span in of_model
    ]
    entities.sort(key=lambda entity: (entity["start"], entity["end"]))
    about = ({"file": tagged.record.place.document} if named else {}) | (tagged.record.content or {})
    return json.dumps(about | {"text": tagged.record.text, "entities": entities}, ensure_ascii=False) + "\n"


def brat() -> Callable[[TextTagger, Tagged], str]:
    """A writer of one document's text-bound annotations, numbered from T1, with offsets into the document.

    Of several models a note of each annotation names the model. Types can't hold blanks in brat: they become _.
    """
    numbers = count(1)

    def write(tagger: TextTagger, tagged: Tagged) -> str:
        at = tagged.record.place.at
        spans = [
            (span, name)
            for name, of_model in zip(tagger.names, tagger.entities_by_model(tagged), strict=True)
            for span in of_model
        ]
        spans.sort(key=lambda of: (of[0].start, of[0].end))
        lines = []
        for span, name in spans:
            number = next(numbers)
            lines.append(_annotation(number, span, at))
            if len(tagger.models) > 1:
                lines.append(f"#{number}\tAnnotatorNotes T{number}\t{name}\n")
        return "".join(lines)

    return write


def _annotation(number: int, span: Span, at: int) -> str:
    """A line of brat standoff; an entity that goes on in another line is in fragments, one a line."""
    fragments = list(_fragments(span.text))
    places = ";".join(f"{at + span.start + a} {at + span.start + b}" for a, b in fragments)
    text = " ".join(span.text[a:b] for a, b in fragments)
    return f"T{number}\t{_without_blanks(span.type)} {places}\t{text}\n"


def _without_blanks(name: str) -> str:
    return "_".join(name.split())


def _fragments(text: str) -> Iterator[tuple[int, int]]:
    first = 0
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare:
            begin = first + line.index(bare)
            yield begin, begin + len(bare)
        first += len(line)


def coloured(tagger: TextTagger, tagged: Tagged) -> Text:
    """The text with its entities, their types and scores, coloured by type; of several models a line each, named."""
    kinds = sorted({name[2:] for model in tagger.models for name in model.labels if name != "O"})
    out = Text()
    for name, spans in zip(tagger.names, tagger.entities_by_model(tagged), strict=True):
        if len(tagger.models) > 1:
            out.append(f"{name}: ", "dim")
        last = 0
        for span in spans:
            colour = _COLOURS[kinds.index(span.type) % len(_COLOURS)]
            out.append(_plain(tagged.record.text[last : span.start]))
            out.append(f"[{_plain(span.text)} ", f"bold {colour}").append(f"{span.type}", colour)
            out.append(f" {span.score:.2f}", "dim").append("]", colour)
            last = span.end
        out.append(_plain(tagged.record.text[last:]) + "\n")
    return out


def _plain(text: str) -> str:
    """Text that can't steer a terminal."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)
