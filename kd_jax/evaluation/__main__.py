"""Judge models on a tagged file: scores by type, kinds of error, seen against unseen, side by side with a test.

  kd-jax evaluate --model=W --corpus=NCBI --test=my_abstracts.tsv
  kd-jax evaluate --model=W --corpus=NCBI --label="SM a=0.5" --test=test.tsv --train=train.tsv --errors=errors.txt
  kd-jax evaluate --model=SHIPPED,W/students/NCBI/STM-... --test=test.tsv --json=figures.json

The file is CoNLL: a token a line, its tag in the last column, an empty line between sentences. Of a work folder all
models of the corpus's tables are judged; seeds of a column are averaged, and columns are compared by the test of the
report (docs/statistics.md). Partial scores count an entity that overlaps a gold one of its type.
"""

import os
from typing import Any

from kd_jax import cli


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.paths("model", "Folders of models, or work folders.", several="comma")
    flags.path("test", "CoNLL file with gold tags.", "file")
    flags.paths("train", "CoNLL file that the models were trained on, for seen entities.", "file", several="repeat")
    flags.text("corpus", None, "Of the models below --model, those of this corpus.", "NAME")
    cli.define_choice(flags)
    flags.yes("constrained", "Rule out the tag sequences that IOB2 forbids; default: as it was scored.", default=None)
    flags.text("scheme", None, "Tag scheme of the files: IOB2, IOBES or IOB1; default: as it shows.", "SCHEME")
    flags.text("entity_type", None, "The type of bare tags B, I and O; default: the models', if they have one.", "TYPE")
    flags.path("errors", "File that gets the sentences with errors, to be read.", "file")
    flags.path("json", "File that gets all figures.", "file")


def evaluate(given: Any, _: list[str]) -> None:
    """Judge what the flags describe."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    from kd_jax.corpora.registry import warn  # noqa: PLC0415 - `--help` needs no JAX
    from kd_jax.export.judging import JudgeRequest, judge  # noqa: PLC0415
    from kd_jax.runtime.display import Coloured  # noqa: PLC0415

    judge(JudgeRequest(**{name: given[name].value for name in JudgeRequest.__dataclass_fields__}), Coloured(), warn)


COMMAND = cli.Command(__doc__ or "", define, evaluate)

if __name__ == "__main__":
    cli.run(COMMAND)
