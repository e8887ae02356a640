"""Small corpora made on the spot, and sizes at which a step takes milliseconds."""

import numpy as np

from kd_jax.settings import CharConfig, ModelConfig, Settings, TrainConfig, WordConfig
from kd_jax.structs import Corpus, Sentence


def tiny_settings(**train: object) -> Settings:
    """Sizes at which a step takes milliseconds."""
    return Settings(
        model=ModelConfig(
            words=WordConfig(dim=8),
            chars=CharConfig(dim=4, units=6, longest=8),
            shared_units=5,
            task_units=4,
            hidden_units=6,
            dropout=0.25,
        ),
        train=TrainConfig(
            **(
                {"updates": 0, "epochs": 2, "rows": 2, "row_length": 16, "learning_rate": 1e-3, "schedule": "constant"}
                | train
            )
        ),
    )


def tiny_corpus(name: str = "Tiny", kinds: tuple[str, ...] = ("Gene",), sizes: tuple[int, ...] = (24, 8, 10)) -> Corpus:
    """A corpus of random sentences in which a capital X starts an entity."""
    rng = np.random.default_rng(sum(map(ord, name)))
    names = [f"{a}{b}" for a in "aeiou" for b in "klmnpr"]

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
