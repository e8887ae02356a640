"""A component for spaCy: `nlp.add_pipe("kd_jax", config={"model": FOLDER})` sets doc.ents.

The entry point spacy_factories in pyproject.toml names this module, so that spaCy finds it by its name.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import filter_spans

from kd_jax.export.load import load
from kd_jax.tagging.spans import Span


class EntityTagger:
    """Adds the entities of a model to documents.

    Text is cut into sentences and tokens as the model's corpus is, whatever the pipeline's own tokens are; an entity's
    ends are moved outwards to those. Where entities overlap, also those that are there already, the longest stays.

    Args:
        model: a shipped or trained model's folder, or a work folder.
        corpus: of the models of a work folder, that of this corpus.
        min_score: what an entity's score must be to be one.
    """

    def __init__(self, model: str, corpus: str | None = None, min_score: float = 0.0) -> None:
        self._tagger = load(model, corpus=corpus, best=True, min_score=min_score)

    def __call__(self, doc: Doc) -> Doc:
        """Set a document's entities."""
        return self._set(doc, self._tagger(doc.text))

    def pipe(self, stream: Iterable[Doc], batch_size: int = 256) -> Iterator[Doc]:
        """Set the entities of documents, many at a time, which is faster."""
        documents = iter(stream)
        while batch := [*islice(documents, batch_size)]:
            for doc, entities in zip(batch, self._tagger([doc.text for doc in batch]), strict=True):
                yield self._set(doc, entities)

    @staticmethod
    def _set(doc: Doc, entities: list[Span]) -> Doc:
        ours = [doc.char_span(e.start, e.end, label=e.type, alignment_mode="expand") for e in entities]
        doc.ents = filter_spans([*doc.ents, *(span for span in ours if span is not None)])
        return doc


@Language.factory("kd_jax", assigns=["doc.ents"], default_config={"corpus": None, "min_score": 0.0})
def make_component(nlp: Language, name: str, model: str, corpus: str | None, min_score: float) -> EntityTagger:  # noqa: ARG001
    """The component that a pipeline's configuration describes; arguments as of `EntityTagger`."""
    return EntityTagger(model, corpus, min_score)
