"""A plain PyTorch BiLSTM tagger of kd_jax's architecture, to compare speed and F1 with. It imports nothing of kd_jax.

Words (random, trained) and a character CNN; a shared BiLSTM, a task BiLSTM, a tanh layer, softmax. What makes it a fair
peer: nn.LSTM over packed sequences (cuDNN on a GPU), so no padding is computed anywhere but in the character CNN, which
reads each distinct form of a batch once and no further than its longest; fused Adam; index arrays made in advance.
`--layout padded --pool 16` is its other form, which oneDNN's LSTM can make faster on a CPU: padded batches of sentences
of similar length.

    python benchmarks/torch_peer.py train --corpus DIR --epochs 12 --seed 1
    python benchmarks/torch_peer.py speed --corpus DIR --batch_sentences 32 --steps 20
    python benchmarks/torch_peer.py tag --corpus DIR

The last line of each is one JSON object.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence
from torch_peer_text import PADDING, TAG_TOKENS, UNKNOWN, Batch, Sentence, Split, Text, read_sentences

ALONE = 100  # sentences that are tagged one by one


class PackedBiLSTM(nn.LSTM):
    """A BiLSTM over packed sequences."""

    def forward(self, x: Tensor, sizes: Tensor) -> Tensor:
        """Tokens in packed order, [N, D] to [N, 2H]."""
        return super().forward(PackedSequence(x, sizes))[0].data


class PaddedBiLSTM(nn.Module):
    """The same over padded sequences, each read backwards from its own end."""

    def __init__(self, inputs: int, units: int) -> None:
        """One nn.LSTM a direction."""
        super().__init__()
        self.ahead, self.back = nn.LSTM(inputs, units), nn.LSTM(inputs, units)

    def forward(self, x: Tensor, sizes: Tensor) -> Tensor:
        """Tokens in packed order, [N, D] to [N, 2H]."""
        sizes = sizes.to(x.device)
        time, row = torch.meshgrid(torch.arange(len(sizes)), torch.arange(int(sizes[0])), indexing="ij")
        time, row = time.to(x.device), row.to(x.device)
        real = row < sizes[:, None]
        flipped = torch.where(real, real.sum(0) - 1 - time, time), row
        padded = x.new_zeros(*real.shape, x.shape[1])
        padded[real] = x
        return torch.cat([self.ahead(padded)[0], self.back(padded[flipped])[0][flipped]], 2)[real]


class Tagger(nn.Module):
    """Words and characters, shared BiLSTM, task BiLSTM, hidden layer, logits."""

    def __init__(self, text: Text, args: argparse.Namespace) -> None:
        """Random parameters of the sizes in `args`."""
        super().__init__()
        self.words = nn.Embedding(len(text.words) + 1, args.word_dim)
        self.chars = nn.Embedding(len(text.alphabet) + 2, args.char_dim)
        for table in (self.words, self.chars):
            bound = (3 / table.embedding_dim) ** 0.5
            nn.init.uniform_(table.weight, -bound, bound)
        self.filters = nn.Conv1d(args.char_dim, args.filters, 3, padding=1)
        widths = args.word_dim + args.filters, 2 * args.units  # of the shared and the task BiLSTM's inputs
        self.bilstms = nn.ModuleList(
            PaddedBiLSTM(d, args.units) if args.layout == "padded" else PackedBiLSTM(d, args.units, bidirectional=True)
            for d in widths
        )
        self.hidden = nn.Linear(2 * args.units, args.hidden)
        self.logits = nn.Linear(args.hidden, len(text.labels))
        self.dropout = nn.Dropout(args.dropout)
        self.unknown_rate = args.unknown_rate

    def forward(self, batch: Batch) -> Tensor:
        """Logits of the batch's tokens, [N, K]."""
        word = batch.word[batch.form_index]
        if self.training:
            unknown = batch.single[batch.form_index] & (torch.rand(word.shape, device=word.device) < self.unknown_rate)
            word = word.masked_fill(unknown, UNKNOWN)
        padding = (batch.chars == PADDING)[:, None]
        chars = self.chars(batch.chars).transpose(1, 2).masked_fill(padding, 0)
        chars = self.filters(chars).masked_fill(padding, -1e4).amax(2)
        x = torch.cat([self.words(word), chars[batch.form_index]], 1)
        for bilstm in self.bilstms:
            x = bilstm(self.dropout(x), batch.sizes)
        return self.logits(torch.tanh(self.hidden(self.dropout(x))))


class Trainer:
    """A tagger, its optimiser and its arithmetic."""

    def __init__(self, text: Text, args: argparse.Namespace, device: torch.device) -> None:
        """Seeded parameters; Adam, fused."""
        torch.manual_seed(args.seed)
        self.tagger = Tagger(text, args).to(device)
        self.adam = torch.optim.Adam(self.tagger.parameters(), lr=args.learning_rate, fused=True)
        self.clip = args.clip
        half = args.dtype == "bfloat16"
        self.autocast = torch.autocast(device.type, torch.bfloat16, enabled=half)

    def step(self, batch: Batch) -> Tensor:
        """One update; the batch's mean loss, left on the device."""
        self.tagger.train()
        with self.autocast:
            logits = self.tagger(batch)
        loss = functional.cross_entropy(logits.float(), batch.label)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.tagger.parameters(), self.clip, foreach=True)
        self.adam.step()
        return loss.detach()

    @torch.inference_mode()
    def tag(self, batches: Iterable[Batch]) -> list[Tensor]:
        """Best labels of each batch's tokens, left on the device."""
        self.tagger.eval()
        with self.autocast:
            return [self.tagger(batch).argmax(1) for batch in batches]

    def decay(self, rate: float) -> None:
        """Set the learning rate."""
        for group in self.adam.param_groups:
            group["lr"] = rate


def score(trainer: Trainer, split: Split, text: Text) -> dict[str, float]:
    """Strict IOB2 entity scores in percent, by seqeval."""
    batches = split.in_order_of_length()
    best = np.zeros(len(split.form), int)
    for batch, labels in zip(batches, trainer.tag(batches), strict=True):
        best[batch.token] = labels.cpu().numpy()
    names = np.array(text.labels)[best]
    predicted = [list(map(str, names[o : o + n])) for o, n in zip(split.offsets, split.lengths, strict=True)]
    gold = [tags for _, tags in split.sentences]
    kinds = {"precision": precision_score, "recall": recall_score, "f1": f1_score}
    return {k: 100 * f(gold, predicted, mode="strict", scheme=IOB2, zero_division=0) for k, f in kinds.items()}


def train(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Train, print loss and F1 an epoch, and say what came out.

    With --protocol train the epoch with the best devel F1 counts, otherwise the last.
    """
    splits = {name: read_sentences(args.corpus / f"{name}.tsv") for name in ("train", "devel", "test")}
    if args.protocol == "train+devel":
        splits["train"] += splits.pop("devel")
    text = Text(splits["train"], args.longest)
    data = {name: Split(sentences, text, device) for name, sentences in splits.items()}
    trainer, rng = Trainer(text, args, device), np.random.default_rng(args.seed)
    scored = [name for name in ("devel", "test") if name in data]
    best: dict[str, Any] = {}
    spent, step = 0.0, 0
    for epoch in range(1, args.epochs + 1):
        begun = time.perf_counter()
        batches, losses = data["train"].epoch(rng, args), []
        for batch in batches:
            if args.schedule == "linear":
                trainer.decay(args.learning_rate * (1 - step / (args.epochs * len(batches))))
            losses.append(trainer.step(batch) * len(batch.token))
            step += 1
        loss = float(torch.stack(losses).sum()) / len(data["train"].form)
        seconds = time.perf_counter() - begun
        spent += seconds
        line = f"epoch {epoch} loss {loss:.4f} {len(data['train'].form) / seconds:.0f} tokens/s"
        last = epoch == args.epochs
        if last or args.protocol == "train" or (args.score_every and epoch % args.score_every == 0):
            scores = {name: score(trainer, data[name], text) for name in scored}
            line += "".join(f" {name} F1 {scores[name]['f1']:.2f}" for name in scored)
            devel = scores.get("devel", {"f1": 0.0})["f1"]
            if args.protocol == "train+devel" or devel > best.get("devel_f1", -1.0):
                best = {"epoch": epoch, **scores["test"]}
                if "devel" in scores:
                    best["devel_f1"] = devel
        print(line, flush=True)
    return {**best, "tokens_per_s": args.epochs * len(data["train"].form) / spent, "seconds": spent}


def speed(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Real tokens/s of full train steps and of tagging; median over repeats, all of them listed."""
    sentences = read_sentences(args.corpus / "train.tsv")
    text = Text(sentences, args.longest)
    data, rng = Split(sentences, text, device), np.random.default_rng(args.seed)
    trainer = Trainer(text, args, device)
    wanted = args.warmup + args.steps
    batches: list[Batch] = []
    while len(batches) < wanted:
        batches += data.epoch(rng, args)[: wanted - len(batches)]
    tagged = data.in_order_of_length()[:: max(1, len(data.form) // (8 * TAG_TOKENS))]
    for batch in batches[: args.warmup]:
        trainer.step(batch)
    trainer.tag(tagged[:1])
    timed = batches[args.warmup :]
    tokens = sum(len(batch.token) for batch in timed)
    rates, tag_rates = [], []
    for _ in range(args.repeats):
        rates.append(tokens / clock(lambda: [trainer.step(batch) for batch in timed], device))
        tag_rates.append(sum(len(b.token) for b in tagged) / clock(lambda: trainer.tag(tagged), device))
    return {
        "tokens_per_s": statistics.median(rates),
        "tag_tokens_per_s": statistics.median(tag_rates),
        "tokens_per_s_repeats": rates,
        "tag_tokens_per_s_repeats": tag_rates,
        "tokens_a_step": tokens / len(timed),
        "steps": args.steps,
        "peak_gpu_bytes": torch.cuda.max_memory_allocated() if device.type == "cuda" else None,
    }


def tag(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Tokens of test.tsv to labels in host memory, looking them up included: all together, and sentence by sentence."""
    text, sentences = (
        Text(read_sentences(args.corpus / "train.tsv"), args.longest),
        read_sentences(args.corpus / "test.tsv"),
    )
    trainer = Trainer(text, args, device)

    def label(some: list[Sentence]) -> list[np.ndarray]:
        return [labels.cpu().numpy() for labels in trainer.tag(Split(some, text, device).in_order_of_length())]

    first = sentences[:ALONE]
    tokens = sum(map(len, label(sentences)))
    seconds = clock(lambda: label(sentences), device)
    for sentence in first:
        label([sentence])
    return {
        "tokens": tokens,
        "tokens_per_s": tokens / seconds,
        "latencies_ms": [1000 * clock(lambda one=sentence: label([one]), device) for sentence in first],
    }


def clock(work: Any, device: torch.device) -> float:
    """Seconds that the work takes, to the end of what it started on a GPU."""
    begun = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments; defaults are the sizes of kd_jax on real corpora."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mode", choices=["train", "speed", "tag"])
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train.tsv, devel.tsv, test.tsv")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto", help="auto takes a GPU if there is one")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves it to PyTorch")
    parser.add_argument("--dtype", choices=["float32", "tf32", "bfloat16"], default="float32", help="of matmuls")
    parser.add_argument("--batch_sentences", type=int, default=32)
    parser.add_argument("--tokens_per_step", type=int, default=0, help="above 0, in place of --batch_sentences")
    parser.add_argument("--layout", choices=["packed", "padded"], default="packed", help="of nn.LSTM's sequences")
    parser.add_argument("--pool", type=int, default=1, help="batches whose sentences are sorted by length together")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--protocol", choices=["train+devel", "train"], default="train+devel")
    parser.add_argument("--score_every", type=int, default=1, help="epochs; 0 scores the last one only")
    parser.add_argument("--schedule", choices=["linear", "constant"], default="constant", help="linear falls to 0")
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--clip", type=float, default=5.0)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--unknown_rate", type=float, default=0.5)
    parser.add_argument("--word_dim", type=int, default=200)
    parser.add_argument("--char_dim", type=int, default=30)
    parser.add_argument("--filters", type=int, default=50)
    parser.add_argument("--longest", type=int, default=24, help="characters read of a word")
    parser.add_argument("--units", type=int, default=200, help="of one direction of either BiLSTM")
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--steps", type=int, default=20, help="timed steps of one repeat (speed)")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args(argv)
    wanted = {"train": ("train", "devel", "test"), "speed": ("train",), "tag": ("train", "test")}
    for name in wanted[args.mode]:
        if not (args.corpus / f"{name}.tsv").is_file():
            parser.error(f"{args.corpus / name}.tsv: no such file")
    for name in ("batch_sentences", "pool", "epochs", "steps", "repeats"):
        if getattr(args, name) < 1:
            parser.error(f"--{name}={getattr(args, name)}: must be 1 or more")
    return args


def main(argv: list[str]) -> None:
    """Run one mode and print its JSON."""
    args = parse(argv)
    name = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    device = torch.device(name)
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.dtype == "tf32"
    result = {"train": train, "speed": speed, "tag": tag}[args.mode](args, device)
    about = {
        "mode": args.mode,
        "corpus": args.corpus.name,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "settings": {k: v for k, v in vars(args).items() if k not in {"mode", "corpus", "device", "threads"}},
    }
    print(json.dumps({**about, **result}))


if __name__ == "__main__":
    main(sys.argv[1:])
