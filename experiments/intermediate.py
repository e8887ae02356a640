"""Table 4: softmax students that also match the outputs of the teacher's BiLSTMs.

Source: section 5.3. SM task is equation (3), SM task+shared equation (4). The weights of each corpus are those that do
best on its devel, trained on its train with two seeds; the chosen ones are then trained like every other model.
Run:    python -m kd_jax.main --experiment=intermediate --seeds=5
"""

from kd_jax.experiment import Experiment, Grid, Student, Teacher

EXPERIMENT = Experiment(
    name="intermediate",
    table=4,
    title="Students that learn from the teacher's logits and BiLSTM outputs",
    teachers=(Teacher("softmax"),),
    students=(
        Student("SM task", alpha=Grid(0, 0.5, 1), beta=Grid(0, 0.5, 1), gamma=Grid(0, 0.5, 1)),
        Student("SM task+shared", alpha=1.0, beta=Grid(0, 0.5, 1), gamma=Grid(0, 0.5, 1), kappa=Grid(0, 0.5, 1)),
    ),
)
