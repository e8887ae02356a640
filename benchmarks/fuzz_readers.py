"""The readers that benchmarks/fuzz.py throws damaged files at, each with valid files of a small real run."""

import gzip
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging
from rich.console import Console

from kd_jax.corpora.conll import read_split
from kd_jax.data.vectors import load_vectors
from kd_jax.distill import store
from kd_jax.evaluation import results
from kd_jax.experiment import sample_corpora
from kd_jax.export import load as loading
from kd_jax.export import shipped as shipping
from kd_jax.export import tag_files as tagging
from kd_jax.export.delivery import ship
from kd_jax.report.build import _settings as read_settings
from kd_jax.report.curves import read_metrics
from kd_jax.runtime.files import digest, digest_file
from kd_jax.settings import SMALL, Settings, from_dict, override, to_dict
from kd_jax.sweep.lanes import _read as read_lanes
from kd_jax.sweep.request import Request, execute
from kd_jax.training.saved_model import load_counts, load_model

SIZES = ("words.dim=6", "chars.dim=4", "chars.units=4", "shared_units=4", "task_units=4", "hidden_units=4", "rows=3")


class Reader(NamedTuple):
    """What is harmed, and who reads it.

    Attributes:
        files: valid ones, by their names in a folder.
        read: what the program does with the folder.
        signed: renews the checksums of a folder, so that what they protect is read too.
    """

    files: dict[str, bytes]
    read: Callable[[Path], Any]
    signed: Callable[[Path], None] | None = None


def files_of(folder: Path) -> dict[str, bytes]:
    """All files below a folder by their names in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def prepare(folder: Path) -> None:
    """A work folder of a real run of two small corpora, and a shipped model of it."""
    if (folder / "shipped").exists():
        return
    small = [corpus.name for corpus in sorted(sample_corpora().iterdir()) if corpus.is_dir()][:2]
    for corpus in small:
        for split in ("train", "devel", "test"):
            lines = (sample_corpora() / corpus / f"{split}.tsv").read_text(encoding="utf-8").split("\n\n")[:30]
            (folder / "corpora" / corpus).mkdir(parents=True, exist_ok=True)
            (folder / "corpora" / corpus / f"{split}.tsv").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    work, quiet = folder / "work", Console(file=io.StringIO())
    execute(Request(seeds="2", data_dir=folder / "corpora", workdir=work, epochs=1, assignments=SIZES), quiet)
    student = next(work.glob("students/*/SM-alpha=0.5*"))
    ship(student, folder / "shipped", "float32", None, None)


def conll(valid: Path) -> Reader:
    corpus = next((valid / "corpora").iterdir())
    iobes = b"p53\tNN\tS-Gene\nof\tIN\tO\nIL\tNN\tB-Gene\n2\tCD\tE-Gene\n\n-DOCSTART-\tX\tO\n\nrats\tNN\tS-Species\n"
    files = {"iob.tsv": (corpus / "test.tsv").read_bytes()[:1500].rpartition(b"\n\n")[0] + b"\n", "iobes.tsv": iobes}
    return Reader(files, lambda folder: [read_split(path) for path in sorted(folder.iterdir())])


def vectors(_: Path) -> Reader:
    words = ["the", "IL-2", "p53", "β-catenin", "New York", *(f"w{i}" for i in range(20))]
    table = np.random.default_rng(0).normal(size=(len(words), 5)).astype("<f4")
    rows = [(w, " ".join(map(str, v))) for w, v in zip(words, table.tolist(), strict=True)]
    text = f"{len(words)} 5\n".encode() + "".join(f"{w} {v}\n" for w, v in rows).encode()
    pairs = zip(words, table, strict=True)
    binary = f"{len(words)} 5\n".encode() + b"".join(w.encode() + b" " + v.tobytes() + b"\n" for w, v in pairs)
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, table)
    np.savez(npz, words=np.array(words), vectors=table)
    files = {
        "a.txt": text.partition(b"\n")[2],
        "b.vec": text,
        "c.bin": binary,
        "d.npy": npy.getvalue(),
        "d.words": "\n".join(words).encode(),
        "e.npz": npz.getvalue(),
        "f.txt.gz": gzip.compress(text),
    }

    def read(folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if path.suffix != ".words":
                load_vectors(path, words[:10])

    return Reader(files, read)


def settings(_: Path) -> Reader:
    files = {
        "settings.json": json.dumps(to_dict(SMALL)).encode(),
        "set": b"train.epochs=30\ndropout=0.3\nencoder=bilstm\nlowercase=false\nwords.vectors=v\nminutes=0.5\n",
    }

    def read(folder: Path) -> None:
        typed = (folder / "set").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        override(SMALL, [line[:500] for line in typed[:-1]])  # a message repeats what was typed
        with suppress(ValueError, RecursionError):  # what is no JSON is the business of those who read the file
            stored = json.loads((folder / "settings.json").read_bytes())
            from_dict(Settings, stored)

    return Reader(files, read)


def model(valid: Path) -> Reader:
    files = files_of(next((valid / "work").glob("students/*/SM-alpha=0.5*")))

    def read(folder: Path) -> None:
        load_counts(folder)
        load_model(folder)

    def sign(folder: Path) -> None:
        about = json.loads((folder / "model.json").read_bytes())
        about.pop("sha256", None)
        (folder / "model.json").write_text(json.dumps(about | {"sha256": digest(about)}), encoding="utf-8")

    return Reader(files, read, sign)


def knowledge(valid: Path) -> Reader:
    files = files_of(next((valid / "work" / "knowledge").rglob(store.MANIFEST)).parent)
    source = json.loads(files[store.MANIFEST])["source"]

    def read_all(folder: Path) -> None:
        for field in store.read(folder, source).outputs:
            np.asarray(field).tobytes()

    def sign(folder: Path) -> None:
        manifest = json.loads((folder / store.MANIFEST).read_bytes())
        for name, about in manifest["arrays"].items():
            about["sha256"] = digest_file(folder / f"{name}.npy")
        (folder / store.MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")

    return Reader(files, read_all, sign)


def shipped(valid: Path) -> Reader:
    files = files_of(valid / "shipped")

    def sign(folder: Path) -> None:
        about = json.loads((folder / shipping.MANIFEST).read_bytes())
        for name in (shipping.WEIGHTS, shipping.VOCABULARY):  # a program is only run as it was shipped
            about["sha256"][name] = digest_file(folder / name)
        (folder / shipping.MANIFEST).write_text(json.dumps(about), encoding="utf-8")

    return Reader(files, lambda folder: shipping.open_shipped(folder, None), sign)


def tag(valid: Path) -> Reader:
    logging.set_verbosity(logging.FATAL)
    opened = loading.load(valid / "shipped")
    tagging.load = lambda *_, **__: opened  # where the command has it
    corpus = next((valid / "corpora").iterdir())
    sentences = (corpus / "test.tsv").read_bytes()[:600].rpartition(b"\n\n")[0] + b"\n"
    text = b" ".join(line.split(b"\t")[0] for line in sentences.split(b"\n"))
    files = {
        "a.txt": text.replace(b" . ", b" .\n") + "\nIL-2 β-catenin naïve\n".encode(),
        "b.tsv": sentences,
        "c.jsonl": b"".join(json.dumps({"text": t.decode(), "id": 3}).encode() + b"\n" for t in text.split(b" . ")),
    }

    def read(folder: Path) -> None:
        names = [str(path) for path in sorted(folder.iterdir())]
        for form in ("conll", "jsonl", "terminal", "brat"):
            out = folder.with_name(f"tagged.{form}")
            for record in ("line", "paragraph"):
                shutil.rmtree(out, ignore_errors=True)
                tagging.tag_files(tagging.TagRequest(model=("m",), names=names, format=form, out=out, record=record))

    return Reader(files, read)


def work(valid: Path) -> Reader:
    names = ("results.csv", "types.csv", "metrics.jsonl", "settings.json", "lanes.json")
    files = {name: (valid / "work" / name).read_bytes() for name in names}
    counts = next((valid / "work" / "counts").rglob("*.npy"))
    rows = results.read(valid / "work" / "results.csv")
    row = next(row for row in rows if results.counts_path(valid / "work", row) == counts)
    files[str(counts.relative_to(valid / "work"))] = counts.read_bytes()

    def read(folder: Path) -> None:
        results.read(folder / "results.csv")
        results.read_types(folder / "types.csv")
        read_metrics(folder / "metrics.jsonl")
        read_settings(folder)
        read_lanes(folder / "lanes.json")
        results.read_counts(folder, row)

    return Reader(files, read)


READERS = {make.__name__: make for make in (conll, vectors, settings, model, knowledge, shipped, tag, work)}
