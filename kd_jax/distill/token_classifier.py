"""A token classifier of the Hugging Face library as a teacher: the first piece's logits of every token.

A token's label is that of its first sub-word, as Devlin et al. 2019 (BERT, section 5.3) train and read it. The tokens
are given to the tokenizer as words, so nothing has to be found again in a text, and none is lost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from kd_jax.distill.encoder import edges, open_pretrained
from kd_jax.errors import InputError
from kd_jax.runtime.files import digest, digest_file
from kd_jax.structs import Sentence

BLOCK = 512  # sentences that are read together: memory is theirs, whatever the corpus has
BATCH = 4096  # pieces that the model reads at a time
OVERLAP = 4  # windows share a quarter of their pieces
LONGEST = 512  # pieces of a window where a model tells no length


class Window(NamedTuple):
    """Pieces first to last - 1 of a sentence."""

    first: int
    last: int


@dataclass(frozen=True)
class TokenClassifier:
    """A teacher that reads sentences.

    Attributes:
        path: of its folder.
        names: its labels, J.
        longest: pieces that it reads at a time, special ones included.
        tokenizer: of transformers.
        model: of transformers, in float32 on the CPU.
    """

    path: Path
    names: tuple[str, ...]
    longest: int
    tokenizer: Any
    model: Any

    @property
    def title(self) -> str:
        """Its name in messages and in what is stored."""
        return self.path.resolve().name

    @cached_property
    def parameters(self) -> str:
        """Checksum of everything that decides what it says."""
        files = sorted(f for f in self.path.iterdir() if f.suffix in {".json", ".safetensors", ".txt", ".model"})
        return digest([[file.name, digest_file(file)] for file in files])

    def logits(
        self, sentences: Sequence[Sentence], advance: Callable[[int], None] = lambda _: None
    ) -> Iterator[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n J"]]]:
        """Logits of every token that has a piece.

        A sentence longer than the model reads is cut into windows that share a quarter of their pieces; a token's
        logits are those of the window in which its nearer edge is farthest.

        Args:
            sentences: their tags are not read.
            advance: called with the number of tokens done since the last call.

        Yields:
            Rows, counting the sentences' tokens in order, [n], and their logits. A token without a piece, such as a
            control character, has no row.

        Raises:
            InputError: for logits that are not finite.
        """
        at = 0
        for first in range(0, len(sentences), BLOCK):
            block = sentences[first : first + BLOCK]
            tokens = sum(len(sentence.tokens) for sentence in block)
            rows, logits = self._block(block)
            yield at + rows, logits
            advance(tokens)
            at += tokens

    def _block(self, block: Sequence[Sentence]) -> tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n J"]]:
        start, end = edges(self.tokenizer)
        words = [list(sentence.tokens) for sentence in block]
        encoded = self.tokenizer(words, is_split_into_words=True, add_special_tokens=False)
        reads: list[tuple[list[int], list[tuple[int, int]]]] = []  # pieces, and (place among them, row) of each token
        at = 0
        for number, sentence in enumerate(block):
            pieces, of_word = encoded["input_ids"][number], encoded.word_ids(number)
            firsts = {word: place for place, word in reversed([*enumerate(of_word)])}
            for window, chosen in _shared(firsts, len(pieces), self.longest - len(start) - len(end)):
                ids = [*start, *pieces[window.first : window.last], *end]
                reads.append((ids, [(len(start) + firsts[w] - window.first, at + w) for w in chosen]))
            at += len(sentence.tokens)
        return self._run(reads)

    def _run(
        self, reads: Sequence[tuple[list[int], list[tuple[int, int]]]]
    ) -> tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n J"]]:
        import torch  # noqa: PLC0415 - an extra

        rows, logits = [np.zeros(0, np.int64)], [np.zeros((0, len(self.names)), np.float32)]
        # Windows of one length at a time need no padding, so that a token's logits do not depend on its neighbours.
        for length, alike in groupby(sorted(reads, key=lambda read: len(read[0])), key=lambda read: len(read[0])):
            group = [*alike]
            for first in range(0, len(group), max(1, BATCH // length)):
                batch = group[first : first + max(1, BATCH // length)]
                with torch.inference_mode():
                    of_batch = self.model(input_ids=torch.tensor([ids for ids, _ in batch])).logits.numpy()
                for of_window, (_, places) in zip(of_batch, batch, strict=True):
                    rows.append(np.array([row for _, row in places], np.int64))
                    logits.append(of_window[[place for place, _ in places]])
        together = np.concatenate(logits)
        if not np.isfinite(together).all():
            raise InputError(f"{self.path}: gives logits that are not finite; its weights are damaged: get it anew")
        return np.concatenate(rows), together


def windows(pieces: int, longest: int) -> list[Window]:
    """Windows of at most `longest` pieces that cover a sentence, each a quarter of it over the one before.

    >>> windows(5, 8), windows(20, 8)
    ([Window(first=0, last=5)], [Window(first=0, last=8), Window(first=6, last=14), Window(first=12, last=20)])
    """
    step = longest - longest // OVERLAP
    last = max(0, -(-(pieces - longest) // step))
    # The last one ends where the sentence does, and is as long as the others.
    return [
        Window(first := max(0, min(i * step, pieces - longest)), min(first + longest, pieces)) for i in range(last + 1)
    ]


def _shared(firsts: dict[int, int], pieces: int, longest: int) -> Iterator[tuple[Window, list[int]]]:
    """Windows of a sentence with the words that are read in each, given the place of each word's first piece."""
    every = windows(pieces, longest)

    def context(window: Window, place: int) -> int:
        """Pieces on the side where a window has fewer; the sentence's own ends take none away."""
        before = pieces if window.first == 0 else place - window.first
        after = pieces if window.last == pieces else window.last - 1 - place
        return min(before, after) if window.first <= place < window.last else -1

    best = {word: max(range(len(every)), key=lambda i: context(every[i], place)) for word, place in firsts.items()}
    for number, window in enumerate(every):
        if chosen := sorted(word for word, of_word in best.items() if of_word == number):
            yield window, chosen


def open_classifier(path: Path) -> TokenClassifier:
    """A token classifier from its folder; nothing is fetched, no pickle is read, no code of the folder is run.

    Args:
        path: a folder with config.json, weights in safetensors and a tokenizer, as `save_pretrained` writes it.

    Raises:
        InputError: as of `kd_jax.distill.encoder.open_encoder`; for a model that was not trained to classify tokens,
            has labels without a name or no room for a piece; for a tokenizer that does not tell which word a piece is
            of.
    """
    tokenizer, model, missing = open_pretrained(path, "AutoModelForTokenClassification")
    if missing:
        raise InputError(
            f"{path}: its weights lack {missing[0]}, so it does not label tokens yet; fine-tune it first"
            " (examples/transformer_teacher)"
        )
    if not tokenizer.is_fast:
        raise InputError(f"{path}: its tokenizer does not tell which word a piece is of; save it with tokenizer.json")
    of_number = model.config.id2label
    if lacks := [k for k in range(len(of_number)) if k not in of_number]:
        raise InputError(
            f"{path / 'config.json'}: id2label has no {lacks[0]}; number its {len(of_number)} labels from 0 on"
        )
    longest, special = _longest(tokenizer, model), sum(map(len, edges(tokenizer)))
    if longest <= special:
        raise InputError(
            f"{path}: reads {longest} pieces at a time, {special} of them special ones, which leaves none for text;"
            " mend max_position_embeddings in config.json or model_max_length in tokenizer_config.json"
        )
    names = tuple(str(name) for _, name in sorted(of_number.items()))
    return TokenClassifier(path, names, longest, tokenizer, model)


def _longest(tokenizer: Any, model: Any) -> int:
    """Pieces that a model has positions for."""
    positions = getattr(model.config, "max_position_embeddings", None) or LONGEST
    for name, module in model.named_modules():
        # RoBERTa and its like count positions from the padding's on, which costs them some.
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            positions -= module.padding_idx + 1
    return int(min(positions, tokenizer.model_max_length))
