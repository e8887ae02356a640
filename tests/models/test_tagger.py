"""The tagger: what pads, what is masked, what a task does not have, has no say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.tiny import tiny_corpus, tiny_settings

from kd_jax.data.dataset import make_batches, read_tokens
from kd_jax.data.packing import NO_TOKEN, Shape, stack
from kd_jax.data.pipeline import Length
from kd_jax.data.vocab import PADDING, build_vocabulary
from kd_jax.distill.extract import extract, widths
from kd_jax.models.features import CharEncoder, highest
from kd_jax.models.tagger import Tagger, dropout, init_params, replace_singles
from kd_jax.settings import CharConfig, TrainConfig, override
from kd_jax.structs import LossWeights
from kd_jax.training.loop import Job, Lane, initial_states, label_tokens, token_data
from kd_jax.training.mesh import lane_mesh
from kd_jax.training.step import read_batch, read_steps

GOLD = LossWeights(1.0, 0.0, 0.0, 0.0, 1.0)


def make_job(assignments=(), head="softmax", lanes=1):
    settings = override(tiny_settings(), assignments)
    corpora = [tiny_corpus("A"), tiny_corpus("B", kinds=("Drug", "Gene"))]
    seen = [s for corpus in corpora for s in corpus.splits["train"]]
    vocabulary = build_vocabulary(seen, settings.model.words)
    tokens = read_tokens(corpora, vocabulary, settings)
    sentences = tuple(tokens.sentences(c.name, ("train",)) for c in corpora)
    lanes = tuple(Lane(seed, GOLD) for seed in range(lanes))
    return Job(settings, tokens, sentences, lanes, Length(1), len(vocabulary.chars) + 2, head)


def params_of(job):
    return initial_states(job, job.lanes, lane_mesh(len(job.lanes))).params


@pytest.mark.parametrize("encoder", ["cnn", "bilstm"])
def test_padding_of_words_has_no_influence_on_their_characters(encoder):
    module = CharEncoder(CharConfig(encoder=encoder, dim=4, units=6, width=3, longest=8), 12)
    chars = jnp.array([[3, 4, 5, PADDING, PADDING, PADDING], [7, PADDING, PADDING, PADDING, PADDING, PADDING]])
    params = jax.jit(module.init)(jax.random.key(0), chars)
    run = jax.jit(module.apply)
    long = run(params, chars)
    np.testing.assert_allclose(long[:1], run(params, chars[:1, :3]), atol=1e-6)
    np.testing.assert_allclose(long[1:], run(params, chars[1:, :1]), atol=1e-6)
    other = params["params"]["embedding"].at[PADDING].set(99.0)
    changed = {"params": params["params"] | {"embedding": other}}
    np.testing.assert_array_equal(long, run(changed, chars))


def test_filters_looked_up_equal_a_convolution_and_its_gradients():
    keys = jax.random.split(jax.random.key(3), 4)
    table = jax.random.normal(keys[0], (12, 4)).at[PADDING].set(0.0)
    kernel, bar = jax.random.normal(keys[1], (3, 4, 6)), jax.random.normal(keys[2], (9, 6))
    length = jnp.arange(1, 10)[:, None]
    chars = jnp.where(jnp.arange(10)[None] < length, jax.random.randint(keys[3], (9, 10), 1, 12), PADDING)

    def looked_up(table, kernel):
        return highest(jnp.einsum("ad,kdf->kaf", table, kernel), chars)

    def convolved(table, kernel):
        y = jax.lax.conv_general_dilated(table[chars], kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))
        return jnp.where((chars != PADDING)[..., None], y, -jnp.inf).max(1)

    ours, our_gradients = jax.vjp(looked_up, table, kernel)
    theirs, their_gradients = jax.vjp(convolved, table, kernel)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    (of_table, of_kernel), (same_table, same_kernel) = our_gradients(bar), their_gradients(bar)
    np.testing.assert_allclose(of_table[1:], same_table[1:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(of_kernel, same_kernel, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("encoder", ["cnn", "bilstm"])
def test_packed_rows_give_what_single_sentences_give(encoder):
    job = make_job([f"encoder={encoder}"])
    tokens, data = job.tokens, jax.tree.map(jnp.asarray, token_data(job))
    params = jax.tree.map(lambda x: x[0], params_of(job))
    run = jax.jit(lambda batch: read_steps(job.tagger, params, batch, data))
    seen = {}
    for rows, row_length in ((2, 16), (1, 12)):
        for sentences in [job.sentences[1]] if rows == 2 else [np.array([s]) for s in job.sentences[1][:6]]:
            for host_batch in make_batches(tokens, sentences, 1, TrainConfig(rows=rows, row_length=row_length), None):
                batch = stack([host_batch], [0.0], Shape(1, *host_batch.token.shape, 64, 64), tokens.word_rows)
                batch = jax.tree.map(jnp.asarray, batch)
                logits = run(batch).logits
                for position, value in zip(
                    np.asarray(batch.token).ravel(), np.asarray(logits).reshape(-1, logits.shape[-1]), strict=True
                ):
                    if position != NO_TOKEN:
                        seen.setdefault(int(position), []).append(value)
    twice = [values for values in seen.values() if len(values) == 2]
    assert len(twice) > 10
    for one, other in twice:
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("head", ["softmax", "crf"])
@pytest.mark.parametrize("constrained", ["false", "true"])
def test_labels_are_those_of_the_task_and_legal_where_that_is_asked_for(head, constrained):
    job = make_job([f"constrained={constrained}"], head, lanes=2)
    params = params_of(job)
    for task, names in enumerate(job.tokens.labels):
        labels = label_tokens(job, params, task, job.sentences[task])
        assert labels.max() < len(names)
        illegal = 0
        for lane in labels:
            for sentence in job.tokens.per_sentence(lane, job.sentences[task]):
                tags = [names[k] for k in sentence]
                illegal += sum(
                    (tag.startswith("I-") and before[2:] != tag[2:]) or (tag.startswith("I-") and before == "O")
                    for before, tag in zip(["O", *tags[:-1]], tags, strict=True)
                )
        if constrained == "true":
            assert illegal == 0


def test_extraction_gives_every_token_once_and_equals_the_forward_pass():
    job = make_job()
    params = jax.tree.map(lambda x: x[0], params_of(job))
    sentences = job.sentences[0][::3]  # another corpus's sentences through the branch of task 1
    found = np.full((job.tokens.count(sentences), sum(widths(job, 1))), np.nan, np.float32)
    for rows, outputs in extract(job, params, 1, sentences):
        assert np.isnan(found[rows]).all()
        found[rows] = np.concatenate(outputs, -1)
    assert np.isfinite(found).all()
    host_batch = make_batches(job.tokens, sentences[:1], 1, TrainConfig(rows=1, row_length=16), None)[0]
    batch = stack([host_batch], [0.0], Shape(1, *host_batch.token.shape, 64, 64), job.tokens.word_rows)
    data = jax.tree.map(jnp.asarray, token_data(job))
    batch = jax.tree.map(jnp.asarray, batch)
    outputs = jax.jit(lambda batch: read_steps(job.tagger, params, batch, data))(batch)
    length = int((batch.token != NO_TOKEN).sum())
    np.testing.assert_allclose(np.concatenate(outputs, -1)[0, 0, :length], found[:length], atol=1e-5)


def test_dropout_keeps_the_mean_and_the_rate():
    x = jnp.ones((200, 500))
    dropped = dropout(jax.random.key(0), x, 0.25)
    assert set(np.unique(dropped).tolist()) == {0.0, np.float32(256 / 192)}
    assert abs(float((dropped == 0).mean()) - 0.25) < 0.005
    np.testing.assert_array_equal(dropout(None, x, 0.25), x)


def test_only_singles_are_replaced():
    job = make_job()
    host_batch = make_batches(job.tokens, job.sentences[0], 0, job.settings.train, None)[0]
    batch = stack([host_batch], [0.0], Shape(1, *host_batch.token.shape, 64, 64), job.tokens.word_rows)
    read = read_batch(jax.tree.map(lambda x: jnp.asarray(x[0]), batch), jax.tree.map(jnp.asarray, token_data(job)))
    always = replace_singles(jax.random.key(0), read, 1.0).form_to_word
    np.testing.assert_array_equal(always, jnp.where(read.forms.single, 0, read.form_to_word))
    np.testing.assert_array_equal(replace_singles(jax.random.key(0), read, 0.0).form_to_word, read.form_to_word)


def test_branches_start_apart_and_the_first_does_not_depend_on_the_others():
    tagger = Tagger(tiny_settings().model, 9, 5)
    one, three = (init_params(tagger, jax.random.key(0), tasks, 4) for tasks in (1, 3))
    for a, b in zip(jax.tree.leaves(one["branch"]), jax.tree.leaves(three["branch"]), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    kernel = three["branch"]["task"]["kernel"]
    assert (kernel[0] != kernel[1]).any()
    assert (kernel[1] != kernel[2]).any()


def test_pretrained_vectors_take_their_rows():
    job = make_job()
    table = np.full((job.tokens.word_rows, 8), 7.0, np.float32)
    there = np.arange(job.tokens.word_rows) % 2 == 1
    words = params_of(Job(**{**vars(job), "vectors": (table, there)}))["words"][0]
    assert (words[there] == 7.0).all()
    np.testing.assert_array_equal(words[~there], params_of(job)["words"][0][~there])
