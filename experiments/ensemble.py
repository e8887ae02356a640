"""Table 2: softmax students that match the mean logits of softmax teachers of different seeds.

Source: section 5.2, equation (2).
Run:    python -m kd_jax.main --experiment=ensemble --seeds=5
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="ensemble",
    table=2,
    title="Students that learn from the mean logits of softmax teachers of every seed",
    teachers=(Teacher("softmax", seeds="every"),),
    students=(
        Student("SM a=0", alpha=0.0, beta=1.0),
        Student("SM a=0.5", alpha=0.5, beta=0.5),
        Student("SM a=1", alpha=1.0, beta=0.0),
    ),
)
