"""The commands on corpora: what is known, what is there, what is wrong with it, what overlaps, and how to get it."""

import io
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import matplotlib.style
from matplotlib.figure import Figure

from kd_jax.corpora import check as checking
from kd_jax.corpora import fetch as fetching
from kd_jax.corpora import overlap
from kd_jax.corpora.notation import by_corpus
from kd_jax.corpora.registry import find, load, registry, type_of_bare_tags, warn
from kd_jax.corpora.splits import has_splits
from kd_jax.errors import InputError, nearest
from kd_jax.runtime.files import replace_file


def list_corpora(data_dir: Path | None) -> int:
    """Print the registered corpora, and which of them and which others a folder holds."""
    folders = find(data_dir, say=warn) if data_dir else {}
    for name, entry in registry().items():
        sizes = ", ".join(f"{split} {facts.sentences:,}" for split, facts in entry.splits.items()) or "counts not known"
        kinds = ", ".join(entry.types)
        state = "" if data_dir is None else "there    " if name in folders else "missing  "
        print(f"{state}{name:<12} {entry.folders[0]:<17} sentences: {sizes}; entities: {kinds}")
    for name in (name for name in folders if name not in registry()):
        print(f"there    {name:<12} {folders[name].name:<17} not registered")
    return 0


def check(data_dir: Path, datasets: Sequence[str] | None, scheme: str | None, entity_type: str | None = None) -> int:
    """Print what the files of corpora hold and what is wrong with them; 1 where something is."""
    if data_dir.is_dir() and has_splits(data_dir) and datasets is None:
        named = (name for name, entry in registry().items() if data_dir.resolve().name in entry.folders)
        folders = {next(named, data_dir.resolve().name): data_dir}
    else:
        folders = find(data_dir, datasets, warn)
    schemes, types = by_corpus("--scheme", scheme, folders), by_corpus("--entity_type", entity_type, folders)
    wrong = []
    for name, folder in folders.items():
        kind = types.get(name) or type_of_bare_tags(name)
        report = checking.examine(folder, name, registry().get(name), schemes.get(name), kind)
        print("\n".join(checking.describe(report)), flush=True)
        if not report.well:
            wrong.append(name)
    print(f"{len(folders)} checked, " + (f"something is wrong with {', '.join(wrong)}" if wrong else "all well"))
    return 1 if wrong else 0


def audit(data_dir: Path, datasets: Sequence[str] | None, scheme: str | None, splits: Sequence[str], out: Path) -> int:
    """Print, write and draw the share of test sentences that also occur in training data."""
    for split in splits:
        if split not in overlap.TRAINING:
            raise InputError(f"--splits={split}: no training data; {nearest(split, overlap.TRAINING)}")
    audited = overlap.audit(load(data_dir, datasets, scheme), splits)
    table, picture = Path(f"{out}.md"), Path(f"{out}.png")
    print(_plain(audited))
    replace_file(picture, _heat_map(audited))
    replace_file(table, _markdown(audited, out).encode())
    print(f"table: {table}   heat map: {picture}")
    return 0


def fetch(data_dir: Path, datasets: Sequence[str] | None, where: str | None, *, overwrite: bool) -> int:
    """Get the collection, print what became of it corpus by corpus."""
    every = list[fetching.Fetched]()
    results = fetching.fetch(data_dir, where, datasets, overwrite=overwrite)
    for entry, files in groupby(results, key=lambda result: result.entry):
        group = list(files)
        every += group
        states = Counter(file.state for file in group)
        print(f"{entry.name:<12} {', '.join(f'{n} {state}' for state, n in states.items())}", flush=True)
        for file in group:
            if file.note:
                print(f"  {file.path.name}: {file.note}")
    # Copies of the collection may lack it, since it is unclear who may pass it on; no fault unless it was asked for.
    optional = {"BC4CHEMD"} - set(datasets or ())
    bad = [file for file in every if file.state in fetching.FAILED and file.entry.name not in optional]
    if bad:
        names = ", ".join(f"{file.path.parent.name}/{file.path.name} ({file.state})" for file in bad)
        raise InputError(f"{len(bad)} of {len(every)} files are not as published: {names}")
    return 0


def _plain(audited: overlap.Overlap) -> str:
    """The table for a terminal: columns by number."""
    width = max(map(len, audited.names))
    rows = [f"test sentences (%) that also occur in the {' + '.join(audited.splits)} sentences of corpus"]
    rows.append(" " * (width + 4) + "".join(f"{i:>7}" for i in range(1, len(audited.names) + 1)) + "    any  sentences")
    for i, name in enumerate(audited.names):
        shares = "".join(f"{share:7.1f}" for share in audited.percent[i])
        rows.append(f"{i + 1:>3} {name:<{width}}{shares}{audited.percent_anywhere[i]:7.1f}  {audited.counted[i]:>9,}")
    return "\n".join(rows)


def _markdown(audited: overlap.Overlap, out: Path) -> str:
    options = "" if tuple(audited.splits) == overlap.TRAINING else f" --splits={','.join(audited.splits)}"
    heads = ["test \\ training", *audited.names, "any of them", "sentences"]
    lines = [
        "# Test sentences that also occur in training data",
        "",
        "Each row: the share, in percent, of a corpus's test sentences that also occur in the "
        f"{' + '.join(audited.splits)}",
        "sentences of each corpus. Sentences are compared as their tokens joined, lower-cased and stripped to a-z and",
        f"0-9; those shorter than {overlap.SHORTEST} characters, mostly headings, are left out. The last column counts",
        "those that are compared.",
        "",
        f"Made by `python -m kd_jax.corpora audit --data_dir=DIR --out={out}{options}`.",
        "",
        f"![heat map]({out.name}.png)",
        "",
        "| " + " | ".join(heads) + " |",
        "|---" + "|---:" * (len(heads) - 1) + "|",
    ]
    for i, name in enumerate(audited.names):
        shares = [f"{share:.1f}" for share in (*audited.percent[i], audited.percent_anywhere[i])]
        lines.append(f"| {name} | {' | '.join(shares)} | {audited.counted[i]:,} |")
    return "\n".join(lines) + "\n"


@matplotlib.style.context("default")  # whatever a matplotlibrc of the user's says
def _heat_map(audited: overlap.Overlap) -> bytes:
    size = 2.2 + 0.5 * len(audited.names)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(audited.percent, cmap="Reds", vmin=0, vmax=100)
    axes.set_xticks(range(len(audited.names)), audited.names, rotation=45, ha="right")
    axes.set_yticks(range(len(audited.names)), audited.names)
    axes.set_xlabel(f"training sentences ({' + '.join(audited.splits)}) of")
    axes.set_ylabel("test sentences of")
    for (row, column), share in zip(
        ((r, c) for r in range(len(audited.names)) for c in range(len(audited.names))),
        audited.percent.flat,
        strict=True,
    ):
        if share:
            colour = "white" if share > 60 else "black"
            axes.text(column, row, f"{share:.1f}", ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, label="test sentences found, %", shrink=0.8)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    return content.getvalue()
