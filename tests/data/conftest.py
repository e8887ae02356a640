"""The real corpora, read once for all tests of the readers."""

from pathlib import Path

import pytest

from kd_jax.data.registry import load
from kd_jax.types import Corpus


@pytest.fixture(scope="session")
def loaded(real_corpora: Path) -> dict[str, Corpus]:
    return {corpus.name: corpus for corpus in load(real_corpora)}
