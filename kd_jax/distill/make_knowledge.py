"""The command that asks a teacher that is none of ours: about which text, in whose labels, kept where."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int
from rich.console import Console

from kd_jax import cli
from kd_jax.corpora.overlap import TRAINING
from kd_jax.corpora.registry import corpus_hash, find, load
from kd_jax.distill import store
from kd_jax.distill.cache import TeacherQuery
from kd_jax.distill.external import DTYPE, folder_of, source_of
from kd_jax.distill.given_outputs import GivenOutputs
from kd_jax.distill.label_names import LabelMap, map_labels
from kd_jax.distill.output_files import SUFFIXES, read_outputs
from kd_jax.distill.raw_text import TEXT, read_text
from kd_jax.distill.token_classifier import TokenClassifier, open_classifier
from kd_jax.errors import InputError, nearest
from kd_jax.evaluation.scores import score
from kd_jax.experiment import sample_corpora
from kd_jax.runtime.files import locked
from kd_jax.runtime.progress import counting
from kd_jax.settings import DistillConfig
from kd_jax.structs import Corpus, Outputs, Sentence
from kd_jax.tagging.tokenizer import style_of

Answers = Iterator[tuple[Int[np.ndarray, "n"], Float32[np.ndarray, "n J"]]]


@dataclass(frozen=True)
class TeachRequest:
    """What to ask, unchecked; fields as the flags of kd_jax.teach.

    Attributes:
        teacher: what --from says.
    """

    teacher: str | None = None
    name: str | None = None
    data_dir: Path | None = None
    datasets: Sequence[str] | None = None
    scheme: str | None = None
    entity_type: str | None = None
    splits: Sequence[str] = TRAINING
    on: Sequence[str] = ()
    text: Path | None = None
    text_sentences: int = DistillConfig.text
    test: bool = False
    workdir: Path | None = None


class _Read(NamedTuple):
    """A split that the teacher is asked about.

    Attributes:
        query: what names it.
        labels: the corpus's in whose labels it answers.
        sentences: of the split.
        speaker: who answers, with a method `logits`.
        to_corpus: its labels as these.
        keep: whether the answer is stored.
    """

    query: TeacherQuery
    labels: tuple[str, ...]
    sentences: Sequence[Sentence]
    speaker: Any
    to_corpus: LabelMap
    keep: bool

    @property
    def title(self) -> str:
        """For people."""
        where = f"{self.query.corpus} {self.query.split}"
        return where if self.query.branch == self.query.corpus else f"{where}, in {self.query.branch}'s labels"

    @property
    def tokens(self) -> int:
        return sum(len(sentence.tokens) for sentence in self.sentences)


def make_knowledge(request: TeachRequest, console: Console) -> str:
    """Ask a teacher about corpora and store what it says.

    Args:
        request: what is wanted.
        console: where progress goes.

    Returns:
        What was done, in a few lines.

    Raises:
        InputError: for whatever is wrong with the teacher or the corpora. Labels, a file's tokens and numbers, and the
            first that a model says are looked at before anything is written.
    """
    if request.text_sentences < 1:
        raise InputError(f"--text_sentences={request.text_sentences}: give at least 1")
    data_dir = request.data_dir or sample_corpora()
    workdir = request.workdir or Path("runs") / data_dir.resolve().name
    if not request.splits and not request.text:
        raise InputError(f"--splits=: is empty; name some of {', '.join(TRAINING)}")
    for split in request.splits:
        if split not in TRAINING:
            raise InputError(f"--splits={split}: {nearest(split, TRAINING)} How well it does on test: --test")
    if len(set(request.splits)) < len(request.splits):
        raise InputError(f"--splits={','.join(request.splits)}: a split stands there twice; once is enough")
    path, is_file = _path(request.teacher)
    name = path.stem if request.name is None else request.name
    folder = folder_of(workdir, name)
    corpora = load(data_dir, request.datasets or None, request.scheme, request.entity_type)
    others = _others(request, data_dir, corpora)
    teacher = read_outputs(path) if is_file else open_classifier(path)
    reads = [*_reads(request, corpora, others, teacher)]
    if isinstance(teacher, GivenOutputs):
        teacher.end()
        if request.text:
            raise InputError("--text: a file can't be asked about it; give a teacher that reads (--from=hf:FOLDER)")
    if not any(read.keep for read in reads):
        of = ", ".join(corpus.name for corpus in corpora)
        raise InputError(f"{of}: no split {' or '.join(request.splits)}; name others with --splits")
    lines = [f"{folder}: what {teacher.title} says"]
    with counting(console, sum(read.tokens for read in reads), "asking", "tokens") as advance:
        said = [read.speaker.logits(read.sentences, advance) for read in reads]
        said[0] = _begun(said[0])
        with _folder(folder):
            lines += [
                _ask(read, folder, source_of(teacher.title, teacher.parameters, read.query), answers)
                for read, answers in zip(reads, said, strict=True)
            ]
    lines.append(f'an experiment names it: Teacher(external="{name}"), run with --workdir={workdir}')
    return "\n".join(lines)


def _path(teacher: str | None) -> tuple[Path, bool]:
    """Where the teacher is, and whether it is a file of what it said."""
    if not teacher:
        raise InputError(f"--from=hf:FOLDER, or a file that ends in {', '.join(SUFFIXES)}, is needed: the teacher")
    kind, colon, path = teacher.partition(":")
    if colon and kind == "hf":
        return cli.path(path, "folder", "--from=hf:"), False
    source = cli.path(teacher, "any", "--from=")
    if source.is_dir():
        raise InputError(
            f"--from={teacher}: is a folder; for a model of the Hugging Face library write --from=hf:{teacher}"
        )
    return source, True


def _others(request: TeachRequest, data_dir: Path, corpora: Sequence[Corpus]) -> list[Corpus]:
    """The corpora whose sentences are read in the labels of every one of `corpora`."""
    if not request.on:
        return []
    names = [*find(data_dir, request.on)]
    loaded = {corpus.name: corpus for corpus in corpora}
    more = [name for name in names if name not in loaded]
    loaded |= {c.name: c for c in (load(data_dir, more, request.scheme, request.entity_type) if more else ())}
    return [loaded[name] for name in names]


def _reads(
    request: TeachRequest, corpora: Sequence[Corpus], others: Sequence[Corpus], teacher: GivenOutputs | TokenClassifier
) -> Iterator[_Read]:
    for corpus in corpora:
        names = teacher.names(corpus.labels) if isinstance(teacher, GivenOutputs) else teacher.names
        to_corpus = map_labels(names, corpus.labels, f"{teacher.title} for {corpus.name}")
        asked = [(corpus, split) for split in (*request.splits, *["test"] * request.test)]
        asked += [(other, split) for other in others if other.name != corpus.name for split in request.splits]
        for of, split in asked:
            if split in of.splits:
                sentences, query = of.splits[split], TeacherQuery(corpus.name, of.name, corpus_hash(of), split)
                speaker: Any = teacher
                if isinstance(teacher, GivenOutputs):
                    speaker = teacher.part(sentences, corpus.labels, f"{of.name} {split}")
                yield _Read(query, corpus.labels, sentences, speaker, to_corpus, split != "test")
        if request.text:
            style = style_of(sentence.tokens for sentence in corpus.splits["train"])
            text = read_text(request.text, style, request.text_sentences)
            query = TeacherQuery(corpus.name, TEXT, text.content, style)
            yield _Read(query, corpus.labels, text.sentences, teacher, to_corpus, keep=True)


def _begun(answers: Answers) -> Answers:
    """The same, the first of them at hand: a teacher that can't answer says so before anything is written."""
    first = next(answers, None)
    return answers if first is None else chain([first], answers)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """A teacher's folder, which no second process works in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise InputError(f"{folder}: can't be made: {fault.strerror or fault}; name another --workdir") from None
    with locked(folder):
        yield


def _ask(read: _Read, folder: Path, source: dict[str, Any], said: Answers) -> str:
    """Store what a teacher says of a split, and say how well it does there."""
    place, tokens, widths = folder / read.query.name, read.tokens, Outputs(len(read.labels), 0, 0)
    likeliest = np.zeros(tokens, np.int64)  # O, where it says nothing
    known = 0

    def answers() -> Iterator[tuple[Int[np.ndarray, "n"], Outputs]]:
        nonlocal known
        for rows, logits in said:
            mapped = read.to_corpus(logits).astype(np.float32)
            likeliest[rows] = mapped.argmax(1)
            known += len(rows)
            none = np.zeros((len(rows), 0), np.float32)
            yield rows, Outputs(mapped, none, none)

    if read.keep:
        store.write(place, source, (tokens, widths), DTYPE, answers())
    else:
        for _ in answers():
            pass
    lacks = f", {tokens - known:,} of which it says nothing (masked)" if known < tokens else ""
    parts = [f"{read.title}: {len(read.sentences):,} sentences, {tokens:,} tokens{lacks}"]
    if read.query.branch == read.query.corpus:
        parts.append(_scores(read, likeliest))
    if read.to_corpus.others:
        parts.append(f"{', '.join(read.to_corpus.others[:6])} count as O")
    return "; ".join(parts)


def _scores(read: _Read, likeliest: Int[np.ndarray, "N"]) -> str:
    tags, at = [], 0
    for sentence in read.sentences:
        tags.append([read.labels[k] for k in likeliest[at : at + len(sentence.tokens)]])
        at += len(sentence.tokens)
    of = score([list(sentence.tags) for sentence in read.sentences], tags)
    return f"F1 {of.f1:.2f} (precision {of.precision:.2f}, recall {of.recall:.2f})"
