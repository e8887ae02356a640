"""Throw damaged files at every reader: each has to be read, or refused in one line, in bounded time and memory.

Valid files come from a small real run: corpora, vectors of every form, models, knowledge, a shipped model, tables and
settings. Each case harms one of them by flipped bits, cuts, insertions, copies and splices of hostile texts, and
reads it in the way the program does. Any exception but InputError (StaleError for knowledge, which is then computed
again), a message of several lines or over 2,000 characters, more than 10 s or 512 MiB is a failure. Its files stay in
the folder, and a case is a function of reader, number and seed. A reader that dies or hangs is named, too.

    python benchmarks/fuzz.py --cases=4000 --folder=DIR
    python benchmarks/fuzz.py --readers=conll --first=812 --cases=1 --folder=DIR    # one case again
"""

import argparse
import faulthandler
import json
import random
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fuzz_readers import READERS, Reader, prepare

from kd_jax.distill.store import StaleError
from kd_jax.errors import InputError

SLOW, HUNG = 10, 600  # seconds of work, and by the clock
MOST_MEMORY = 512 << 20  # bytes of a case above what the process has
LONGEST = 2000  # characters of a message
HOSTILE = (
    *(b"\0", b"\r", b"\n\n", b"\t", b" ", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x1b[2J"),
    *(b"nan", b"NaN", b"-Infinity", b"1e400", b"-1", b"0", b"9" * 25, b"9" * 5000, b"1.5", b"true", b"null", b'""'),
    *(b"[]", b"{}", b"[" * 100_000, b'{"a":' * 5000, b'"\\ud800"', b"\\u0000", b"../../x", b"%s%n", b"A" * 70_000),
    *(b"-DOCSTART-", b"O\n", b"B-", b"I-Gene", b"S-Gene", b"\x93NUMPY\x01\x00", b"PK\x03\x04", b"\x1f\x8b\x08"),
    *("\u0130\u0149\ufb03".encode(), "\U0001f9ec\u200d".encode(), b"e\xcc\x81" * 500, b"x " * 5000, b"\x80\x04."),
)
ODD = (None, True, -1, 0, 2**70, 1.5, float("nan"), "", "\ud800", [], {}, "A" * 70_000, [[]] * 9)  # JSON values


def harm(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Content with one to four faults."""
    out = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, length = rng.randint(0, len(out)), rng.choice((1, 2, 8, 64))
        match rng.randrange(7):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at:]
            case 2:
                del out[at : at + length]
            case 3:
                out[at:at] = rng.randbytes(length)
            case 4:
                out[at:at] = out[at : at + length] * rng.choice((1, 3, 200))
            case 5:
                other = rng.choice(others)
                begin = rng.randint(0, len(other))
                out[at : at + length] = other[begin : begin + length]
            case _:
                out[at : at + rng.choice((0, length))] = rng.choice(HOSTILE)
    return bytes(out)


def harm_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON text with the value of one place replaced by another one's or by something hostile."""
    tree = json.loads(content)
    places = list(_places(tree))
    if not places:
        return content
    holder, key = rng.choice(places)
    other, there = rng.choice(places)
    holder[key] = other[there] if rng.random() < 0.3 else rng.choice(ODD)
    with suppress(ValueError):  # a place may be put into itself
        return json.dumps(tree).encode()
    return content


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(tree, dict | list):
        for key in tree if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])


def write(files: dict[str, bytes], folder: Path) -> None:
    """Write files, and nothing else, into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def make_case(reader: Reader, folder: Path, rng: random.Random) -> None:
    """Write a reader's files, one of them harmed."""
    chosen = rng.choice(sorted(reader.files))
    whole = reader.files[chosen]
    by_value = chosen.endswith(".json") and rng.random() < 0.5
    harmed = harm_json(whole, rng) if by_value else harm(whole, list(reader.files.values()), rng)
    write(reader.files | {chosen: harmed}, folder)
    if reader.signed is not None and rng.random() < 0.7:
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError):
            reader.signed(folder)


def fault_of(reader: Reader, folder: Path) -> tuple[str, bool]:
    """What is wrong with how a case was read, "" for nothing; and whether it was refused."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before, began, refused = _memory("VmRSS"), time.process_time(), False
    faulthandler.dump_traceback_later(HUNG, exit=True)
    try:
        reader.read(folder)
    except (InputError, StaleError) as told:
        refused = True
        if "\n" in str(told) or len(str(told)) > LONGEST:
            return f"not one line: {str(told)[:300]!r}", True
    except Exception:
        return traceback.format_exc(limit=-6), False
    finally:
        faulthandler.cancel_dump_traceback_later()
    if (seconds := time.process_time() - began) > SLOW:  # of work, so that a busy machine is no failure
        return f"took {seconds:.0f} s", refused
    took = _memory("VmHWM") - before
    return (f"took {took >> 20} MiB" if took > MOST_MEMORY else ""), refused


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise RuntimeError(f"this system does not tell {name}")


def fuzz(name: str, folder: Path, cases: range, seed: int) -> int:
    """One reader's cases; the number of failures, which are printed."""
    reader = READERS[name](folder / "valid")
    write(reader.files, folder / name)
    reader.read(folder / name)  # what is not harmed is read; and it warms up
    hold = _memory("VmData") + (4 << 30)
    resource.setrlimit(resource.RLIMIT_DATA, (hold, hold))
    began, failures, refusals = time.monotonic(), 0, 0
    for number in cases:
        (folder / f"{name}.number").write_text(str(number), encoding="ascii")
        make_case(reader, folder / name, random.Random(f"{seed} {name} {number}"))
        fault, refused = fault_of(reader, folder / name)
        refusals += refused
        if fault:
            failures += 1
            shutil.copytree(folder / name, folder / "failures" / f"{name}-{number}", dirs_exist_ok=True)
            print(f"{name} case {number}: {fault}", flush=True)
    seconds = time.monotonic() - began
    print(f"| {name} | {len(cases):,} | {refusals:,} | {failures} | {seconds:.0f} s |", flush=True)
    return failures


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--readers", default=",".join(READERS))
    options.add_argument("--cases", type=int, default=1000, help="of each reader")
    options.add_argument("--first", type=int, default=0, help="number of the first case")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--folder", type=Path, required=True, help="for valid files, the case at hand, and failures")
    options.add_argument("--alone", action="store_true", help="in this process, where the valid files are there")
    asked = options.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.alone:
        return min(1, fuzz(asked.readers, asked.folder, range(asked.first, asked.first + asked.cases), asked.seed))
    prepare(asked.folder / "valid")
    print("| reader | cases | refused | failures | time |\n|---|---:|---:|---:|---:|", flush=True)
    failed = []
    for name in asked.readers.split(","):
        call = [sys.executable, __file__, "--alone", f"--readers={name}", f"--cases={asked.cases}"]
        call += [f"--first={asked.first}", f"--seed={asked.seed}", f"--folder={asked.folder}"]
        status = subprocess.run(call, check=False).returncode
        if status not in {0, 1}:
            print(
                f"{name}: ended with {status} at case {(asked.folder / f'{name}.number').read_text(encoding='ascii')}"
            )
        failed += [name] if status else []
    print(f"failures of {', '.join(failed)}" if failed else "no failures")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
