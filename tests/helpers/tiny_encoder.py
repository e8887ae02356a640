"""A random BERT of a few thousand parameters in a folder, as transformers writes it; nothing is fetched."""

from collections.abc import Sequence
from pathlib import Path

import pytest

WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "gene", "##tic", "tumor", "##s", "un", "##known", "-"),
    *("0", "1", "2", "##0", "##1", "##2", *LETTERS, *(f"##{letter}" for letter in LETTERS)),
]


def tiny_encoder(folder: Path, labels: Sequence[str] = (), positions: int = 64) -> Path:
    """Write the folder, of a token classifier where labels are given; skip the test where the extra hf is missing."""
    why = "the extra hf is not installed"
    torch, transformers = pytest.importorskip("torch", reason=why), pytest.importorskip("transformers", reason=why)
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt"), do_lower_case=True).save_pretrained(folder)
    torch.manual_seed(0)
    sizes: dict[str, object] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    sizes["max_position_embeddings"] = positions
    if labels:
        sizes["id2label"] = dict(enumerate(labels))
    config = transformers.BertConfig(vocab_size=len(PIECES), hidden_size=WIDTH, **sizes, initializer_range=0.5)
    (transformers.BertForTokenClassification if labels else transformers.BertModel)(config).save_pretrained(folder)
    return folder
