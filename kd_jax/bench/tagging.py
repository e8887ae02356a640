"""Text tagging from end to end as the bench measures it: tokens a second, latency, start-up, and the peer in turn.

The model has random weights, the sizes of the settings and the vocabulary of the first corpus; its test sentences are
the text, tokens with blanks between. The peer is given their tokens, so that it has less to do than ours.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.table import Table

from kd_jax.bench.measure import BenchRequest, peer_dtype, peer_sizes, read_corpora, settings_for
from kd_jax.bench.peer import Peer
from kd_jax.bench.start import fresh
from kd_jax.corpora.conll import write_split
from kd_jax.data.vocab import build_vocabulary
from kd_jax.export.shipping import ship
from kd_jax.export.trained import open_trained
from kd_jax.models.tagger import Tagger, init_params
from kd_jax.settings import ModelConfig
from kd_jax.structs import Corpus
from kd_jax.training.saved_model import TrainedModel, save_model

SENTENCES = 1000  # at most
FORMS = ("packed", "padded")  # of the peer's batches
MEASURES = ("tokens_per_s", "p50_ms", "p95_ms")


def measure_tagging(request: BenchRequest, log: Callable[[str], None]) -> dict[str, Any]:
    """Measure how text is tagged, in the first dtype that was asked for.

    Args:
        request: the flags, as `kd_jax.bench.measure.measure` has checked them.
        log: called with what is going on.

    Returns:
        Plain JSON types: "ours"; with starts, "starts_s" of each kind of folder; with the peer, "peer", by each measure
        the better of its forms of batch, and "ratio_to_peer", above 1 where ours is faster.

    Raises:
        InputError: where a process fails.
    """
    dtype = request.dtypes[0]
    settings, corpus = settings_for(request, dtype), read_corpora(request)[0]
    sentences = corpus.splits["test"][:SENTENCES]
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        folders = {"trained": room / "trained", "shipped": room / "shipped"}
        # Speed depends on sizes, not on weights, so nothing is trained for it.
        random_model(folders["trained"], corpus, settings.model)
        ship(*open_trained(folders["trained"], None, None), folders["shipped"], "float32")
        texts = [" ".join(sentence.tokens) for sentence in sentences]
        (room / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        measured: dict[str, Any] = {"sentences": len(texts), "dtype": dtype}
        if request.starts:
            log("fresh starts of kd_jax.tag")
            text = sorted(texts, key=len)[len(texts) // 2]
            measured["starts_s"] = {
                kind: starts(folder, text, room / f"cache-{kind}") for kind, folder in folders.items()
            }
        if request.peer:
            theirs = Peer(_written(room / "corpus", corpus, len(texts)), peer_sizes(settings), 1, peer_dtype(dtype))
        ours: list[dict[str, Any]] = []
        forms: dict[str, list[dict[str, Any]]] = {form: [] for form in FORMS if request.peer}
        for number in range(request.repeats):
            log(f"tagging text, repeat {number + 1} of {request.repeats}")
            module = ["kd_jax.bench.text_speed", str(folders["shipped"]), str(room / "texts.json")]
            ours.append(json.loads(fresh(module, room / "cache-shipped").splitlines()[-1]))
            for form, runs in forms.items():
                runs.append(theirs.tagging(form))
    measured |= {"tokens": ours[0]["tokens"], "ours": medians(ours)}
    if forms:
        measured |= compared(measured["ours"], {form: medians(runs) for form, runs in forms.items()})
    return measured


def random_model(folder: Path, corpus: Corpus, model: ModelConfig) -> None:
    """Save a softmax model of random weights as training would."""
    vocabulary = build_vocabulary(corpus.splits["train"], model.words)
    tagger = Tagger(model, vocabulary.alphabet, len(corpus.labels))
    params = jax.jit(init_params, static_argnums=(0, 2, 3))(tagger, jax.random.key(0), 1, len(vocabulary.words) + 1)
    trained = TrainedModel({}, model, (corpus.name,), (corpus.labels,), vocabulary, jax.tree.map(np.asarray, params))
    save_model(folder, trained, {})


def starts(folder: Path, text: str, cache: Path) -> dict[str, float]:
    """Seconds from the beginning to the end of a process that tags a text: "cold", then "warm", with what it compiled.

    Args:
        folder: of the model.
        text: to tag.
        cache: folder of compiled programs that isn't there yet.
    """
    seconds = {}
    for kind in ("cold", "warm"):
        began = time.perf_counter()
        fresh(["kd_jax.tag", f"--model={folder}", f"--text={text}"], cache)
        seconds[kind] = time.perf_counter() - began
    return seconds


def _written(folder: Path, corpus: Corpus, sentences: int) -> Path:
    """What the peer reads: a corpus's training sentences and the first of its test sentences."""
    folder.mkdir()
    write_split(folder / "train.tsv", corpus.splits["train"])
    write_split(folder / "test.tsv", corpus.splits["test"][:sentences])
    return folder


def medians(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over runs of the tokens a second and of each run's percentiles of latency, with those of each run."""
    each = []
    for run in runs:
        p50, p95 = np.percentile(run["latencies_ms"], [50, 95])
        each.append({"tokens_per_s": run["tokens_per_s"], "p50_ms": float(p50), "p95_ms": float(p95)})
    return {name: statistics.median(run[name] for run in each) for name in MEASURES} | {"repeats": each}


def compared(ours: Mapping[str, Any], forms: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The peer's faster form of batch by each measure, and how much faster ours is.

    Args:
        ours: medians.
        forms: the peer's medians with each form of batch.
    """
    best = {
        name: max(forms, key=lambda form: forms[form][name] * (1 if name == "tokens_per_s" else -1))
        for name in MEASURES
    }
    peer = {name: forms[form][name] for name, form in best.items()}
    ratio = {name: ours[name] / peer[name] if name == "tokens_per_s" else peer[name] / ours[name] for name in MEASURES}
    return {"peer": peer | {"layout": best, "forms": dict(forms)}, "ratio_to_peer": ratio}


def tagging_table(measured: Mapping[str, Any]) -> Table:
    """What was measured, for people.

    Args:
        measured: as `measure_tagging` gives it.
    """
    caption = f"{measured['sentences']:,} sentences, {measured['tokens']:,} tokens; one sentence in a warm process"
    for kind, of_kind in measured.get("starts_s", {}).items():
        caption += (
            f"; kd_jax.tag of a {kind} model: {of_kind['cold']:.1f} s cold, {of_kind['warm']:.1f} s compiled before"
        )
    table = Table(title="Tagging text, medians", caption=caption)
    for column in ("", "tokens/s", "p50", "p95"):
        table.add_column(column, justify="right")
    rows = {"ours, from text": measured["ours"]}
    if "peer" in measured:
        rows["PyTorch, from tokens"] = measured["peer"]
    for name, row in rows.items():
        table.add_row(name, f"{row['tokens_per_s']:,.0f}", f"{row['p50_ms']:.1f} ms", f"{row['p95_ms']:.1f} ms")
    if "peer" in measured:
        table.add_row("times as fast", *(f"{measured['ratio_to_peer'][name]:.2f}" for name in MEASURES))
    return table
