"""What cells work on: corpora, the sentences that a cell trains on, and the program they make."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from kd_jax.corpora.overlap import without_overlap
from kd_jax.data.dataset import FOREIGN, Tokens, read_tokens
from kd_jax.data.vocab import Vocabulary, build_vocabulary, words_of
from kd_jax.structs import Corpus, Outputs, Sentence
from kd_jax.sweep.plan import Cell, Member
from kd_jax.training.loop import Job, Lane


class Material(NamedTuple):
    """What every cell of a run works on.

    Attributes:
        corpora: by name.
        hashes: of the corpora's content, by name.
        vectors: pretrained vectors of words of the corpora, by their keys.
    """

    corpora: Mapping[str, Corpus]
    hashes: Mapping[str, str]
    vectors: Mapping[str, np.ndarray] = MappingProxyType({})


def make_job(
    material: Material, cell: Cell, members: Sequence[Member], knowledge: Outputs | None = None
) -> tuple[Job, Vocabulary]:
    """The program of some lanes of a cell, and the words its models know."""
    corpora = [with_foreign(material, cell) if cell.foreign else material.corpora[name] for name in cell.corpora]
    trained = {name: training_sentences(material, cell, name) for name in cell.corpora}
    seen = [
        corpus.splits[split][i] for corpus in corpora for split, chosen in trained[corpus.name].items() for i in chosen
    ]
    if cell.foreign:
        seen += corpora[0].splits[FOREIGN]
    of_words = cell.settings.model.words
    pretrained = material.vectors.keys() & (words_of(corpora, of_words) if material.vectors else set())
    vocabulary = build_vocabulary(seen, of_words, pretrained)
    tokens = read_tokens(corpora, vocabulary, cell.settings)
    job = Job(
        settings=cell.settings,
        tokens=tokens,
        sentences=tuple(_positions(tokens, name, trained[name], foreign=cell.foreign) for name in cell.corpora),
        lanes=tuple(Lane(member.seed, member.weights) for member in members),
        epochs=cell.epochs,
        alphabet=len(vocabulary.chars) + 2,
        head=cell.head,
        knowledge=knowledge,
        vectors=_word_table(material, vocabulary, of_words.dim) if material.vectors else None,
    )
    return job, vocabulary


def training_sentences(material: Material, cell: Cell, name: str) -> dict[str, np.ndarray]:
    """The sentences of a corpus that a cell trains on, as indices within each split.

    Under a protocol with "clean", sentences that stand in the test split of any of the cell's corpora are left out.
    """
    splits = {split: material.corpora[name].splits.get(split, ()) for split in cell.splits}
    if "clean" not in cell.protocol.split("+"):
        return {split: np.arange(len(sentences)) for split, sentences in splits.items()}
    tests = [material.corpora[corpus].splits["test"] for corpus in cell.corpora]
    return {split: without_overlap(sentences, tests) for split, sentences in splits.items()}


def _positions(tokens: Tokens, name: str, chosen: dict[str, np.ndarray], *, foreign: bool) -> np.ndarray:
    """Sentences of splits, and the foreign ones, as a model's tokens count them."""
    own = [tokens.sentences(name, (split,))[indices] for split, indices in chosen.items() if len(indices)]
    return np.concatenate([*own, tokens.sentences(name, (FOREIGN,))] if foreign else own)


def _word_table(material: Material, vocabulary: Vocabulary, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Pretrained rows of a word table, [W, D], and which there are, [W]."""
    there = np.array([False, *(word in material.vectors for word in vocabulary.words)])
    zero = np.zeros(dim, np.float32)
    return np.stack([zero, *(material.vectors.get(word, zero) for word in vocabulary.words)]), there


def foreign_sentences(material: Material, cell: Cell) -> dict[tuple[str, str], np.ndarray]:
    """Other corpora's training sentences that a student of this cell is shown.

    None of them stands in the test split of the student's own corpus. Where fewer are wanted than there are, they are
    drawn at random, the same for every student.

    Returns:
        Indices within each (corpus, split), in file order.
    """
    own = material.corpora[cell.corpora[0]]
    found = [
        (name, split, i)
        for name, corpus in material.corpora.items()
        if name != own.name
        for split in cell.splits
        for i in without_overlap(corpus.splits.get(split, ()), [own.splits["test"]]).tolist()
    ]
    wanted = cell.settings.distill.foreign
    if 0 < wanted < len(found):
        drawn = np.random.default_rng(0).choice(len(found), wanted, replace=False)
        found = [found[i] for i in sorted(drawn.tolist())]
    groups: dict[tuple[str, str], list[int]] = {}
    for name, split, i in found:
        groups.setdefault((name, split), []).append(i)
    return {place: np.array(indices) for place, indices in groups.items()}


def with_foreign(material: Material, cell: Cell) -> Corpus:
    """The cell's corpus with the split FOREIGN, whose tags mean nothing, before its test split."""
    own = material.corpora[cell.corpora[0]]
    shown = [
        Sentence(sentence.tokens, ("O",) * len(sentence.tokens))
        for (name, split), indices in foreign_sentences(material, cell).items()
        for sentence in (material.corpora[name].splits[split][i] for i in indices)
    ]
    splits = {split: own.splits[split] for split in cell.splits if split in own.splits}
    rest = {split: sentences for split, sentences in own.splits.items() if split not in splits}
    return replace(own, splits=splits | {FOREIGN: tuple(shown)} | rest)
