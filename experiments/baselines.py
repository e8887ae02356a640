"""STM and MTM, with softmax and with CRF: what every table's students stand beside.

Source: section 4; the first columns of tables 1 to 7.
Run:    python -m kd_jax.main --experiment=baselines --seeds=5
Expect: on ExPTM, MTMs of 3 corpora, 1 seed (docs/students.md): STM 55.9, MTM 67.2, STM-CRF 56.6, MTM-CRF 68.4.
"""

from kd_jax.experiment import Experiment

EXPERIMENT = Experiment(
    name="baselines",
    title="Single-task and multi-task models, softmax and CRF",
    single=("softmax", "crf"),
    multi=("softmax", "crf"),
)
