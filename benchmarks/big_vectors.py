"""Read files of word vectors far larger than memory needs to be: time, and the peak memory of the process.

A text with a header and a word2vec binary of so many gigabytes are written, of made-up words with those of real corpora
strewn in, each read for the words of the corpora in a process of its own, and deleted.

    python benchmarks/big_vectors.py --data_dir=DIR --folder=SCRATCH --gigabytes=4
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kd_jax.corpora.registry import load
from kd_jax.data.vectors import load_vectors
from kd_jax.data.vocab import words_of
from kd_jax.settings import WordConfig

DIM = 300
ROWS = 997  # different vectors: that they come again makes the writing fast, and the reader does not notice


def words_of_file(own: list[str], count: int) -> Iterator[bytes]:
    """As many words as asked for, the given ones evenly among made-up ones."""
    every = count // len(own)
    given = iter(own)
    for i in range(count):
        word = next(given, None) if i % every == 0 else None
        yield f"made-up-{i}".encode() if word is None else word.encode()


def write(path: Path, own: list[str], size: int) -> None:
    """A file of about so many bytes, told by its ending: .txt or .bin."""
    table = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype("<f4")
    rows = [v.tobytes() if path.suffix == ".bin" else " ".join(f"{x:.5f}" for x in v).encode() for v in table]
    count = size // (sum(map(len, rows)) // ROWS + 16)
    with path.open("wb", buffering=1 << 22) as file:
        file.write(f"{count} {DIM}\n".encode())
        for i, word in enumerate(words_of_file(own, count)):
            file.write(b"%b %b\n" % (word, rows[i % ROWS]))


def vocabulary(data_dir: Path) -> list[str]:
    """The keys of all words of the corpora of a folder."""
    return sorted(words_of(load(data_dir), WordConfig()))


def read(path: Path, data_dir: Path) -> None:
    """Read a file and tell what it took."""
    words = vocabulary(data_dir)
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table, there, report = load_vectors(path, words, DIM)
    seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert there.all()
    size = path.stat().st_size / 1e9
    print(
        f"{path.suffix}: {size:.2f} GB, {report.rows:,} words of {DIM}, {len(words):,} wanted: {seconds:.0f} s,"
        f" {1000 * size / seconds:.0f} MB/s; peak {peak / 1024:.0f} MiB, {before / 1024:.0f} before reading,"
        f" the table itself {table.nbytes >> 20} MiB",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data_dir", type=Path, required=True, help="folder of corpora")
    options.add_argument("--folder", type=Path, required=True, help="where the files go for the time")
    options.add_argument("--gigabytes", type=float, default=4.0)
    options.add_argument("--read", type=Path, help="a file that is there: only read it")
    asked = options.parse_args()
    if asked.read is not None:
        read(asked.read, asked.data_dir)
        return
    asked.folder.mkdir(parents=True, exist_ok=True)
    own = vocabulary(asked.data_dir)
    for name in ("vectors.txt", "vectors.bin"):
        path = asked.folder / name
        try:
            write(path, own, int(asked.gigabytes * 1e9))
            subprocess.run([sys.executable, __file__, *sys.argv[1:], f"--read={path}"], check=True)
        finally:
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
