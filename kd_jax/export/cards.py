"""The cards of a work folder's students, measured here and now."""

from collections.abc import Sequence
from pathlib import Path

from kd_jax.corpora.registry import corpus_hash, load
from kd_jax.errors import InputError
from kd_jax.experiment import sample_corpora
from kd_jax.export.found import is_model
from kd_jax.export.student_card import markdown, teachers_of, write_card
from kd_jax.runtime.device import enable_compilation_cache
from kd_jax.runtime.files import kind_of
from kd_jax.training.manifest import read_manifest


def write_cards(
    workdir: Path,
    data_dir: Path | None,
    datasets: Sequence[str],
    scheme: str | None = None,
    entity_type: str | None = None,
) -> None:
    """Measure, print and write the card of every student of a work folder, or of one student.

    Args:
        workdir: with students/CORPUS/, or the folder of a student there.
        data_dir: folder of the corpora; None for the bundled sample.
        datasets: corpora whose students are wanted; none for all that have some.
        scheme: tag scheme of the files, as for `kd_jax.corpora.registry.load`.
        entity_type: of bare tags, as there.

    Raises:
        InputError: where there are no students, or a corpus isn't the one that they were trained on.
    """
    students = []
    if is_model(workdir) and workdir.absolute().parent.parent.name == "students":
        students, workdir = [workdir.absolute()], workdir.absolute().parents[2]
    elif kind_of(workdir) == "folder":
        students = sorted(path.parent for path in workdir.glob("students/*/*/model.json"))
    if not students:
        raise InputError(f"{workdir}: has no students/CORPUS/...; give the work folder of a run")
    enable_compilation_cache()
    wanted = datasets or sorted({folder.parent.name for folder in students})
    for corpus in load(data_dir or sample_corpora(), wanted, scheme, entity_type):
        teacher_tags = teachers_of(workdir, corpus)
        manifests = {
            f: manifest for f in students if f.parent.name == corpus.name and (manifest := read_manifest(f)) is not None
        }
        alike = {f for f, manifest in manifests.items() if manifest.corpora.get(corpus.name) == corpus_hash(corpus)}
        if not alike:
            other = next(iter(manifests), workdir / "students" / corpus.name)
            raise InputError(f"{other}: was trained on another {corpus.name}; give its folder with --data_dir")
        for folder, manifest in manifests.items():
            if folder not in alike:
                print(f"# {folder.name}: was trained on another {corpus.name}, its card stays as it is\n", flush=True)
            elif manifest.ok:
                # No known speeds: each student's own is measured, here and now.
                print(markdown(write_card(folder, corpus, teacher_tags, {})), flush=True)
            else:
                print(f"# {folder.name}: {manifest.status}, it has no card\n", flush=True)
