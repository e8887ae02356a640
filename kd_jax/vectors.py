"""Distil word vectors from a transformer, as a file that the setting words.vectors takes.

  python -m kd_jax.vectors --from=hf:FOLDER --data_dir=DIR --out=words.npz
  python -m kd_jax.main --data_dir=DIR --set=words.vectors=words.npz

The encoder (a folder of the Hugging Face library with weights in safetensors, such as a BERT; extra: hf) reads each
word of the corpora's training and development splits alone, as it is mostly written; the last layer's mean over the
word's pieces, reduced to --dim numbers by principal components, is its vector. --text adds the words of raw text,
--words those of a list; with one of them --data_dir may be left out. Words of test splits are never looked at: test
sentences that also occur in raw text are left out of it. --upper_bound takes them all the same, to see what is lost by
not knowing them; the file's name then says so. For --protocol=train, --splits=train leaves the development words
unknown too.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import app, flags
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kd_jax.errors import InputError, nearest

FLAGS = flags.FLAGS
PLAIN_EVERY = 20.0  # seconds between plain lines


@dataclass(frozen=True)
class Asked:
    """What to distil, unchecked; fields as the flags, `source` for --from."""

    source: str | None = None
    data_dir: str | None = None
    datasets: Sequence[str] | None = None
    scheme: str | None = None
    splits: Sequence[str] = ("train", "devel")
    text: str | None = None
    words: str | None = None
    upper_bound: bool = False
    dim: int = 200
    lowercase: bool = True
    zero_digits: bool = True
    out: str = "words.npz"


def main(argv: Sequence[str]) -> None:
    """Distil what the flags describe; exit 2 with one line where they, the encoder or the words are wrong."""
    try:
        print(distill(_asked(argv[1:]), Console(stderr=True)))
    except InputError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("\ninterrupted; nothing is written", file=sys.stderr)
        sys.exit(130)


def _asked(words: Sequence[str]) -> Asked:
    if words:
        raise InputError(f"{words[0]}: flags look like --name=value")
    given: dict[str, Any] = {name: FLAGS[name].value for name in Asked.__dataclass_fields__ if name != "source"}
    return Asked(source=FLAGS["from"].value, **given)  # FLAGS.from would be a syntax error


def distill(asked: Asked, console: Console) -> str:
    """Distil word vectors and write them.

    Args:
        asked: what is wanted.
        console: where progress goes.

    Returns:
        What was done, in a few lines.

    Raises:
        InputError: for whatever is wrong with what was asked; nothing is then written.
    """
    from kd_jax.distill.distilled_words import distill_words, named, write_words  # noqa: PLC0415 - `--help` needs no numpy
    from kd_jax.distill.encoder import open_encoder  # noqa: PLC0415
    from kd_jax.distill.word_lists import spellings  # noqa: PLC0415
    from kd_jax.settings import WordConfig  # noqa: PLC0415

    folder = _folder(asked.source)
    if asked.dim < 1:
        raise InputError(f"--dim={asked.dim}: give at least 1")
    out = named(Path(asked.out), upper_bound=asked.upper_bound)
    if out.exists():
        raise InputError(f"--out={out}: is there already; name a file that isn't")
    forms, read = _words(asked)
    keys = spellings(forms, WordConfig(lowercase=asked.lowercase, zero_digits=asked.zero_digits))
    encoder = open_encoder(folder)
    pieces = encoder.word_pieces()
    with _progress(console, len(keys) + (len(pieces[0]) if pieces else 0)) as advance:
        found = distill_words(encoder, keys, asked.dim, advance)
    about = {"encoder": folder.resolve().name, "words of": read, "lowercase": asked.lowercase}
    write_words(out, found, about | {"zero_digits": asked.zero_digits, "upper_bound": asked.upper_bound})
    lines = [
        f"{out}: {len(found.words):,} words of {', '.join(read)}, {asked.dim} of {encoder.width} numbers with"
        f" {100 * found.share:.1f} % of the variance"
    ]
    if found.unknown:
        lines.append(f"{found.unknown:,} words of which the encoder knows no piece have no vector")
    lines.append(
        f"{len(found.pieces.pieces):,} pieces, from which other words get vectors"
        if found.pieces
        else "no pieces: the encoder's tokenizer is none of BERT's"
    )
    lines.append(f"train with: --set=words.vectors={out} --set=words.dim={asked.dim}")
    return "\n".join(lines)


def _folder(source: str | None) -> Path:
    kind, _, path = (source or "").partition(":")
    if kind != "hf" or not path:
        given = "is needed" if source is None else f"not {source!r}"
        raise InputError(f"--from=hf:FOLDER {given}: the folder of an encoder of the Hugging Face library")
    return Path(path)


def _words(asked: Asked) -> tuple[Counter[str], list[str]]:
    """How often each surface form occurs in what was asked for, and what that was."""
    from kd_jax.corpora.overlap import TRAINING  # noqa: PLC0415
    from kd_jax.corpora.registry import load  # noqa: PLC0415
    from kd_jax.distill.word_lists import corpus_forms, listed_forms, styles_of, text_forms  # noqa: PLC0415

    if not (asked.data_dir or asked.text or asked.words):
        raise InputError("no words: give corpora (--data_dir), raw text (--text) or a list (--words)")
    if (asked.upper_bound or asked.datasets) and not asked.data_dir:
        given = "--upper_bound" if asked.upper_bound else f"--datasets={','.join(asked.datasets or ())}"
        raise InputError(f"{given}: of which corpora? Give --data_dir")
    for split in asked.splits:
        if split not in TRAINING:
            raise InputError(f"--splits={split}: {nearest(split, TRAINING)} Test words need --upper_bound")
    corpora = load(Path(asked.data_dir), asked.datasets, asked.scheme) if asked.data_dir else []
    splits = [*asked.splits, *["test"] * asked.upper_bound]
    forms, read = corpus_forms(corpora, splits), [f"{corpus.name} ({'+'.join(splits)})" for corpus in corpora]
    if asked.text:
        found, left_out = text_forms(Path(asked.text), styles_of(corpora), unseen=() if asked.upper_bound else corpora)
        forms += found
        read.append(f"{asked.text} (without {left_out:,} test sentences)" if left_out else asked.text)
    if asked.words:
        forms += listed_forms(Path(asked.words))
        read.append(asked.words)
    return forms, read


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Any]:
    """A bar with ETA on a terminal, plain lines elsewhere; yields what is to be told how many are done."""
    columns = (TextColumn("encoding"), BarColumn(), TextColumn("{task.completed:,}/{task.total:,}"))
    times = (TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn())
    live = console.is_terminal
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
                left = (now - began) * (total - done) / max(done, 1)
                console.print(f"{done / total:4.0%}  {done:,} of {total:,} words and pieces  ETA {left:,.0f} s")

        yield advance


def _define_flags() -> None:
    flags.DEFINE_string("from", None, "hf:FOLDER, of an encoder of the Hugging Face library.")
    flags.DEFINE_string("data_dir", None, "Folder of corpora, one folder each.")
    flags.DEFINE_list("datasets", None, "Corpora, by the paper's names or their folders' names; default: all.")
    flags.DEFINE_string("scheme", None, "Tags of the files: IOB2, IOBES or IOB1; default: IOB2 or IOBES, as they show.")
    flags.DEFINE_list("splits", ["train", "devel"], "Splits whose words get vectors.")
    flags.DEFINE_string("text", None, "Raw text whose words get vectors too: a file, or a folder of .txt files.")
    flags.DEFINE_string("words", None, "File of words, one a line, that get vectors too.")
    flags.DEFINE_boolean("upper_bound", default=False, help="Take words of test splits too; the file's name says so.")
    flags.DEFINE_integer("dim", 200, "Numbers of a vector, as the setting words.dim.")
    flags.DEFINE_boolean("lowercase", default=True, help="Words by lower case, as the setting words.lowercase.")
    flags.DEFINE_boolean("zero_digits", default=True, help="Words by digits as 0, as the setting words.zero_digits.")
    flags.DEFINE_string("out", "words.npz", "File that gets them, a .npz.")


if __name__ == "__main__":
    _define_flags()
    app.run(main)
