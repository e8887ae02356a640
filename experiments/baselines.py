"""STM and MTM, with softmax and with CRF: what every table's students stand beside.

Source: section 4; the first columns of tables 1 to 7.
Run:    python -m kd_jax.main --experiment=baselines --seeds=5
"""

from kd_jax.experiment import Experiment

EXPERIMENT = Experiment(
    name="baselines",
    title="Single-task and multi-task models, softmax and CRF",
    single=("softmax", "crf"),
    multi=("softmax", "crf"),
)
