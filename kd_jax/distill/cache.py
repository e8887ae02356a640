"""A work folder's knowledge: computed where it is missing or stale, read back where it is not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kd_jax.data.dataset import Sentences, read_tokens
from kd_jax.data.ngrams import NgramIndex, NgramVectors, extended
from kd_jax.data.pipeline import Length
from kd_jax.data.vocab import normalise
from kd_jax.distill import store
from kd_jax.distill.extract import extract, widths
from kd_jax.distill.upkeep import ARRAYS, used_now
from kd_jax.runtime.files import digest, remove_ours
from kd_jax.settings import Settings
from kd_jax.structs import Corpus, Sentence
from kd_jax.training.loop import Job
from kd_jax.training.saved_model import TrainedModel, load_model

QUERIED = "queried"  # the split that holds the sentences of a query


class TeacherQuery(NamedTuple):
    """Which outputs of a teacher are wanted.

    Attributes:
        branch: name of the corpus whose task head to use.
        corpus: name of the corpus whose sentences they are.
        content: that corpus's content hash.
        split: of that corpus.
        chosen: indices of sentences within the split; None for all.
    """

    branch: str
    corpus: str
    content: str
    split: str
    chosen: Sentences | None = None

    @property
    def name(self) -> Path:
        """Folder of these outputs among those of a teacher."""
        about = self.corpus if self.branch == self.corpus else f"{self.branch}-on-{self.corpus}"
        return Path(about) / self.split

    @property
    def stored(self) -> Path:
        """Folder of these outputs among those of one of our teachers: what is chosen of a split has its own.

        Students who are shown more and fewer of the same sentences would else replace each other's, again and again.
        """
        if self.chosen is None:
            return self.name
        return self.name.with_name(f"{self.name.name}-{digest(self.chosen.tolist())[:12]}")


def load_or_compute(
    teacher: Path,
    parameters: str,
    place: Path,
    query: TeacherQuery,
    dtype: str,
    sentences: Callable[[], Sequence[Sentence]],
    log: Callable[[str], None],
    make_room: Callable[[int], None] = lambda _: None,
    as_run: Callable[[Job], Job] = lambda job: job,
) -> store.Stored:
    """A teacher's outputs for sentences, which it need not have seen: its own vocabulary reads them.

    Args:
        teacher: folder of the trained teacher.
        parameters: checksum of its parameters.
        place: folder of the outputs.
        query: which branch, and which sentences.
        dtype: in which it is stored.
        sentences: gives the sentences; called only where something has to be computed.
        log: called with what is computed again, and why.
        make_room: called with the bytes of what is about to be stored.
        as_run: gives the program that reads the form that the run has.

    Returns:
        Outputs of the sentences' tokens in order, memory-mapped, fields [N, width], and their moments.
    """
    source = {
        "teacher": teacher.name,
        "parameters": parameters,
        "branch": query.branch,
        "corpus": query.content,
        "split": query.split,
        "sentences": "all" if query.chosen is None else digest(query.chosen.tolist()),
        "dtype": dtype,
    }
    try:
        outputs = store.read(place, source)
        used_now(place)
    except store.StaleError as reason:
        if place.exists():
            log(f"{reason}: computing these teacher outputs again")
            remove_ours(place, ARRAYS)  # else what replaces them would have to fit beside them
    else:
        return outputs
    model = load_model(teacher)
    job, params, task = reading_job(model, query.branch, sentences())
    job = as_run(job)
    chosen = job.tokens.sentences(query.branch, (QUERIED,))
    shape = (job.tokens.count(chosen), widths(job, task))
    make_room(shape[0] * sum(shape[1]) * (4 if dtype == "float32" else 2))
    store.write(place, source, shape, dtype, extract(job, params, task, chosen))
    return store.read(place, source)


def reading_job(model: TrainedModel, branch: str, sentences: Sequence[Sentence]) -> tuple[Job, Any, int]:
    """A program that reads sentences with a trained model's words and characters.

    Args:
        model: the trained model.
        branch: name of the corpus whose task head to use.
        sentences: of any corpus; their tags are not read.

    Returns:
        The program, whose tokens have the sentences as the split QUERIED of the branch's corpus; the model's
        parameters, with rows for words of the sentences whose vectors it predicts; and the branch's task.
    """
    vocabulary, params = model.vocabulary, model.params
    if "ngrams" in params:
        keys = {normalise(token, model.settings.words) for sentence in sentences for token in sentence.tokens}
        predictor = NgramVectors(NgramIndex(vocabulary.words), params["ngrams"])
        vocabulary, table = extended(vocabulary, params["words"], predictor, keys)
        params = {name: part for name, part in params.items() if name != "ngrams"} | {"words": table}
    untagged = tuple(Sentence(s.tokens, ("O",) * len(s.tokens)) for s in sentences)
    corpora = [
        Corpus(name, {QUERIED: untagged} if name == branch else {}, labels)
        for name, labels in zip(model.tasks, model.labels, strict=True)
    ]
    settings = Settings(model=model.settings)
    tokens = read_tokens(corpora, vocabulary, settings)
    job = Job(settings, tokens, (), (), Length(1), vocabulary.alphabet)
    return job, params, model.tasks.index(branch)
