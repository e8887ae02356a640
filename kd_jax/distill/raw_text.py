"""Text without labels, of which a teacher speaks: files of any kind, cut as a corpus is, a sample of bounded size."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kd_jax.corpora.registry import corpus_hash
from kd_jax.errors import InputError
from kd_jax.structs import Corpus, Sentence
from kd_jax.tagging.reading import Document, documents, records
from kd_jax.tagging.tagger import Cutter
from kd_jax.tagging.tokenizer import Style

TEXT = "raw_text"  # name of the corpus that is none: of what is stored, and of a split for every style
LONGEST = 500  # tokens; what is longer is a table or has no sentences


class _Styled(Cutter):
    def __init__(self, styles: Sequence[Style]) -> None:
        self._styles = tuple(styles)

    @property
    def styles(self) -> tuple[Style, ...]:
        return self._styles


class RawText(NamedTuple):
    """Sentences of a text.

    Attributes:
        sentences: the sample, in the text's order, tags all O.
        read: sentences that the text has.
        too_long: how many of them are left out for their length.
        content: hash of the sample.
    """

    sentences: tuple[Sentence, ...]
    read: int
    too_long: int
    content: str


def read_text(path: Path, style: Style, most: int, say: Callable[[str], object] = str) -> RawText:
    """A random sample of a text's sentences, each as likely as any other.

    The text is read once and as it comes, and never more than the sample is held: memory grows with `most` and not
    with the text. The same text gives the same sample.

    Args:
        path: a file or folder: raw text, JSONL with a text a line, CoNLL whose tags are not read.
        style: how raw text is cut into tokens.
        most: sentences of the sample.
        say: called with a line about what of a folder is not read.

    Raises:
        InputError: for a path that isn't there, a fault in a file by its line, or a text without sentences.
    """
    rng = np.random.default_rng(0)
    sample: list[tuple[int, tuple[str, ...]]] = []
    read = too_long = 0
    for tokens in _sentences(path, style, say):
        read += 1
        if len(tokens) > LONGEST:
            too_long += 1
            continue
        # Vitter 1985, algorithm R: after n sentences each of them is in the sample with probability most / n.
        number = read - too_long - 1
        if number < most:
            sample.append((number, tokens))
        elif (place := int(rng.integers(number + 1))) < most:
            sample[place] = number, tokens
    if not sample:
        raise InputError(f"--text={path}: holds no sentence of at most {LONGEST} tokens; give text")
    sentences = tuple(Sentence(tokens, ("O",) * len(tokens)) for _, tokens in sorted(sample))
    return RawText(sentences, read, too_long, corpus_hash(Corpus(TEXT, {style: sentences}, ("O",))))


def document_sentences(document: Document, styles: Sequence[Style]) -> Iterator[tuple[Style, tuple[str, ...]]]:
    """Sentences of a document, record after record, each record in one style after the other.

    Raises:
        InputError: naming file and line of what can't be read.
    """
    for record in records(_Styled(styles), document, "paragraph"):
        for style in styles:
            for sentence in record.sentences[style] if record is not None else ():
                yield style, tuple(token.text for token in sentence)


def _sentences(path: Path, style: Style, say: Callable[[str], object]) -> Iterator[tuple[str, ...]]:
    for document in documents([path], None, say):
        for _, sentence in document_sentences(document, (style,)):
            yield sentence
