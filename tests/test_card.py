"""Cards say what was measured, and what the runner measured they say again."""

import io
import json

import pytest
from rich.console import Console
from test_run import SIZES
from tiny import tiny_corpus

from kd_jax.card import write_cards
from kd_jax.data.conll import write_split
from kd_jax.errors import InputError
from kd_jax.request import Request, execute


@pytest.mark.slow
def test_cards_of_a_run(tmp_path, capsys):
    corpora = tmp_path / "corpora"
    for split, sentences in tiny_corpus("First", sizes=(300, 8, 40)).splits.items():
        (corpora / "First").mkdir(parents=True, exist_ok=True)
        write_split(corpora / "First" / f"{split}.tsv", sentences)
    work = tmp_path / "work"
    asked = Request(data_dir=corpora, workdir=work, seeds="1", epochs=12, assignments=(*SIZES, "learning_rate=0.05"))
    execute(asked, Console(file=io.StringIO()))
    capsys.readouterr()
    write_cards(work, corpora, [], None)
    printed = capsys.readouterr().out
    paths = sorted(work.glob("students/First/*/card.json"))
    cards = [json.loads(path.read_text()) for path in paths]
    assert {card["label"] for card in cards} == {"STM", "SM a=0", "SM a=0.5", "SM a=1"}
    assert any(card["f1"] > 0 for card in cards)
    for card, path in zip(cards, paths, strict=True):
        assert card["f1"] == card["runner"]["f1"]
        assert card["types"]["Gene"]["support"] == card["runner"]["types"]["Gene"]["support"]
        assert len(card["agreement"]) == (card["label"] != "STM")
        assert all(0 <= share <= 1 for share in (*card["agreement"].values(), card["illegal_sentences"]))
        assert card["bytes"] == 4 * card["parameters"]
        assert path.with_suffix(".md").read_text() in printed
    (corpora / "First" / "test.tsv").write_text("a\tB-Gene\n")
    with pytest.raises(InputError, match="was trained on another First"):
        write_cards(work, corpora, [], None)


def test_no_students(tmp_path):
    with pytest.raises(InputError, match="has no students"):
        write_cards(tmp_path, None, [], None)
