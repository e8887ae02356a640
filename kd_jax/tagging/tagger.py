"""Text to entities: one or several models over the same tokens, in one pass."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, count
from typing import Any, NamedTuple, overload

from kd_jax.tagging.model import TextModel
from kd_jax.tagging.rows import Prediction
from kd_jax.tagging.spans import Span, rounded, runs, spans
from kd_jax.tagging.tokenizer import Style, Token, tokenize

CHUNK = 1 << 14  # tokens that are tagged together


class Place(NamedTuple):
    """Where a record stands: its document's name, the offset of its text there, and what parts it from the next."""

    document: str
    at: int
    ending: str


class Columns(NamedTuple):
    """A sentence as it stood in a CoNLL file: the document marks before it, and the columns of each token's line."""

    before: list[str]
    rows: list[list[str]]


class Record(NamedTuple):
    """A stretch of input that is tagged as a whole.

    Attributes:
        text: what offsets are into.
        sentences: tokens of each of its sentences, for every style that the models have.
        raw: whether the tokens were cut from running text.
        place: where it stands.
        columns: of a sentence from a CoNLL file.
        content: of an object from a JSONL file.
    """

    text: str
    sentences: dict[Style, list[list[Token]]]
    raw: bool
    place: Place = Place("text", 0, "\n")
    columns: Columns | None = None
    content: dict[str, Any] | None = None


class Tagged(NamedTuple):
    """A record with what was found in it.

    Attributes:
        record: the record.
        predictions: labels of each sentence, for each model.
    """

    record: Record
    predictions: list[list[Prediction]]


class Cutter(ABC):
    """What cuts text into sentences and tokens, in one or several styles."""

    @property
    @abstractmethod
    def styles(self) -> tuple[Style, ...]:
        """How text is cut."""

    def read(self, text: str) -> Record:
        """A text cut into sentences and tokens, once for each style."""
        return Record(text, {style: tokenize(text, style) for style in self.styles}, raw=True)

    def given(self, tokens: Sequence[str]) -> Record:
        """A sentence whose tokens are known; its text is the tokens joined by blanks."""
        ends = []
        at = 0
        for token in tokens:
            ends.append(Token(token, at, at + len(token)))
            at += len(token) + 1
        return Record(" ".join(tokens), dict.fromkeys(self.styles, [ends] if ends else []), raw=False)


@dataclass(frozen=True, repr=False)
class TextTagger(Cutter):
    """One or several models that tag text; `tagger("p53 mutations in colorectal cancer")` gives the entities.

    Of several texts, `tagger([text, other])`, it gives those of each, and reads them together, which is faster.

    Attributes:
        models: the models.
        min_score: what an entity's score must be to be one.
    """

    models: tuple[TextModel, ...]
    min_score: float = 0.0

    @overload
    def __call__(self, text: str) -> list[Span]: ...  # type: ignore[overload-overlap]  # a str is no other Iterable

    @overload
    def __call__(self, text: Iterable[str]) -> list[list[Span]]: ...

    def __call__(self, text: str | Iterable[str]) -> list[Span] | list[list[Span]]:
        """Entities of a text, of all models, in the order of the text; of several texts those of each."""
        texts = [text] if isinstance(text, str) else text
        of_texts = [self.entities(tagged) for tagged in self.stream(map(self.read, texts))]
        return of_texts[0] if isinstance(text, str) else of_texts

    def __repr__(self) -> str:
        """The models in a line."""
        return f"TextTagger({'; '.join(map(repr, self.models))})"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each model that no other has: its corpus, its folder where corpora are the same, a number."""
        corpora = Counter(model.name for model in self.models)
        of_models = [f"{m.name} ({m.source})" if corpora[m.name] > 1 and m.source else m.name for m in self.models]
        alike = Counter(of_models)
        numbers = {name: count(1) for name in of_models}
        return tuple(f"{name} #{next(numbers[name])}" if alike[name] > 1 else name for name in of_models)

    @property
    def styles(self) -> tuple[Style, ...]:
        """How the models' corpora cut text into tokens."""
        return tuple(dict.fromkeys(model.style for model in self.models))

    def stream(self, records: Iterable[Record | None]) -> Iterator[Tagged]:
        """Tag records as they come, about 16,000 tokens at a time, so that memory does not grow with their number.

        Args:
            records: the records; None says that the next one is not at hand yet, and what waits is tagged.
        """
        waiting: list[Record] = []
        tokens = 0
        for record in records:
            if record is not None:
                waiting.append(record)
                tokens += sum(map(len, record.sentences[self.styles[0]]))
            if record is None or tokens >= CHUNK or len(waiting) >= CHUNK:
                yield from self._tag(waiting)
                waiting, tokens = [], 0
        yield from self._tag(waiting)

    def _tag(self, records: Sequence[Record]) -> Iterator[Tagged]:
        predictions: list[list[list[Prediction]]] = [[] for _ in records]
        for model in self.models:
            of_each: list[list[Prediction]] = [[] for _ in records]
            for raw in (True, False):
                mine = [i for i, record in enumerate(records) if record.raw == raw]
                sentences = [records[i].sentences[model.style] for i in mine]
                texts = [[token.text for token in sentence] for sentence in chain.from_iterable(sentences)]
                labels = iter(model.label(texts, raw=raw) if texts else ())
                for i, of_record in zip(mine, sentences, strict=True):
                    of_each[i] = [next(labels) for _ in of_record]
            for place, own_found in zip(predictions, of_each, strict=True):
                place.append(own_found)
        return map(Tagged, records, predictions)

    def tags(self, tagged: Tagged, number: int) -> list[list[str]]:
        """The tags of a record's sentence, for each model; O where an entity's score is too low.

        Args:
            tagged: the record.
            number: of the sentence.
        """
        of_models = []
        for model, of_model in zip(self.models, tagged.predictions, strict=True):
            tags = [model.labels[k] for k in of_model[number].labels]
            for _, first, last in [*runs(tags)] if self.min_score else ():
                if rounded(of_model[number].probabilities[first:last]) < self.min_score:
                    tags[first:last] = ["O"] * (last - first)
            of_models.append(tags)
        return of_models

    def entities_by_model(self, tagged: Tagged) -> list[list[Span]]:
        """The entities that each model found in a record."""
        record = tagged.record
        return [
            [
                span
                for tokens, prediction in zip(record.sentences[model.style], of_model, strict=True)
                for span in spans(record.text, tokens, model.labels, prediction)
                if span.score >= self.min_score
            ]
            for model, of_model in zip(self.models, tagged.predictions, strict=True)
        ]

    def entities(self, tagged: Tagged) -> list[Span]:
        """The entities that all models found in a record, in the order of the text."""
        return sorted(chain(*self.entities_by_model(tagged)), key=lambda span: (span.start, span.end))
