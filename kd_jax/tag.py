"""Tag text with trained or shipped models.

  kd-jax tag --model=W --corpus=NCBI --best --text="p53 mutations in colorectal cancer"
  kd-jax tag --model=GENES,DISEASES --format=jsonl abstracts.txt > entities.jsonl
  kd-jax tag --model=W/teachers/MTM-... --task=BC2GM,NCBI --text="BRCA1 and breast cancer"
  kd-jax tag --model=SHIPPED --format=brat --out=annotated folder/

Files, folders and - (standard input) are read as text, CoNLL (one token a line) or JSONL (objects with a text), as
their endings (.txt, .tsv .conll .iob, .jsonl) or --input say; where nothing is named, standard input is. Memory does
not grow with the input; no sentence is cut. Several models tag in one pass. An entity's score is the least probability
among its tokens' labels.
"""

import os
from typing import Any

from kd_jax import cli


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.paths("model", "Folders of models, or work folders; several models tag in one pass.", several="comma")
    flags.words("corpus", [], "Of the models below --model, those of these corpora.")
    cli.define_choice(flags)
    flags.words("task", [], "Of a model of several corpora, those whose entities are wanted.")
    flags.text("text", None, "A text to tag, in place of files.")
    flags.choice("input", None, ("text", "conll", "jsonl"), "What the input is; default: what file names end in.")
    flags.choice("record", "line", ("line", "paragraph"), "What of running text is tagged as a whole.")
    flags.choice("format", "terminal", ("terminal", "conll", "jsonl", "brat"), "What is written.")
    flags.path("out", "File that gets it, for brat a folder; default: standard output.", "any", dash=True)
    flags.number("min_score", 0.0, "Leave out entities of a lower score.", 0, 1)
    flags.yes("constrained", "Rule out the tag sequences that IOB2 forbids; default: as it was scored.", default=None)


def tag(given: Any, words: list[str]) -> None:
    """Tag what the flags describe."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from kd_jax.export.tag_files import TagRequest, tag_files  # noqa: PLC0415 - `--help` needs no JAX

    names = [cli.path(word, "any", dash=True) for word in words]
    flags = {name: given[name].value for name in TagRequest.__dataclass_fields__ if name != "names"}
    tag_files(TagRequest(names=names, **flags))


COMMAND = cli.Command(__doc__ or "", define, tag, words="[FILE|FOLDER|- ...]")

if __name__ == "__main__":
    cli.run(COMMAND)
