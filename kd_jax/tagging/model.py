"""A model ready to tag, however it was stored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from jaxtyping import Float, Int

from kd_jax.data.ngrams import NgramVectors
from kd_jax.data.vocab import UNKNOWN, UNKNOWN_CHAR, Forms, Vocabulary, normalise
from kd_jax.models.constraint import constrain
from kd_jax.models.crf import Transitions
from kd_jax.settings import CharConfig, WordConfig
from kd_jax.structs import Array
from kd_jax.tagging.rows import Prediction, Rows, label_sentences
from kd_jax.tagging.tokenizer import Style, ascii_form, style_of

Penalty = tuple[Float[Array, "K"], Float[Array, "K"], Float[Array, "K K"]]
"""Added to the transitions, as the fields of `Transitions`: start [K], stop [K], pairs [K, K]."""


@dataclass(frozen=True, repr=False)
class TextModel:
    """What tags with one model need.

    Attributes:
        name: the corpus that it was trained for.
        labels: names of its K labels.
        vocabulary: its words and characters.
        words: how word forms are looked up.
        chars: how many characters are read.
        constrained: whether sequences that IOB2 forbids are ruled out.
        about: what its folder says of it.
        params: its arrays.
        function: of params, rows and penalty; label ids and their probabilities, [R, T].
        source: name of the folder that it was read from.
        ngrams: what predicts the vectors of words that it does not know; None where they are the unknown word.
    """

    name: str
    labels: tuple[str, ...]
    vocabulary: Vocabulary
    words: WordConfig
    chars: CharConfig
    constrained: bool
    about: Mapping[str, Any]
    params: Any
    function: Callable[[Any, Rows, Penalty], tuple[Int[Array, "R T"], Float[Array, "R T"]]]
    source: str = ""
    ngrams: NgramVectors | None = None

    def __repr__(self) -> str:
        """What it tags with what."""
        kinds = ", ".join(sorted({label[2:] for label in self.labels} - {""}))
        return f"{self.name}: {kinds} ({self.about.get('label', '-')}, seed {self.about.get('seed', '-')})"

    @cached_property
    def style(self) -> Style:
        """How the corpus cuts text into tokens.

        A model of before 0.2.0 does not say it, and the words that it knows show it, of whatever corpora they are.
        """
        known = get_args(Style)
        said = self.about.get("styles", {}).get(self.name)
        return said if said in known else style_of([word] for word in self.vocabulary.words)

    @cached_property
    def penalty(self) -> Penalty:
        """What is added to the transitions: all 0 where nothing is ruled out."""
        free = Transitions(*(np.zeros(shape, np.float32) for shape in self._shapes))
        return tuple(constrain(free, self.labels)) if self.constrained else tuple(free)

    @property
    def _shapes(self) -> tuple[tuple[int, ...], ...]:
        k = len(self.labels)
        return (k,), (k,), (k, k)

    def describe(self, forms: Sequence[str], *, raw: bool) -> Forms:
        """Distinct forms as the model reads them.

        Args:
            forms: of tokens.
            raw: whether they come from running text: what the vocabulary lacks is then read in ASCII, as corpora are.
        """
        read = [self._known(form) for form in forms] if raw else list(forms)
        described = self.vocabulary.describe(read, self.words, self.chars)
        if self.ngrams is None:
            return described
        vectors = np.repeat(np.asarray(self.params["words"][:1]), len(read), axis=0)
        (lacking,) = np.nonzero(described.word == UNKNOWN)
        predicted, has = self.ngrams.predict([normalise(read[i], self.words) for i in lacking])
        vectors[lacking[has]] = predicted[has]
        return described._replace(vectors=vectors)

    def _known(self, form: str) -> str:
        if form.isascii():
            return form
        word = self.vocabulary.word_ids.get(normalise(form, self.words), UNKNOWN)
        strange = any(self.vocabulary.char_ids.get(char, UNKNOWN_CHAR) == UNKNOWN_CHAR for char in form)
        return ascii_form(form) if word == UNKNOWN or strange else form

    def label(self, sentences: Sequence[Sequence[str]], *, raw: bool) -> list[Prediction]:
        """Label ids and their probabilities of every token of some sentences.

        Args:
            sentences: tokens of each.
            raw: as for `describe`.
        """
        return label_sentences(
            sentences,
            lambda forms: self.describe(forms, raw=raw),
            lambda rows: self.function(self.params, rows, self.penalty),
        )
