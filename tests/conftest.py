"""What all tests share: strict broadcasting, several devices, and small corpora made on the spot."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

from kd_jax.settings import Chars, Model, Settings, Train, Words
from kd_jax.types import Corpus, Sentence

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)


@pytest.fixture(scope="session")
def real_corpora() -> Path:
    """The folder of real corpora that KD_JAX_CORPORA names; tests that want it are skipped without."""
    folder = os.environ.get("KD_JAX_CORPORA")
    if not folder:
        pytest.skip("KD_JAX_CORPORA names no folder of real corpora")
    return Path(folder)


def tiny_settings(**train: object) -> Settings:
    """Sizes at which a step takes milliseconds."""
    return Settings(
        model=Model(
            words=Words(dim=8),
            chars=Chars(dim=4, units=6, longest=8),
            shared_units=5,
            task_units=4,
            hidden_units=6,
            dropout=0.25,
        ),
        train=Train(**({"epochs": 2, "rows": 2, "row_length": 16} | train)),
    )


def tiny_corpus(name: str = "Tiny", kinds: tuple[str, ...] = ("Gene",), sizes: tuple[int, ...] = (24, 8, 10)) -> Corpus:
    """A corpus of random sentences in which a capital X starts an entity."""
    rng = np.random.default_rng(sum(map(ord, name)))
    names = [f"w{i}" for i in range(30)]

    def sentence() -> Sentence:
        tokens, tags = [], []
        for _ in range(int(rng.integers(1, 12))):
            if rng.random() < 0.25:
                kind = kinds[int(rng.integers(len(kinds)))]
                length = int(rng.integers(1, 3))
                tokens += [f"X{kind}{rng.integers(9)}" for _ in range(length)]
                tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 1)]
            else:
                tokens.append(names[int(rng.integers(len(names)))])
                tags.append("O")
        return Sentence(tuple(tokens), tuple(tags))

    splits = {
        split: tuple(sentence() for _ in range(n)) for split, n in zip(("train", "devel", "test"), sizes, strict=True)
    }
    return Corpus(name, splits, ("O", *(p + k for k in sorted(kinds) for p in ("B-", "I-"))))
