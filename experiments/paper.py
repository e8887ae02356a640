"""All seven tables, sharing every model and every knowledge array that two of them need.

Source: section 5.
Run:    python -m kd_jax.main --experiment=paper --seeds=5
"""

from kd_jax.experiment import Experiment

EXPERIMENT = Experiment(
    name="paper",
    title="All seven tables",
    parts=("logits", "ensemble", "ensemble_crf", "intermediate", "crf", "crf_softmax", "soft_labels"),
)
