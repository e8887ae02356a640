"""Text tagging as the bench measures it, in small: its processes answer; no clock is looked at."""

import io
import json

import pytest
from helpers.tiny import tiny_corpus, tiny_settings
from rich.console import Console

import kd_jax
from kd_jax.bench import peer
from kd_jax.bench import tagging as tag_benchmark
from kd_jax.bench.measure import BenchRequest
from kd_jax.bench.tagging import compared, measure_tagging, medians, random_model, tagging_table
from kd_jax.bench.text_speed import text_speed
from kd_jax.corpora.conll import read_split, write_split

SIZES = ("words.dim=6", "chars.dim=4", "chars.units=4", "shared_units=4", "task_units=4", "hidden_units=4")


def run(p50, p95, rate):
    return {"tokens": 9, "tokens_per_s": rate, "latencies_ms": [p50] * 18 + [p95] * 3}


def test_every_token_of_every_text_is_tagged(tmp_path):
    random_model(tmp_path / "model", tiny_corpus(), tiny_settings().model)
    tagger = kd_jax.load(tmp_path / "model")
    sentences = [sentence.tokens for sentence in tiny_corpus().splits["test"]]
    found = text_speed(tagger, [" ".join(tokens) for tokens in sentences])
    assert found["tokens"] == sum(map(len, sentences))
    assert len(found["latencies_ms"]) == len(sentences)


def test_medians_over_runs_of_percentiles_within_them():
    found = medians([run(1.0, 5.0, 100.0), run(2.0, 9.0, 300.0), run(4.0, 6.0, 200.0)])
    assert (found["p50_ms"], found["p95_ms"], found["tokens_per_s"]) == (2.0, 6.0, 200.0)
    assert [of_run["p95_ms"] for of_run in found["repeats"]] == [5.0, 9.0, 6.0]


def test_each_measure_is_compared_with_the_peer_form_that_is_faster_by_it():
    ours = medians([run(2.0, 8.0, 100.0)])
    found = compared(ours, {"packed": medians([run(1.0, 4.0, 50.0)]), "padded": medians([run(2.0, 2.0, 400.0)])})
    assert found["peer"]["layout"] == {"tokens_per_s": "padded", "p50_ms": "packed", "p95_ms": "padded"}
    assert found["ratio_to_peer"] == {"tokens_per_s": 0.25, "p50_ms": 0.5, "p95_ms": 0.25}


def test_ours_and_the_peer_in_turn(tmp_path, monkeypatch):
    corpus, order = tiny_corpus(), []
    (tmp_path / "Tiny").mkdir()
    for split, sentences in corpus.splits.items():
        write_split(tmp_path / "Tiny" / f"{split}.tsv", sentences)

    def of_ours(module, cache):
        order.append("ours")
        assert json.loads((cache.parent / "texts.json").read_text())[0] == " ".join(corpus.splits["test"][0].tokens)
        return json.dumps(run(1.0, 2.0, 100.0))

    def of_peer(self, layout):
        order.append(layout)
        assert read_split(self.corpus / "test.tsv") == corpus.splits["test"]
        return run(2.0, 6.0, 50.0)

    monkeypatch.setattr(tag_benchmark, "random_model", lambda *_: None)
    monkeypatch.setattr(tag_benchmark, "open_trained", lambda *_: ())
    monkeypatch.setattr(tag_benchmark, "ship", lambda *_: None)
    monkeypatch.setattr(tag_benchmark, "fresh", of_ours)
    monkeypatch.setattr(tag_benchmark, "starts", lambda *_: {"cold": 2.0, "warm": 1.0})
    monkeypatch.setattr(peer.Peer, "tagging", of_peer)
    found = measure_tagging(BenchRequest(data_dir=tmp_path, assignments=SIZES, repeats=2, peer=True), lambda _: None)
    assert order == ["ours", "packed", "padded"] * 2
    assert found["ratio_to_peer"] == {"tokens_per_s": 2.0, "p50_ms": 2.0, "p95_ms": 3.0}
    assert json.loads(json.dumps(found)) == found
    console = Console(width=200, file=io.StringIO())
    console.print(tagging_table(found))
    told = " ".join(console.file.getvalue().split())
    assert "PyTorch, from tokens" in told
    assert "shipped model: 2.0 s cold, 1.0 s" in told


def test_the_real_peer_tags(tmp_path):
    pytest.importorskip("torch")
    for split, sentences in tiny_corpus().splits.items():
        write_split(tmp_path / f"{split}.tsv", sentences)
    sizes = ["--word_dim", "6", "--char_dim", "4", "--filters", "4", "--units", "4", "--hidden", "4"]
    told = peer.Peer(tmp_path, sizes, 1, "float32").tagging("padded")
    test = tiny_corpus().splits["test"]
    assert told["tokens"] == sum(len(sentence.tokens) for sentence in test)
    assert len(told["latencies_ms"]) == len(test)
