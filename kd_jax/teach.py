"""Ask a teacher that is none of ours about corpora, once, so that students can learn from it.

  kd-jax teach --from=hf:FOLDER --data_dir=DIR --datasets=NCBI --workdir=W --name=bert
  kd-jax teach --from=said.jsonl --data_dir=DIR --datasets=NCBI --splits=train --workdir=W --name=bert
  kd-jax train --experiment=FILE --data_dir=DIR --datasets=NCBI --workdir=W

FOLDER holds a token classifier of the Hugging Face library (config.json, weights in safetensors, tokenizer; extra: hf).
Nothing is fetched. A token has the logits of its first sub-word; a sentence longer than the model reads is read in
windows that overlap; a token without a sub-word teaches nothing. Labels are found by name: O, B-X, I-X in any order,
BILOU and IOBES, bare B and I where the corpus has one type; labels of types that the corpus lacks count as O.

A file (.jsonl, .npz or .safetensors) holds what any other model said: tokens, and logits, probabilities or labels, for
the sentences of --datasets and --splits in their order, compared one by one; docs/teachers.md has the formats.

What it says is stored below W/external, and an experiment's file names it:

  EXPERIMENT = Experiment(name="from_bert", title="Students of a BERT", multi=(),
      teachers=(Teacher(external="bert"),), students=(Student("SM", alpha=1.0, beta=1.0),))

--on=ExPTM asks about other corpora's sentences too, and --text=PATH about text, for students with foreign=True. --test
also says how well the teacher does on test, of which nothing is stored.
"""

from typing import Any

from kd_jax import cli

NAMES = (
    "name",
    "data_dir",
    "datasets",
    "scheme",
    "entity_type",
    "splits",
    "on",
    "text",
    "text_sentences",
    "test",
    "workdir",
)


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.text("from", None, "The teacher: hf: and its folder, or a file.", "hf:FOLDER|FILE")
    flags.text("name", None, "What experiments call it; default: the folder's or file's name.", "NAME")
    flags.path("data_dir", "Folder of corpora, one folder each; default: the bundled sample.")
    flags.words("datasets", None, "Corpora, by the paper's names or their folders' names; default: all.")
    cli.define_notation(flags)
    flags.words("splits", ("train", "devel"), "Splits that it is asked about.", "SPLIT")
    flags.words("on", [], "Other corpora whose sentences it is asked about, in the labels of each of --datasets.")
    flags.path("text", "Text without labels that it is asked about, as --text of kd-jax train.", "any")
    flags.whole("text_sentences", 20_000, "Sentences of it, a random sample, as the setting distill.text.")
    flags.yes("test", "Also say how well it does on test; nothing of that is stored.")
    flags.path("workdir", "Work folder of the students; default: runs/ and the name of --data_dir.")


def teach(given: Any, _: list[str]) -> None:
    """Ask as the flags describe."""
    from rich.console import Console  # noqa: PLC0415 - `--help` answers at once

    from kd_jax.distill.make_knowledge import TeachRequest, make_knowledge  # noqa: PLC0415

    fields: dict[str, Any] = {name: given[name].value for name in NAMES}
    fields["teacher"] = given["from"].value  # given.from would be a syntax error
    print(make_knowledge(TeachRequest(**fields), Console(stderr=True)))


COMMAND = cli.Command(__doc__ or "", define, teach, interrupted="interrupted; what was stored before stays")

if __name__ == "__main__":
    cli.run(COMMAND)
