"""A work folder's knowledge: computed where it is missing or stale, read back where it is not."""

from collections.abc import Callable, Sequence
from pathlib import Path

from kd_jax.knowledge import store
from kd_jax.knowledge.extract import extract, widths
from kd_jax.training.checkpoint import describe_model, load_model
from kd_jax.training.loop import Job
from kd_jax.types import Outputs


def knowledge_of(
    teacher: Path,
    folder: Path,
    corpus: tuple[str, str],
    splits: Sequence[str],
    dtype: str,
    job: Callable[[], Job],
    say: Callable[[str], None],
) -> list[Outputs]:
    """What a teacher says about the splits of a corpus.

    Args:
        teacher: folder of the trained teacher.
        folder: of this teacher's knowledge.
        corpus: name and content hash.
        splits: in the order wanted.
        dtype: in which it is stored.
        job: gives the teacher's tokens and sizes; called only where something has to be computed.
        say: is told what is computed again, and why.

    Returns:
        Outputs of each split's tokens, memory-mapped, fields [N, width].
    """
    described = describe_model(teacher)
    name, content = corpus
    found = []
    for split in splits:
        place = folder / name / split
        source = {
            "teacher": teacher.name,
            "parameters": described["params_sha256"] if described else "",
            "corpus": content,
            "split": split,
            "dtype": dtype,
        }
        try:
            found.append(store.read(place, source))
            continue
        except store.StaleError as reason:
            if place.exists():
                say(f"{reason}: computing this knowledge again")
        of_teacher = job()
        task = of_teacher.tokens.names.index(name)
        sentences = of_teacher.tokens.sentences(name, (split,))
        shape = (of_teacher.tokens.count(sentences), widths(of_teacher, task))
        chunks = extract(of_teacher, load_model(teacher).params, task, sentences)
        store.write(place, source, shape, dtype, chunks)
        found.append(store.read(place, source))
    return found
