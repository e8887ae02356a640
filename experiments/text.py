"""How much text without labels helps a student, beside self-training on the same text.

Both learn their own sentences' labels and soft labels of as many sentences of --text; the student hears its multi-task
teacher there, self-training the single-task model. Other corpora's sentences are not shown, so that the text is all
that differs, and every column has the same number of updates.

Source: Hinton et al. 2015; Yarowsky 1995 (self-training).
Run:    python -m kd_jax.main --experiment=text --text=PATH --grid=text=0,500,2000,6000,20000 --seeds=2 --protocol=train
Expect: a table and a picture of a line each over the number of sentences; docs/teachers.md has ExPTM's.
"""

from kd_jax.experiment import Experiment, Student, Teacher

ASKED = ("distill.match=soft", "distill.foreign=0")

EXPERIMENT = Experiment(
    name="text",
    title="Text without labels: a teacher's students, and self-training",
    students=(
        Student("SM", alpha=0.5, beta=0.5, foreign=True, assignments=ASKED),
        Student(
            "self-training",
            alpha=0.5,
            beta=0.5,
            foreign=True,
            teachers=(Teacher("softmax", model="STM"),),
            assignments=ASKED,
        ),
    ),
)
