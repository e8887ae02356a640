"""The command that distils word vectors: whose words, by which encoder, into which file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from kd_jax import cli
from kd_jax.corpora.overlap import TRAINING
from kd_jax.corpora.registry import load
from kd_jax.distill.distilled_words import distill_words, named, write_words
from kd_jax.distill.encoder import open_encoder
from kd_jax.distill.word_lists import corpus_forms, listed_forms, spellings, styles_of, text_forms
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.progress import counting
from kd_jax.settings import WordConfig

UNCOMPARED = " (compared with no test split)"  # what is said of text where no corpora are given


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


def make_vectors(request: VectorsRequest, console: Console) -> str:
    """Distil word vectors and write them.

    Args:
        request: what is wanted.
        console: where progress goes.

    Returns:
        What was done, in a few lines.

    Raises:
        InputError: for whatever is wrong with the request; nothing is then written.
    """
    folder = _folder(request.encoder)
    if request.dim < 1:
        raise InputError(f"--dim={request.dim}: give at least 1")
    out = named(request.out, upper_bound=request.upper_bound)
    if out.exists():
        raise InputError(f"--out={out}: already exists; name another file")
    forms, sources = _words(request)
    keys = spellings(forms, request.spelling)
    encoder = open_encoder(folder)
    with counting(console, len(keys), "encoding", "words") as advance:
        distilled = distill_words(encoder, keys, request.dim, advance)
    spelling = {"lowercase": request.spelling.lowercase, "zero_digits": request.spelling.zero_digits}
    about = {"encoder": folder.resolve().name, "words of": sources, "upper_bound": request.upper_bound}
    write_words(out, distilled, about | spelling)
    lines = [
        f"{out}: {len(distilled.words):,} words of {', '.join(sources)}, {request.dim} of {encoder.width} numbers with"
        f" {100 * distilled.share:.1f} % of the variance"
    ]
    if distilled.unknown:
        lines.append(f"{distilled.unknown:,} words of which the encoder knows no piece have no vector")
    if request.text and not request.data_dir:
        lines.append("words of test sentences may be among those of the text: --data_dir says what to leave out")
    lines.append(f"train with: --set=words.vectors={out} --set=words.dim={request.dim}")
    return "\n".join(lines)


def _folder(source: str | None) -> Path:
    kind, _, path = (source or "").partition(":")
    if kind != "hf" or not path:
        given = "is needed" if source is None else f"not {source!r}"
        raise InputError(f"--from=hf:FOLDER {given}: the folder of an encoder of the Hugging Face library")
    return cli.path(path, "folder", "--from=hf:")


def _words(request: VectorsRequest) -> tuple[Counter[str], list[str]]:
    """How often each surface form occurs in what was asked for, and what that was."""
    if not (request.data_dir or request.text or request.words):
        raise InputError("no words: give corpora (--data_dir), raw text (--text) or a list (--words)")
    if (request.upper_bound or request.datasets) and not request.data_dir:
        given = "--upper_bound" if request.upper_bound else f"--datasets={','.join(request.datasets or ())}"
        raise InputError(f"{given}: of which corpora? Give --data_dir")
    for split in request.splits:
        if split not in TRAINING:
            raise InputError(f"--splits={split}: {nearest(split, TRAINING)} Test words need --upper_bound")
    notation = (request.scheme, request.entity_type)
    corpora = load(request.data_dir, request.datasets, *notation) if request.data_dir else []
    splits = [*request.splits, *["test"] * request.upper_bound]
    forms, sources = corpus_forms(corpora, splits), [f"{corpus.name} ({'+'.join(splits)})" for corpus in corpora]
    if request.text:
        text, left_out = text_forms(request.text, styles_of(corpora), unseen=() if request.upper_bound else corpora)
        forms += text
        without = f" (without {left_out:,} test sentences)" if left_out else "" if corpora else UNCOMPARED
        sources.append(f"{request.text}{without}")
    if request.words:
        forms += listed_forms(request.words)
        sources.append(str(request.words))
    return forms, sources
