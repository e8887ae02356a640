"""A student is taught by its own tokens: what training reads of a teacher is what the teacher says of that sentence.

Whole runs, seen from both ends: on one side the batches that the train step is given, each cut into sentences whose
text is spelled from the characters that the student reads; on the other the saved teacher, opened from its folder and
run over the same text by the program that tags. Between them lie the order of splits and sentences, the store, the
join, the packing and the choice of sentences, and any of them could go wrong unseen: a student of someone else's tokens
trains as smoothly, to a lower score.
"""

from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from helpers.runs import carry_out
from helpers.tiny import tiny_corpus

from kd_jax.corpora.conll import write_split
from kd_jax.export.trained import open_trained
from kd_jax.models.tagger import Batch
from kd_jax.structs import Outputs
from kd_jax.sweep import group as groups
from kd_jax.sweep.request import Request
from kd_jax.training import loop
from kd_jax.training.step import Sums

EXPERIMENT = """
from kd_jax.experiment import Experiment, Student, Teacher

WEIGHTS = {{"alpha": 0.4, "beta": 0.3, "gamma": 0.2, "kappa": 0.1}}
EXPERIMENT = Experiment(
    "own_tokens", "Students of one teacher", single=(), multi=(), teachers=(Teacher("{head}"),),
    students=(Student("SM", **WEIGHTS), Student("SM transfer", **WEIGHTS, foreign=True)),
)
"""
SIZES = ("words.dim=8", "chars.dim=4", "chars.units=6", "shared_units=5", "task_units=4", "hidden_units=6", "dropout=0")
LENGTH = ("updates=40", "teacher_updates=120", "learning_rate=0.03", "rows=3", "row_length=16", "distill.foreign=20")
LONGEST = 16  # tokens of a sentence, at least


class Taught(NamedTuple):
    """A sentence as a batch held it."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    labelled: bool
    outputs: Outputs


class Read(NamedTuple):
    """What one lane group trained on: its corpus, its teacher, and the sentences of every chunk."""

    group: Any
    transitions: Any
    sentences: list[Taught]


def with_test_sentences(corpus):
    """The splits of a corpus with some test sentences in the middle of train and of devel: "clean" leaves them out."""
    test = [s for s in corpus.splits["test"] if len("".join(s.tokens)) >= 30]
    assert len(test) > 1
    train, devel = (list(corpus.splits[name]) for name in ("train", "devel"))
    train[5:5] = test[:1]
    devel[2:2] = test[1:2]
    return corpus.splits | {"train": tuple(train), "devel": tuple(devel)}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    found = {}
    for name, kinds in (("First", ("Drug", "Gene")), ("Second", ("Gene",))):
        (folder / name).mkdir()
        found[name] = with_test_sentences(tiny_corpus(name, kinds, (24, 9, 40)))
        for split, sentences in found[name].items():
            write_split(folder / name / f"{split}.tsv", sentences)
    return folder, found


def spelled(vocabulary, chars):
    """The text of a form that the student reads as these characters."""
    return "".join(vocabulary.chars[char - 2] for char in chars if char)


def sentences_of(job, vocabulary, batches, data, knowledge):
    """The sentences of a chunk of steps, all lanes and steps one after the other."""
    labels = job.tokens.labels[0]
    for row in np.argwhere((batches.token != loop.NO_TOKEN).any(-1)):
        lane, step, _ = row
        token, starts = batches.token[tuple(row)], batches.starts[tuple(row)]
        real = np.flatnonzero(token != loop.NO_TOKEN)
        for part in np.split(real, np.flatnonzero(starts[real])[1:]):
            forms = batches.form[lane, step][batches.form_index[tuple(row)][part]]
            at = knowledge.at(token[part][None]).outputs
            assert len(set(data.labelled[token[part]])) == 1
            yield Taught(
                tuple(spelled(vocabulary, data.forms.chars[form]) for form in forms),
                tuple(labels[k] for k in data.label[token[part]]),
                bool(data.labelled[token[part][0]]),
                Outputs(*(np.asarray(x)[0] for x in at)),
            )


@pytest.fixture(scope="module", params=[("train+devel", "softmax"), ("train", "softmax"), ("train+devel+clean", "crf")])
def run(request, corpora, tmp_path_factory):
    """What students read in a whole run: by protocol, head of the teacher, and lane group."""
    protocol, head = request.param
    folder = tmp_path_factory.mktemp("own_tokens")
    (folder / "own.py").write_text(EXPERIMENT.format(head=head))
    asked: list[Any] = []
    found: list[Read] = []
    make_job, trainer = groups.make_job, loop.trainer

    def spy_on_job(sweep_data, group, specs, knowledge):
        job, vocabulary = made = make_job(sweep_data, group, specs, knowledge)
        asked[:] = [job, vocabulary]
        if knowledge is not None:
            found.append(Read(group, knowledge.transitions, []))
        return made

    def spy_on_step(*of_program):
        step = trainer(*of_program)

        def train(state, batches, shared):
            data, knowledge, _ = shared
            if knowledge is not None:
                seen = sentences_of(*asked, *jax.device_get((batches, data, knowledge)))
                found[-1].sentences.extend(seen)
                nothing = np.zeros(len(batches.task))
                return state, Sums(nothing, nothing)  # what a student would learn is not asked here
            return step(state, batches, shared)

        return train

    corpora_folder, _ = corpora
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "make_job", spy_on_job)
        patch.setattr(loop, "trainer", spy_on_step)
        asked_for = Request(
            str(folder / "own.py"),
            seeds="1",
            targets=("First",),
            data_dir=corpora_folder,
            workdir=folder / "work",
            protocol=protocol,
            assignments=(*SIZES, *LENGTH),
        )
        carry_out(asked_for)
    assert [(read.group.corpora, read.group.foreign) for read in found] == [(("First",), False), (("First",), True)]
    return protocol, found


def said_by(folder, corpus, sentences):
    """What the teacher in a folder says of sentences: outputs [N, T, ...] and, nothing ruled out, labels of each."""
    model, tagger = open_trained(folder, corpus, constrained=False)
    forms = list(dict.fromkeys(token for sentence in sentences for token in sentence))
    table = model.describe(forms, raw=False)
    form_index = np.zeros((len(sentences), LONGEST), np.int32)
    mask = np.zeros(form_index.shape, bool)
    for row, sentence in enumerate(sentences):
        form_index[row, : len(sentence)] = [forms.index(token) for token in sentence]
        mask[row, : len(sentence)] = True
    starts = ~mask
    starts[:, 0] = True
    batch = Batch(mask, starts, form_index, np.arange(len(forms)), table)
    network = {"params": {name: model.params[name] for name in ("encoder", "branch")}}
    outputs = jax.jit(tagger.apply)(network, batch, model.params["words"][table.word])
    return jax.device_get(outputs), [prediction.labels for prediction in model.label(sentences, raw=False)]


def best_path(logits, transitions):
    """The likeliest labels of a sentence, [T]: of a softmax teacher each token's own, of a CRF Viterbi's."""
    if transitions is None:
        return logits.argmax(-1)
    start, stop, pairs = map(np.asarray, transitions)
    best, before = start + logits[0], []
    for emission in logits[1:]:
        ways = best[:, None] + pairs
        before.append(ways.argmax(0))
        best = ways.max(0) + emission
    path = [int((best + stop).argmax())]
    for back in reversed(before):
        path.append(int(back[path[-1]]))
    return np.array(path[::-1])


def test_outputs_and_labels_are_the_teachers_for_that_sentence(run):
    _, found = run
    for group, transitions, sentences in found:
        (teacher,) = group.teachers
        distinct = list(dict.fromkeys(taught.tokens for taught in sentences))
        outputs, labels = said_by(teacher.folder, group.corpora[0], distinct)
        assert len(set(np.concatenate(labels))) > 2
        for tokens, tags, _, read in sentences:
            row = distinct.index(tokens)
            for ours, theirs in zip(read, outputs, strict=True):
                np.testing.assert_allclose(ours, theirs[row, : len(tags)], atol=2e-5)
            np.testing.assert_array_equal(best_path(read.logits, transitions), labels[row])


def test_sentences_are_the_protocols_and_their_tags_are_the_files(run, corpora):
    """Every sentence of the splits, none of the test split under "clean"; others come without tags."""
    protocol, found = run
    splits = protocol.removesuffix("+clean").split("+")
    for group, _, sentences in found:
        own = corpora[1][group.corpora[0]]
        test = {s.tokens for s in own["test"] if len("".join(s.tokens)) >= 30}
        others = [
            s for name, of in corpora[1].items() if name != group.corpora[0] for split in splits for s in of[split]
        ]
        mine = [s for split in splits for s in own[split] if not ("clean" in protocol and s.tokens in test)]
        assert {(t.tokens, t.tags) for t in sentences if t.labelled} == set(mine)
        foreign = {t.tokens for t in sentences if not t.labelled}
        assert foreign <= {s.tokens for s in others} - test
        assert len(foreign) > 10 if group.foreign else not foreign
