"""How fast a model tags text in a process of its own, as the bench starts it.

python -m kd_jax.bench.text_speed FOLDER TEXTS.json
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_jax.export.load import load
from kd_jax.runtime.files import read_json
from kd_jax.tagging.tagger import TextTagger

ALONE = 100  # texts that are tagged one by one


def text_speed(tagger: TextTagger, texts: Sequence[str]) -> dict[str, Any]:
    """From text through tokens to labels, warm, in plain JSON types.

    Args:
        tagger: of one model.
        texts: a sentence each.

    Returns:
        "tokens", cut from all texts; "tokens_per_s" of all texts together; "latencies_ms" of the first texts, each
        tagged by itself.
    """

    def tag(some: Sequence[str]) -> int:
        stream = tagger.stream(tagger.read(text) for text in some)
        return sum(
            len(prediction.labels) for tagged in stream for of_model in tagged.predictions for prediction in of_model
        )

    def clock(some: Sequence[str]) -> float:
        began = time.perf_counter()
        tag(some)
        return time.perf_counter() - began

    tokens, first = tag(texts), texts[:ALONE]
    seconds = clock(texts)
    # Alone, a text is a row of another length than among others: its program is compiled before the clock runs.
    for text in first:
        tag([text])
    return {"tokens": tokens, "tokens_per_s": tokens / seconds, "latencies_ms": [1000 * clock([t]) for t in first]}


if __name__ == "__main__":
    print(json.dumps(text_speed(load(sys.argv[1]), read_json(Path(sys.argv[2])))))
