"""Table 1: softmax students that match the logits of one softmax multi-task teacher.

Source: section 5.1, equation (2): alpha H(y, softmax(z_s)) + beta MSE(z_s, z_t), beta = 1 - alpha.
Run:    python -m kd_jax.main --experiment=logits --seeds=5
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="logits",
    table=1,
    title="Students that learn from the logits of one softmax teacher",
    teachers=(Teacher("softmax"),),
    students=(
        Student("SM a=0", alpha=0.0, beta=1.0),
        Student("SM a=0.5", alpha=0.5, beta=0.5),
        Student("SM a=1", alpha=1.0, beta=0.0),
    ),
)
