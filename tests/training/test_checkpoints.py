"""Interrupted equals uninterrupted, bit for bit, at any chunk; a damaged checkpoint is passed over."""

import asyncio
import gc
import json
import logging
import os
import shutil
from contextlib import suppress
from itertools import islice

import absl.logging
import jax
import numpy as np
import pytest
from helpers.full_disk import fill
from helpers.lanes import GOLD, HALF, last, make_job
from helpers.made_json import ANYTHING
from helpers.resuming import assert_same_bits, keep
from hypothesis import given
from hypothesis import strategies as st

from kd_jax.data import pipeline as input_pipeline
from kd_jax.errors import InputError
from kd_jax.models.execution import Execution
from kd_jax.training import checkpoints, loop
from kd_jax.training.checkpoints import Checkpoints, silence_writer, started_together
from kd_jax.training.known import looked_up
from kd_jax.training.loop import Job, Lane, place, train


@pytest.fixture
def job(monkeypatch):
    monkeypatch.setattr(input_pipeline, "CHUNK", 2)
    return make_job([Lane(1, GOLD), Lane(2, HALF), Lane(3, GOLD)], knowledge=True, schedule="linear")


def test_resumed_equals_uninterrupted_at_every_chunk(job, tmp_path):
    whole = []
    for number, progress in enumerate(train(job)):
        whole.append((progress.epoch, progress.loss, progress.ends_epoch))
        if number in (0, 2):
            saver = Checkpoints(tmp_path / str(number), ["a", "b", "c"], 2, print)
            saver.save(keep(progress), number)
            saver.close()
        final = progress.held
    assert len(whole) > 4
    for number in (0, 2):
        saved = Checkpoints(tmp_path / str(number), ["a", "b", "c"], 2, print).newest()
        rest = list(train(job, (saved.position, place(job, saved.state))))
        assert len(rest) == len(whole) - number - 1
        assert_same_bits(final, rest[-1].held)
        for ours, (epoch, loss, ends) in zip(rest, whole[number + 1 :], strict=True):
            assert (ours.epoch, ours.ends_epoch) == (epoch, ends)
            np.testing.assert_array_equal(ours.loss, loss)


OTHERS = Execution("cpu", "nn.scan"), *(Execution(device, "fused", interpret=True) for device in ("gpu", "tpu"))


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_a_checkpoint_of_one_form_goes_on_in_another_to_rounding(job, tmp_path, monkeypatch, other):
    for number, progress in enumerate(train(job)):
        if number == 1:
            saver = Checkpoints(tmp_path, ["a", "b", "c"], 2, print)
            saver.save(keep(progress), number)
            saver.close()
    saved = Checkpoints(tmp_path, ["a", "b", "c"], 2, print).newest()
    monkeypatch.setattr(Job, "tagger_on", lambda self, _: self.tagger.clone(how=other))
    if other.platform == "tpu":
        monkeypatch.setattr(loop, "known_to", lambda _, tokens, batches: looked_up(tokens, batches))
    *_, last = train(job, (saved.position, place(job, saved.state)))
    begun, whole, ours = (jax.tree.leaves(x.params) for x in (saved.state, progress.saved(3), last.saved(3)))
    went_on = 0.0
    for before, a, b in zip(begun, whole, ours, strict=True):
        np.testing.assert_allclose(b, a, atol=1e-4)
        went_on = max(went_on, np.abs(a - before).max())
    assert went_on > 2e-3


def test_the_form_of_another_kind_of_device_is_not_followed(job, tmp_path, monkeypatch):
    saver = Checkpoints(tmp_path, ["a", "b", "c"], 2, print)
    saver.save(keep(next(iter(train(job))))._replace(recurrence="fused"), 1)
    saver.close()
    newest = Checkpoints(tmp_path, ["a", "b", "c"], 2, print).newest
    assert newest().recurrence == "fused"
    monkeypatch.setattr(checkpoints, "kind", lambda: "Tesla T4")
    assert newest().recurrence is None


def test_epochs_that_are_left_out_decide_shapes_too(monkeypatch):
    """A later epoch may outgrow the first one's shapes: a run that goes on after it has to compute in the same ones."""
    monkeypatch.setattr(input_pipeline, "round_up", lambda size, _: -(-size * 10 // 11))  # no room to grow
    job = make_job([Lane(1, GOLD), Lane(2, HALF)], epochs=8, row_length=16)
    train = job.settings.train

    def shapes(first):
        return [
            [chunk.form.shape + chunk.word.shape for chunk in chunks]
            for chunks in input_pipeline.input_pipeline(job.tokens, job.sentences, train, [1, 2], job.length, first)
        ]

    whole = shapes(0)
    assert whole[0] != whole[-1]
    for first in range(1, 8):
        assert shapes(first) == whole[first:]


def test_some_lanes_of_a_checkpoint_go_on_alone(job, tmp_path):
    progress = next(iter(train(job)))
    saver = Checkpoints(tmp_path / "c", ["a", "b", "c"], 2, print)
    saver.save(keep(progress), 1)
    saver.close()
    saved = Checkpoints(tmp_path / "c", ["c"], 2, print).newest()
    alone = make_job([Lane(3, GOLD)], knowledge=True, schedule="linear")
    resumed = last(train(alone, (saved.position, place(alone, saved.state)))).held
    whole = last(train(job)).held
    for x, y in zip(jax.tree.leaves(resumed.params), jax.tree.leaves(whole.params), strict=True):
        np.testing.assert_allclose(np.asarray(x)[0], np.asarray(y)[2], atol=2e-6)


def test_the_best_epochs_parameters_come_back(job, tmp_path):
    progress = next(iter(train(job)))
    best = ([50.0, 60.0, -1.0], [1, 1, 0], jax.tree.map(lambda x: np.array(x)[:3], progress.held.params))
    saver = Checkpoints(tmp_path / "c", ["a", "b", "c"], 2, print)
    saver.save(keep(progress)._replace(best=best), 1)
    saver.close()
    found = Checkpoints(tmp_path / "c", ["c", "a"], 2, print).newest().best
    assert found[:2] == ([-1.0, 50.0], [0, 1])
    np.testing.assert_array_equal(found[2]["words"], best[2]["words"][np.array([2, 0])])


def biggest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(folder):
    content = bytearray(biggest(folder).read_bytes())
    content[len(content) // 2] ^= 0xFF
    biggest(folder).write_bytes(bytes(content))


def told_otherwise(old, new):
    def harm(folder):
        path = folder / "about" / "metadata"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return harm


HARMS = {
    "flipped": flip,
    "cut": lambda folder: os.truncate(biggest(folder), biggest(folder).stat().st_size // 2),
    "emptied": lambda folder: os.truncate(biggest(folder), 0),
    "without arrays": lambda folder: shutil.rmtree(folder / "arrays"),
    "without a description": lambda folder: (folder / "about" / "metadata").unlink(),
    "of an older version": told_otherwise('"format": 3', '"format": 1'),
    "at another place": told_otherwise('"chunk": ', '"chunk": 1'),
    "no JSON": told_otherwise("{", ""),
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # orbax leaves a coroutine that failed
def test_damaged_checkpoints_are_said_and_passed_over(job, tmp_path):
    told = []
    saver = Checkpoints(tmp_path / "c", ["a", "b", "c"], 2, told.append)
    steps = [keep(progress) for progress in islice(train(job), 3)]
    for number, saved in enumerate(steps):
        saver.save(saved, number)
    saver.close()
    kept = sorted(int(p.name) for p in (tmp_path / "c").iterdir() if p.name.isdigit())
    assert kept == [1, 2]
    for name, harm in HARMS.items():
        shutil.copytree(tmp_path / "c", tmp_path / name)
        harm(tmp_path / name / "2")
        found = Checkpoints(tmp_path / name, ["a", "b", "c"], 2, told.append).newest()
        assert "can't be used" in told.pop(), name
        assert not told
        assert_same_bits(found.state, steps[1].state)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # orbax leaves a coroutine that failed
@pytest.mark.parametrize("noticed", ["wait", "close"])
def test_a_full_disk_is_one_line_and_the_last_good_checkpoint_goes_on(job, small_disk, noticed):
    told, whole = [], [keep(progress) for progress in islice(train(job), 3)]
    folder = small_disk / "c"
    saver = Checkpoints(folder, ["a", "b", "c"], 2, told.append)
    saver.save(whole[0], 1)
    saver.wait()
    fill(small_disk)

    def save():
        saver.save(whole[1], 2)
        getattr(saver, noticed)()

    named = r"/c: checkpoint can't be written \(No space left on device\); make room"
    with pytest.raises(InputError, match=named) as full:
        save()
    assert "\n" not in str(full.value)
    with suppress(InputError):
        saver.close()
    (small_disk / "filler").unlink()
    again = Checkpoints(folder, ["a", "b", "c"], 2, told.append)
    found = again.newest()
    assert_same_bits(found.state, whole[0].state)
    again.save(whole[2], 3)
    again.close()
    assert_same_bits(Checkpoints(folder, ["a", "b", "c"], 2, told.append).newest().state, whole[2].state)
    assert not told


def test_what_a_stopped_writer_left_is_removed(tmp_path):
    (tmp_path / "c" / "4.orbax-checkpoint-tmp" / "arrays").mkdir(parents=True)
    assert Checkpoints(tmp_path / "c", ["a"], 2, print).newest() is None
    assert not list((tmp_path / "c").iterdir())


def test_other_lanes_checkpoints_are_no_help(job, tmp_path):
    saver = Checkpoints(tmp_path / "c", ["a", "b", "c"], 2, print)
    saver.save(keep(next(iter(train(job)))), 1)
    saver.close()
    assert Checkpoints(tmp_path / "c", ["z"], 2, [].append).newest() is None
    assert Checkpoints(tmp_path / "none", ["z"], 2, [].append).newest() is None


def test_a_folder_that_can_not_be_written_is_an_input_error(job, tmp_path):
    (tmp_path / "c").write_text("a file stands here")
    saver = Checkpoints(tmp_path / "c", ["a", "b", "c"], 2, print)
    with pytest.raises(InputError, match="can't be written"):
        saver.save(keep(next(iter(train(job)))), 1)


@given(begun=ANYTHING | st.lists(st.sampled_from("abc")))
def test_whatever_lanes_json_holds_the_missing_lanes_are_trained_once(tmp_path_factory, begun):
    folder = tmp_path_factory.mktemp("cell")
    (folder / "lanes.json").write_text(json.dumps(begun))
    found = started_together(folder, ["a", "b", "c"], ["b"])
    assert "b" in found
    assert len(found) == len(set(found))
    assert set(found) <= {"a", "b", "c"}
    assert started_together(folder, ["a", "b", "c"], ["b"]) == found


def test_writes_that_fail_beside_the_one_that_is_told_say_nothing(caplog, monkeypatch):
    async def refused(name):
        raise ValueError(f"{name}: no space left")

    async def save():
        writes = [asyncio.ensure_future(refused(name)) for name in "ab"]
        await asyncio.sleep(0)  # both have failed
        await writes[0]

    monkeypatch.setattr(logging.getLogger("asyncio"), "level", logging.NOTSET)  # both are put back after the test
    verbosity = absl.logging.get_verbosity()
    silence_writer()
    absl.logging.set_verbosity(verbosity)
    loop = asyncio.new_event_loop()
    with pytest.raises(ValueError, match="a: no space left"):
        loop.run_until_complete(save())
    loop.close()
    gc.collect()
    assert caplog.records == []
