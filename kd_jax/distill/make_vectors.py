"""The command that distils word vectors: whose words, by which encoder, into which file."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kd_jax.corpora.overlap import TRAINING
from kd_jax.corpora.registry import load
from kd_jax.distill.distilled_words import distill_words, named, write_words
from kd_jax.distill.encoder import open_encoder
from kd_jax.distill.word_lists import corpus_forms, listed_forms, spellings, styles_of, text_forms
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.progress import PLAIN_EVERY, clock
from kd_jax.settings import WordConfig


@dataclass(frozen=True)
class VectorsRequest:
    """What to distil, unchecked; fields as the flags of kd_jax.vectors.

    Attributes:
        encoder: what --from says.
        spelling: lowercase and zero_digits.
    """

    encoder: str | None = None
    data_dir: Path | None = None
    datasets: Sequence[str] | None = None
    scheme: str | None = None
    entity_type: str | None = None
    splits: Sequence[str] = ("train", "devel")
    text: Path | None = None
    words: Path | None = None
    upper_bound: bool = False
    dim: int = 200
    spelling: WordConfig = field(default_factory=WordConfig)
    out: Path = Path("words.npz")


def make_vectors(asked: VectorsRequest, console: Console) -> str:
    """Distil word vectors and write them.

    Args:
        asked: what is wanted.
        console: where progress goes.

    Returns:
        What was done, in a few lines.

    Raises:
        InputError: for whatever is wrong with what was asked; nothing is then written.
    """
    folder = _folder(asked.encoder)
    if asked.dim < 1:
        raise InputError(f"--dim={asked.dim}: give at least 1")
    out = named(asked.out, upper_bound=asked.upper_bound)
    if out.exists():
        raise InputError(f"--out={out}: is there already; name a file that isn't")
    forms, sources = _words(asked)
    keys = spellings(forms, asked.spelling)
    encoder = open_encoder(folder)
    pieces = encoder.word_pieces()
    with _progress(console, len(keys) + (len(pieces[0]) if pieces else 0)) as advance:
        found = distill_words(encoder, keys, asked.dim, advance)
    spelling = {"lowercase": asked.spelling.lowercase, "zero_digits": asked.spelling.zero_digits}
    about = {"encoder": folder.resolve().name, "words of": sources, "upper_bound": asked.upper_bound}
    write_words(out, found, about | spelling)
    lines = [
        f"{out}: {len(found.words):,} words of {', '.join(sources)}, {asked.dim} of {encoder.width} numbers with"
        f" {100 * found.share:.1f} % of the variance"
    ]
    if found.unknown:
        lines.append(f"{found.unknown:,} words of which the encoder knows no piece have no vector")
    if found.pieces:
        lines.append(f"{len(found.pieces.pieces):,} pieces, from which other words get vectors")
    else:
        lines.append("no pieces: the encoder's tokenizer is none of BERT's")
    lines.append(f"train with: --set=words.vectors={out} --set=words.dim={asked.dim}")
    return "\n".join(lines)


def _folder(source: str | None) -> Path:
    kind, _, path = (source or "").partition(":")
    if kind != "hf" or not path:
        given = "is needed" if source is None else f"not {source!r}"
        raise InputError(f"--from=hf:FOLDER {given}: the folder of an encoder of the Hugging Face library")
    return Path(path).expanduser()


def _words(asked: VectorsRequest) -> tuple[Counter[str], list[str]]:
    """How often each surface form occurs in what was asked for, and what that was."""
    if not (asked.data_dir or asked.text or asked.words):
        raise InputError("no words: give corpora (--data_dir), raw text (--text) or a list (--words)")
    if (asked.upper_bound or asked.datasets) and not asked.data_dir:
        given = "--upper_bound" if asked.upper_bound else f"--datasets={','.join(asked.datasets or ())}"
        raise InputError(f"{given}: of which corpora? Give --data_dir")
    for split in asked.splits:
        if split not in TRAINING:
            raise InputError(f"--splits={split}: {nearest(split, TRAINING)} Test words need --upper_bound")
    notation = (asked.scheme, asked.entity_type)
    corpora = load(asked.data_dir, asked.datasets, *notation) if asked.data_dir else []
    splits = [*asked.splits, *["test"] * asked.upper_bound]
    forms, sources = corpus_forms(corpora, splits), [f"{corpus.name} ({'+'.join(splits)})" for corpus in corpora]
    if asked.text:
        found, left_out = text_forms(asked.text, styles_of(corpora), unseen=() if asked.upper_bound else corpora)
        forms += found
        sources.append(f"{asked.text} (without {left_out:,} test sentences)" if left_out else str(asked.text))
    if asked.words:
        forms += listed_forms(asked.words)
        sources.append(str(asked.words))
    return forms, sources


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Any]:
    """A bar with ETA on a terminal, plain lines elsewhere; yields what is to be told how many are done."""
    columns = (TextColumn("encoding"), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"))
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    live = console.is_terminal and console.file.isatty()
    began = told = time.monotonic()
    done = 0
    with Progress(*columns, *times, console=console, transient=True, disable=not live) as bar:
        task = bar.add_task("encoding", total=total)

        def advance(count: int) -> None:
            nonlocal done, told
            done += count
            bar.advance(task, count)
            now = time.monotonic()
            if not live and now - told > PLAIN_EVERY:
                told = now
                left = clock((now - began) * (total - done) / max(done, 1))
                console.print(f"{done / total:4.0%}  {done:,} of {total:,} words and pieces  ETA {left}")

        yield advance
