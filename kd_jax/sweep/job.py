"""What lane groups work on: corpora, the sentences that a lane group trains on, and the program they make."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import numpy as np

from kd_jax.corpora.overlap import without_overlap
from kd_jax.data.dataset import UNLABELLED, Tokens, read_tokens
from kd_jax.data.vocab import Vocabulary, build_vocabulary, words_of
from kd_jax.distill.raw_text import TEXT, RawText
from kd_jax.errors import InputError
from kd_jax.settings import WordConfig
from kd_jax.structs import Corpus, Sentence
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.tagging.tokenizer import Style, style_of
from kd_jax.training.initial import teachers_parameters, teachers_words
from kd_jax.training.loop import Job, Lane
from kd_jax.training.objective import Knowledge
from kd_jax.training.saved_model import load_model


class SweepData(NamedTuple):
    """What every lane group of a run works on.

    Attributes:
        corpora: by name.
        hashes: of the corpora's content, by name.
        vectors: pretrained vectors of words of the corpora, by their keys.
        text: sentences without labels, for each style in which the corpora are cut; empty without --text.
    """

    corpora: Mapping[str, Corpus]
    hashes: Mapping[str, str]
    vectors: Mapping[str, np.ndarray] = MappingProxyType({})
    text: Mapping[Style, RawText] = MappingProxyType({})

    def sentences(self, name: str, split: str) -> tuple[Sentence, ...]:
        """Of a corpus's split, none where it has no such split, or of the text in a style."""
        return self.text[cast(Style, split)].sentences if name == TEXT else self.corpora[name].splits.get(split, ())

    def content(self, name: str, split: str) -> str:
        """Hash of a corpus, or of the text in a style."""
        return self.text[cast(Style, split)].content if name == TEXT else self.hashes[name]


def make_job(
    sweep_data: SweepData, group: LaneGroup, specs: Sequence[ModelSpec], knowledge: Knowledge | None = None
) -> tuple[Job, Vocabulary]:
    """The program of some lanes of a lane group, and the words its models know."""
    corpora = [
        with_unlabelled(sweep_data, group) if group.foreign else sweep_data.corpora[name] for name in group.corpora
    ]
    trained = {name: training_sentences(sweep_data, group, name) for name in group.corpora}
    seen = [
        corpus.splits[split][i] for corpus in corpora for split, chosen in trained[corpus.name].items() for i in chosen
    ]
    if group.foreign:
        seen += corpora[0].splits[UNLABELLED]
    of_words = group.settings.model.words
    vocabulary = build_vocabulary(seen, of_words, untrained_words(sweep_data, corpora, of_words))
    tokens = read_tokens(corpora, vocabulary, group.settings)
    job = Job(
        settings=group.settings,
        tokens=tokens,
        sentences=tuple(_positions(tokens, name, trained[name]) for name in group.corpora),
        lanes=tuple(Lane(spec.seed, spec.weights, spec.learning_rate) for spec in specs),
        length=group.length,
        alphabet=vocabulary.alphabet,
        head=group.head,
        knowledge=knowledge,
        vectors=_vectors(sweep_data, group, vocabulary),
        parameters=_parameters(group, vocabulary),
        unlabelled=tokens.sentences(group.corpora[0], (UNLABELLED,)) if group.foreign else None,
        stream=1 if group.kind == "MTM" else 0,
    )
    after = of_words.train_after
    if after and of_words.update == "trained" and after >= job.epochs:
        raise InputError(
            f"model.words.train_after={after}: {group.title} has {job.epochs:.1f} epochs, so that words would never be"
            " trained; make it fewer, or train.updates more"
        )
    return job, vocabulary


def untrained_words(sweep_data: SweepData, corpora: Sequence[Corpus], words: WordConfig) -> set[str]:
    """Words of corpora that a model knows from a file of vectors alone; none where n-grams say what they are."""
    # A file's vectors stay where they are while those of trained words move; what n-grams say has moved with them.
    if not sweep_data.vectors or words.unseen == "ngrams":
        return set()
    return sweep_data.vectors.keys() & words_of(corpora, words)


def training_sentences(sweep_data: SweepData, group: LaneGroup, name: str) -> dict[str, np.ndarray]:
    """The sentences of a corpus that a lane group trains on, as indices within each split.

    Under a protocol with "clean", sentences that occur in the test split of any of the group's corpora are left out.
    """
    splits = {split: sweep_data.corpora[name].splits.get(split, ()) for split in group.splits}
    if "clean" not in group.protocol.split("+"):
        return {split: np.arange(len(sentences)) for split, sentences in splits.items()}
    tests = [sweep_data.corpora[corpus].splits["test"] for corpus in group.corpora]
    return {split: without_overlap(sentences, tests) for split, sentences in splits.items()}


def _positions(tokens: Tokens, name: str, chosen: dict[str, np.ndarray]) -> np.ndarray:
    """Sentences of splits as a model's tokens count them."""
    return np.concatenate([tokens.sentences(name, (split,))[indices] for split, indices in chosen.items()])


def _vectors(sweep_data: SweepData, group: LaneGroup, vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows of the word table that are not random: the teacher's, or pretrained ones."""
    if group.start != "random":
        return teachers_words(load_model(group.teachers[0].folder), vocabulary)
    return _word_table(sweep_data, vocabulary, group.settings.model.words.dim) if sweep_data.vectors else None


def _parameters(group: LaneGroup, vocabulary: Vocabulary) -> dict[str, Any] | None:
    """An encoder and a branch to go on from: the teacher's, for a student that is its fine-tuned copy."""
    if group.start != "parameters":
        return None
    return teachers_parameters(load_model(group.teachers[0].folder), group.corpora[0], vocabulary)


def _word_table(sweep_data: SweepData, vocabulary: Vocabulary, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Pretrained rows of a word table, [W, D], and which there are, [W]."""
    pretrained = np.array([False, *(word in sweep_data.vectors for word in vocabulary.words)])
    zero = np.zeros(dim, np.float32)
    return np.stack([zero, *(sweep_data.vectors.get(word, zero) for word in vocabulary.words)]), pretrained


def out_of_corpus_sentences(sweep_data: SweepData, group: LaneGroup) -> dict[tuple[str, str], np.ndarray]:
    """Other corpora's training sentences that a student of this lane group is shown, and sentences of raw text.

    None of them occurs in the test split of the student's own corpus. Where fewer are wanted than there are, they are
    drawn at random, the same for every student.

    Returns:
        Indices within each (corpus, split), in file order; of raw text within (TEXT, style).
    """
    corpus_of_student = sweep_data.corpora[group.corpora[0]]
    candidates = [
        (name, split, i)
        for name, corpus in sweep_data.corpora.items()
        if name != corpus_of_student.name
        for split in group.splits
        for i in without_overlap(corpus.splits.get(split, ()), [corpus_of_student.splits["test"]]).tolist()
    ]
    wanted = group.settings.distill.foreign
    if wanted != "all" and wanted < len(candidates):
        drawn = np.random.default_rng(0).choice(len(candidates), wanted, replace=False)
        candidates = [candidates[i] for i in sorted(drawn.tolist())]
    groups: dict[tuple[str, str], list[int]] = {}
    for name, split, i in candidates:
        groups.setdefault((name, split), []).append(i)
    shown = {place: np.array(indices) for place, indices in groups.items()}
    for style, text in sweep_data.text.items():
        chosen = _of_text(text, corpus_of_student, group.settings.distill.text)
        if style_of_corpus(corpus_of_student) == style and len(chosen):
            shown[TEXT, style] = chosen
    return shown


def _of_text(text: RawText, corpus: Corpus, most: int) -> np.ndarray:
    """Sentences of raw text that occur in no test sentence of a corpus; of fewer than all each has the same chance."""
    kept = without_overlap(text.sentences, [corpus.splits["test"]])
    # The first of one random order, so that fewer sentences are some of more.
    order = np.random.default_rng(0).permutation(len(text.sentences))
    return np.sort(order[np.isin(order, kept)][:most])


def style_of_corpus(corpus: Corpus) -> Style:
    """How raw text is cut for a corpus: as its training sentences are."""
    return style_of(sentence.tokens for sentence in corpus.splits["train"])


def with_unlabelled(sweep_data: SweepData, group: LaneGroup) -> Corpus:
    """The lane group's corpus with the split UNLABELLED, whose tags mean nothing, before its test split."""
    corpus_of_student = sweep_data.corpora[group.corpora[0]]
    shown = [
        Sentence(sentence.tokens, ("O",) * len(sentence.tokens))
        for (name, split), indices in out_of_corpus_sentences(sweep_data, group).items()
        for sentence in (sweep_data.sentences(name, split)[i] for i in indices)
    ]
    splits = {split: corpus_of_student.splits[split] for split in group.splits if split in corpus_of_student.splits}
    rest = {split: sentences for split, sentences in corpus_of_student.splits.items() if split not in splits}
    return replace(corpus_of_student, splits=splits | {UNLABELLED: tuple(shown)} | rest)
