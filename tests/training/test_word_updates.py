"""When word vectors are trained: always, never, or after some epochs."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.lanes import GOLD, HALF, device_data, make_job
from helpers.resuming import assert_same_bits, keep

from kd_jax.data import pipeline as input_pipeline
from kd_jax.settings import override
from kd_jax.training import loop, programs
from kd_jax.training.loop import Lane, place, train
from kd_jax.training.state import init_state
from kd_jax.training.step import train_step

AFTER = 2


@pytest.fixture
def job(monkeypatch):
    monkeypatch.setattr(input_pipeline, "CHUNK", 2)
    made = make_job([Lane(1, GOLD), Lane(2, HALF)], knowledge=True, epochs=4)
    return replace(made, settings=override(made.settings, [f"train_after={AFTER}"]))


def test_words_stay_until_their_epoch_and_move_from_there_on_without_a_new_program(job):
    programs.trainer.cache_clear()
    run = programs.trainer(job.tagger, job.settings, loop.meshes.lane_mesh(2))
    start = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start).params
    compiled, saved = [], []
    for progress in train(job):
        saved.append((progress.ends_epoch, keep(progress, 2)))
        words, moments = saved[-1][1].state.params["words"], saved[-1][1].state.opt_state[1]
        stays = progress.epoch <= AFTER
        assert (words[0] == start["words"]).all() == stays
        assert (moments.mu["words"] == 0).all() == (moments.nu["words"] == 0).all() == stays
        assert (
            saved[-1][1].state.params["encoder"]["chars"]["embedding"][0] != start["encoder"]["chars"]["embedding"]
        ).any()
        if progress.ends_epoch:
            compiled.append(run._cache_size())
    assert compiled == [compiled[0]] * 4

    ends = [i for i, (ends_epoch, _) in enumerate(saved) if ends_epoch]
    for number in (ends[AFTER - 2], ends[AFTER - 1] - 1, ends[AFTER - 1]):
        found = saved[number][1]
        rest = list(train(job, (found.position, place(job, found.state))))
        assert len(rest) == len(saved) - number - 1
        assert_same_bits(saved[-1][1].state, rest[-1].held, 2)


def test_a_step_before_is_that_of_frozen_words_and_a_step_after_that_of_trained_ones(job):
    batch = jax.tree.map(
        lambda x: jnp.asarray(x[0, 0]),
        next(
            input_pipeline.input_pipeline(job.tokens, job.sentences, job.settings.train, [1], input_pipeline.Length(1))
        )[0],
    )
    state = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start)
    data = device_data(job)

    def stepper(*changes):
        settings = override(job.settings, ["train_after=0", *changes])
        return jax.jit(lambda state, move: train_step(job.tagger, settings, state, batch, data, None, move)[0])

    masked, frozen = stepper(), stepper("words.update=frozen")
    for move, plain in ((jnp.bool_(False), frozen), (jnp.bool_(True), masked)):
        for _ in range(2):
            ours, theirs = masked(state, move), plain(state, None)
            assert (ours.params["words"] != state.params["words"]).any() == bool(move)
            for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)
            state = ours
