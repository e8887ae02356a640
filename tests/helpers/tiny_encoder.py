"""A random BERT of a few thousand parameters in a folder, as transformers writes it; nothing is fetched."""

from pathlib import Path

import pytest

WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "gene", "##tic", "tumor", "##s", "un", "##known", "-"),
    *("0", "1", "2", "##0", "##1", "##2", *LETTERS, *(f"##{letter}" for letter in LETTERS)),
]


def tiny_encoder(folder: Path) -> Path:
    """Write the folder; skip the test where the extra hf is not installed."""
    why = "the extra hf is not installed"
    torch, transformers = pytest.importorskip("torch", reason=why), pytest.importorskip("transformers", reason=why)
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 64}
    config = transformers.BertConfig(vocab_size=len(PIECES), hidden_size=WIDTH, **sizes, initializer_range=0.5)
    transformers.BertModel(config).save_pretrained(folder)
    return folder
