"""Table 3: softmax students that match the mean logits of a softmax and of a CRF teacher.

Source: section 5.2, equation (2); a CRF's logits are its emissions.
Run:    python -m kd_jax.main --experiment=ensemble_crf --seeds=5
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="ensemble_crf",
    table=3,
    title="Students that learn from the mean logits of a softmax and a CRF teacher",
    multi=("softmax", "crf"),
    teachers=(Teacher("softmax"), Teacher("crf")),
    students=(
        Student("SM a=0", alpha=0.0, beta=1.0),
        Student("SM a=0.5", alpha=0.5, beta=0.5),
        Student("SM a=1", alpha=1.0, beta=0.0),
    ),
)
