"""Made-up results for tests of tables, tests over corpora, pictures and reports."""

import numpy as np

from kd_jax.evaluation.results import Row
from kd_jax.report import published as paper


def made_rows(number=1, corpora=None, seeds=(1, 2, 3), noise=0.4, experiment=None):
    """Rows around a published table's figures, two points below them."""
    table, rng = paper.tables()[number], np.random.default_rng(number)
    names = {number: name for name, number in paper.NUMBERS.items()}
    rows = []
    for d, corpus in enumerate(table.corpora):
        for m, label in enumerate(table.labels):
            for seed in seeds:
                f1 = round(float(table.f1[d, m] - 2 + rng.normal(0, noise)), 4)
                model = label[:3] if label[:3] in {"STM", "MTM"} else "SM"
                alpha = float(label.split("a=")[1]) if "a=" in label else 1.0
                head = "crf" if "CRF" in label else "softmax"
                rows.append(
                    Row(experiment or names[number], corpus, model, head, alpha, 1 - alpha, 0, 0, 1, seed, "test",
                        f1 + 1, f1 - 1, f1, "train+devel", 20, 100_000, 60.5, label)
                )  # fmt: skip
    return [row for row in rows if corpora is None or row.corpus in corpora]
