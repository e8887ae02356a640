"""Table 6: CRF students that match the logits of a softmax teacher.

Source: section 5.4; the CRF's negative log-likelihood takes the place of the cross-entropy in equation (2).
Run:    python -m kd_jax.main --experiment=crf_softmax --seeds=5
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="crf_softmax",
    table=6,
    title="CRF students that learn from the logits of a softmax teacher",
    head="crf",
    single=("crf",),
    multi=("crf",),
    teachers=(Teacher("softmax"),),
    students=(
        Student("SM-CRF a=0", alpha=0.0, beta=1.0),
        Student("SM-CRF a=0.5", alpha=0.5, beta=0.5),
        Student("SM-CRF a=1", alpha=1.0, beta=0.0),
    ),
)
