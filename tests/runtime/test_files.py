"""Files that are there whole or not at all, on disks that are really full, cut short or read-only; one at a time."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from full_disk import fill
from rich.console import Console

from kd_jax.distill import store
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.runtime.files import clear_partial, kind_of, locked, replace_file
from kd_jax.runtime.progress import ProgressMeter
from kd_jax.structs import Outputs
from kd_jax.sweep.runner import open_workdir

HOLDER = "import sys; from pathlib import Path; from kd_jax.runtime.files import locked\n" + textwrap.dedent("""
    with locked(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.read()
""")


def test_a_path_is_told_by_what_it_leads_to(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    told = {
        name: kind_of(tmp_path / name) for name in ("file", "link", "dangling", "pipe", "file/inside", "absent", ".")
    }
    assert list(told.values()) == ["file", "file", None, "other", None, None, "folder"]
    for name, reason in (("loop", "Too many levels"), ("x" * 300, "File name too long")):
        with pytest.raises(InputError, match=f"can't be read: {reason}"):
            kind_of(tmp_path / name)


def test_a_full_disk_leaves_a_file_as_it_was(small_disk):
    path = small_disk / "results.csv"
    replace_file(path, b"before")
    fill(small_disk)
    with pytest.raises(InputError, match=r"results\.csv: can't be written: No space left"):
        replace_file(path, b"after" * 10_000)
    assert path.read_bytes() == b"before"
    assert sorted(os.listdir(small_disk)) == ["filler", "results.csv"]
    (small_disk / "filler").unlink()
    replace_file(path, b"after")
    assert path.read_bytes() == b"after"


def test_knowledge_on_a_full_disk_is_an_error_and_not_the_end_of_the_process(small_disk):
    def chunks():
        yield np.arange(5000), Outputs(*(np.ones((5000, 100), np.float32) for _ in range(3)))

    with pytest.raises(InputError, match="k: can't be written: No space left"):
        store.write(small_disk / "k", {}, (5000, Outputs(100, 100, 100)), "float32", chunks())
    assert os.listdir(small_disk) == []


def test_metrics_on_a_full_disk_go_on_after_the_half_line(small_disk):
    meter = ProgressMeter(1, small_disk / "metrics.jsonl", Console(file=io.StringIO()))
    meter.record(a=1)
    fill(small_disk)
    with pytest.raises(InputError, match=r"metrics\.jsonl: can't be written \(No space"):
        meter.record(a="x" * 10_000)
    (small_disk / "filler").unlink()
    with (small_disk / "metrics.jsonl").open("a") as file:
        file.write('{"half')
    meter.record(a=2)
    assert (small_disk / "metrics.jsonl").read_text().splitlines()[-1].endswith('"a": 2}')


def test_a_read_only_folder_is_named(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(InputError, match=r"--workdir=.*can't be written .Read-only"):
        open_workdir(small_disk / "w")
    with pytest.raises(InputError, match="can't be written: Read-only"):
        replace_file(small_disk / "results.csv", b"")


def test_a_writer_that_is_killed_leaves_a_whole_table(tmp_path):
    program = """
        import sys
        from dataclasses import replace
        from pathlib import Path
        from kd_jax.evaluation import results
        row = results.Row("logits", "NCBI", "SM", "softmax", 0.5, 0.5, 0, 0, 1, 3, "test", 81.25, 79.0, 80.1, "train",
                          20, 10**6, 61.5, "SM")
        for seed in range(10**6):
            results.append(Path(sys.argv[1]), [replace(row, seed=seed)], results.Row)
            print(seed, flush=True)
    """
    path = tmp_path / "results.csv"
    call = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as process:
        last = [process.stdout.readline() for _ in range(100)][-1]
        time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(results.read(path)) >= int(last) + 1
    clear_partial(tmp_path)
    assert os.listdir(tmp_path) == ["results.csv"]


def test_the_second_process_is_refused_by_the_holders_name_and_a_kill_frees_the_folder(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], **pipes, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        named = rf"in use by process {holder.pid} on .* since \d{{4}}-.*name another"
        with pytest.raises(InputError, match=named), locked(tmp_path):
            pass
        holder.kill()
    with locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
