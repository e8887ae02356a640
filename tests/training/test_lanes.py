"""What a sweep has to be: every lane what it would be alone."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.lanes import GOLD, HALF, device_data, last, make_job
from helpers.tiny import tiny_corpus

from kd_jax.data.packing import NO_TOKEN
from kd_jax.data.pipeline import input_pipeline
from kd_jax.models.tagger import mask_labels
from kd_jax.settings import override
from kd_jax.structs import LossWeights
from kd_jax.training import loop, losses, programs
from kd_jax.training.loop import Lane, label_tokens, train
from kd_jax.training.state import init_state
from kd_jax.training.step import read_batch, train_step


def trained(job):
    return jax.device_get(last(train(job)).held)


def start_of_two(job):
    return job.start._replace(label_bias=np.repeat(job.start.label_bias, 2, 0))


def assert_lane_equals(state, lane, other, other_lane, exact=False):
    check = np.testing.assert_array_equal if exact else lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6)
    for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(other.params), strict=True):
        check(a[lane], b[other_lane])


def test_lane_equals_solo():
    lanes = [Lane(1, GOLD), Lane(2, HALF), Lane(3, GOLD)]
    together = trained(make_job(lanes, knowledge=True))
    for i, lane in enumerate(lanes):
        assert_lane_equals(together, i, trained(make_job([lane], knowledge=True)), 0)


def test_vmapped_lanes_equal_lanes_in_turn():
    """What an accelerator does with lanes gives what a CPU does."""
    job = make_job([Lane(1, GOLD), Lane(2, HALF)], knowledge=True)
    in_turn = trained(job)
    batches = [jax.tree.map(jnp.asarray, chunk) for epoch in _epochs(job) for chunk in epoch]
    seeds, weights = jnp.array([1, 2]), LossWeights(*map(jnp.array, zip(GOLD, HALF, strict=True)))
    state = jax.vmap(
        lambda s, w: init_state(job.tagger, job.settings, job.head, s, w, job.tokens.word_rows, job.start)
    )(seeds, weights)
    data, knowledge = device_data(job), jax.tree.map(jnp.asarray, job.knowledge)
    run = jax.jit(jax.vmap(lambda s, b: programs.train_steps(job.tagger, job.settings, s, b, data, knowledge)))
    for chunk in batches:
        state, _ = run(state, chunk)
    for lane in (0, 1):
        assert_lane_equals(in_turn, lane, jax.device_get(state), lane)


def _epochs(job):
    return input_pipeline(job.tokens, job.sentences, job.settings.train, [lane.seed for lane in job.lanes], job.length)


def test_alpha_one_is_the_single_task_model_bit_for_bit():
    job = make_job([Lane(4, GOLD), Lane(4, LossWeights(1.0, 0.0, 0.0, 0.0, 7.0))], knowledge=True)
    state = trained(job)
    assert_lane_equals(state, 0, state, 1, exact=True)
    assert_lane_equals(state, 0, trained(make_job([Lane(4, GOLD)])), 0)


def test_a_lane_of_its_own_learning_rate_is_a_run_of_that_rate():
    """Beside lanes of one seed and other rates, bit for bit; a schedule falls from each one's own."""
    rate = 5 * make_job([Lane(4, HALF)]).settings.train.learning_rate
    together = trained(
        make_job([Lane(4, HALF), Lane(4, HALF, rate), Lane(5, HALF, rate)], knowledge=True, schedule="linear")
    )
    for lane, (seed, own) in enumerate([(4, {}), (4, {"learning_rate": rate}), (5, {"learning_rate": rate})]):
        alone = trained(make_job([Lane(seed, HALF)], knowledge=True, schedule="linear", **own))
        assert_lane_equals(together, lane, alone, 0)
    assert np.abs(together.params["words"][0] - together.params["words"][1]).max() > 1e-3


def test_weights_matter():
    state = trained(make_job([Lane(4, GOLD), Lane(4, HALF)], knowledge=True))
    words = state.params["words"]
    assert np.abs(words[0] - words[1]).max() > 1e-3


def test_a_multi_task_model_with_one_corpus_is_the_single_task_model():
    """The branch of a corpus that is alone starts and trains as that of a single-task model of the same seed."""
    job = make_job([Lane(1, GOLD)])
    single = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start)
    double = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, start_of_two(job))
    assert_lane_equals_first_branch(single, double)
    data = device_data(job)
    two_tasks = data._replace(valid=jnp.concatenate([data.valid, data.valid]))
    step = jax.jit(lambda state, batch, data: train_step(job.tagger, job.settings, state, batch, data, None)[0])
    for batch in (jax.tree.map(lambda x, i=i: jnp.asarray(x[0, i]), next(iter(_epochs(job)))[0]) for i in range(2)):
        single, double = step(single, batch, data), step(double, batch, two_tasks)
        assert_lane_equals_first_branch(single, double)


def assert_lane_equals_first_branch(single, double):
    for name in ("words", "encoder"):
        for a, b in zip(jax.tree.leaves(single.params[name]), jax.tree.leaves(double.params[name]), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-7)
    for a, b in zip(jax.tree.leaves(single.params["branch"]), jax.tree.leaves(double.params["branch"]), strict=True):
        np.testing.assert_allclose(a[0], b[0], atol=1e-7)


def test_a_step_leaves_other_branches_and_absent_words_as_they_are():
    job = make_job([Lane(1, GOLD)], [tiny_corpus("A"), tiny_corpus("B", kinds=("Drug", "Gene"))])
    state = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, start_of_two(job))
    data = device_data(job)
    step = jax.jit(lambda s, b: train_step(job.tagger, job.settings, s, b, data, None)[0])
    chunks = next(iter(_epochs(job)))
    for batch in (jax.tree.map(lambda x, i=i: jnp.asarray(x[0, i]), chunks[0]) for i in range(3)):
        after = step(state, batch)
        task = int(batch.task)
        for old, new in zip(
            jax.tree.leaves((state.params["branch"], state.opt_state[1].mu["branch"])),
            jax.tree.leaves((after.params["branch"], after.opt_state[1].mu["branch"])),
            strict=True,
        ):
            np.testing.assert_array_equal(old[1 - task], new[1 - task])
            assert (old[task] != new[task]).any()
        touched = set(np.asarray(batch.word).tolist())
        absent = np.array([row for row in range(job.tokens.word_rows) if row not in touched])
        assert len(absent)
        np.testing.assert_array_equal(state.params["words"][absent], after.params["words"][absent])
        state = after


def test_update_equals_dense_adam_with_clipping_where_a_batch_touches_everything():
    """Rows and branches apart, the step is optax.chain(clip_by_global_norm, adam) on all parameters."""
    job = make_job([Lane(1, GOLD)], rows=40, row_length=16, unknown_rate=0.0, clip_norm=0.5)
    settings, data = job.settings, device_data(job)
    batch = jax.tree.map(lambda x: jnp.asarray(x[0, 0]), next(iter(_epochs(job)))[0])
    state = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start)
    touched = np.unique(np.asarray(batch.word))
    assert set(range(job.tokens.word_rows)) <= set(touched.tolist())

    def dense_loss(params, state):
        whole = batch._replace(word=jnp.arange(job.tokens.word_rows), form_to_word=batch.word[batch.form_to_word])
        frozen = state._replace(params=params)
        return _loss(job, frozen, whole, data)

    optimizer = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(float(batch.learning_rate)))
    dense, dense_state = state.params, optimizer.init(state.params)
    gradient = jax.jit(jax.grad(dense_loss))
    step = jax.jit(lambda state: train_step(job.tagger, settings, state, batch, data, None)[0])
    for _ in range(3):
        updates, dense_state = optimizer.update(gradient(dense, state), dense_state)
        state = step(state)
        dense = optax.apply_updates(dense, updates)
        for a, b in zip(jax.tree.leaves(dense), jax.tree.leaves(state.params), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-6)


def _loss(job, state, batch, data):
    read = read_batch(batch, data)
    keys = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step))
    params = {"encoder": state.params["encoder"], "branch": jax.tree.map(lambda x: x[0], state.params["branch"])}
    out = job.tagger.apply({"params": params}, read, state.params["words"], keys[1])
    mask = read.mask
    label = data.label[jnp.maximum(batch.token, 0)]
    return losses.cross_entropy(mask_labels(out.logits, data.valid[0]), label, mask) / mask.sum()


def test_diverged_lane_is_frozen_and_the_others_go_on():
    job = make_job([Lane(1, GOLD), Lane(1, LossWeights(float("inf"), 0.0, 0.0, 0.0, 1.0))])
    state = trained(job)
    assert loop.divergences(state, 2) == [None, 0]
    alone = trained(make_job([Lane(1, GOLD)]))
    assert_lane_equals(state, 0, alone, 0)
    start = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start)
    for a, b in zip(jax.tree.leaves(start.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(a, b[1], atol=1e-7)
    assert state.step[1] == 0


def test_frozen_words_stay_and_everything_else_learns():
    job = make_job([Lane(1, GOLD)])
    frozen = trained(replace(job, settings=override(job.settings, ["words.update=frozen"]))).params
    start = init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start).params
    np.testing.assert_array_equal(frozen["words"][0], start["words"])
    for part in ("encoder", "branch"):
        for old, new in zip(jax.tree.leaves(start[part]), jax.tree.leaves(frozen[part]), strict=True):
            assert (old != new[0]).any()


def test_empty_batches_change_nothing():
    job = make_job([Lane(1, GOLD)])
    data = device_data(job)
    batch = jax.tree.map(lambda x: jnp.asarray(x[0, 0]), next(iter(_epochs(job)))[0])
    step = jax.jit(lambda state, batch: train_step(job.tagger, job.settings, state, batch, data, None))
    state, _ = step(
        init_state(job.tagger, job.settings, job.head, jnp.int32(1), GOLD, job.tokens.word_rows, job.start), batch
    )
    empty = batch._replace(token=jnp.full_like(batch.token, NO_TOKEN), learning_rate=jnp.zeros(()))
    after, sums = step(state, empty)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sums.tokens == 0


def test_later_epochs_compile_nothing():
    with jax.log_compiles(False):
        counts = []
        job = make_job([Lane(1, GOLD), Lane(2, GOLD)], epochs=4)
        programs.trainer.cache_clear()
        run = programs.trainer(job.tagger, job.settings, loop.meshes.lane_mesh(2))
        counts += [run._cache_size() for progress in train(job) if progress.ends_epoch]
    assert counts == [counts[0]] * 4


def test_long_sentences_are_trained_on_and_tagged_whole():
    job = make_job([Lane(1, GOLD)], row_length=6)
    chunks = list(train(job))
    state = chunks[-1].held
    assert sum(progress.lane_tokens for progress in chunks) == job.lane_tokens
    labels = label_tokens(job, state.params, 0, job.sentences[0])
    short = make_job([Lane(1, GOLD)], row_length=32)
    np.testing.assert_array_equal(labels, label_tokens(short, state.params, 0, job.sentences[0]))


@pytest.mark.parametrize("sampling", ["proportional", "sqrt", "uniform"])
def test_sampling_of_tasks(sampling):
    large, small = tiny_corpus("A", sizes=(200, 2, 2)), tiny_corpus("B", sizes=(20, 2, 2))
    job = make_job([Lane(1, GOLD)], [large, small], sampling=sampling, epochs=10)
    tasks = [
        int(t)
        for epoch in _epochs(job)
        for c in epoch
        for t, r in zip(c.task[0], c.learning_rate[0], strict=True)
        if r > 0
    ]
    share = np.mean(np.array(tasks) == 1)
    ratio = job.tokens.count(job.sentences[1]) / job.tokens.count(job.sentences[0])
    expected = {"proportional": ratio / (1 + ratio), "sqrt": ratio**0.5 / (1 + ratio**0.5), "uniform": 0.5}[sampling]
    assert abs(share - expected) < 0.06
