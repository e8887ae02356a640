"""Table 7: softmax students that learn from the teacher's soft labels.

Source: section 5.5, equation (5), alpha = beta = 0.5; tau is what does best on a corpus's devel, trained on its train.
Run:    python -m kd_jax.main --experiment=soft_labels --seeds=5
"""

from kd_jax.experiment import Experiment, Grid, Student, Teacher

EXPERIMENT = Experiment(
    name="soft_labels",
    table=7,
    title="Students that learn from the soft labels of one softmax teacher",
    teachers=(Teacher("softmax"),),
    students=(Student("SM soft", alpha=0.5, beta=0.5, tau=Grid(1, 2, 3, 5, 10)),),
    assignments=("distill.match=soft",),
)
