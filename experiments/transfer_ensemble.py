"""Beyond the paper: `transfer` with the mean logits of the teachers of every seed.

Run:    python -m kd_jax.main --experiment=transfer_ensemble --seeds=5
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="transfer_ensemble",
    title="Students that learn from the mean logits of several teachers on their own and on other corpora's sentences",
    teachers=(Teacher("softmax", seeds="every"),),
    students=(
        Student("SM a=0.5", alpha=0.5, beta=0.5),
        Student("SM transfer a=0.5", alpha=0.5, beta=0.5, foreign=True),
    ),
)
