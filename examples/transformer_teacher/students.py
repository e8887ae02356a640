"""Students of a fine-tuned transformer, on their own sentences and on other corpora's, whose labels they never see.

Run:    kd-jax train --experiment=examples/transformer_teacher/students.py --protocol=train --seeds=2 ...
        (README.md beside this file has the whole way, from the encoder to a shipped student)
"""

from kd_jax.experiment import Experiment, Student, Teacher

SOFT = "distill.match=soft"

EXPERIMENT = Experiment(
    name="transformer_teacher",
    title="Students of a fine-tuned transformer",
    multi=(),
    teachers=(Teacher(external="minilm"),),
    students=(
        Student("SM own text", alpha=0.5, beta=0.5, assignments=(SOFT,)),
        Student("SM more text", alpha=0.5, beta=0.5, foreign=True, assignments=(SOFT,)),
        Student("SM more text, logits", alpha=0.5, beta=0.5, foreign=True),
    ),
)
