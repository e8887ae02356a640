"""What a reviewer asks of a student's gain: every simpler thing that might give it, with the same number of updates.

Label smoothing regularises without a teacher; the STM as its own teacher (born-again networks) is a teacher that knows
nothing new; with other corpora's sentences that is self-training. The teacher's word vectors, and all of its parameters
(fine-tuning), are what a student can have without distillation; hard labels are the teacher's word without its doubts.
The mean of the single-task models of all seeds, and that of the teachers, is what an ensemble's students are to be
measured by.

Source: Szegedy et al. 2016; Furlanello et al. 2018; Yarowsky 1995.
Run:    python -m kd_jax.main --experiment=controls --seeds=5
Expect: a column for each control beside STM and MTM.
"""

from kd_jax.experiment import Average, Experiment, Student, Teacher

ITSELF = (Teacher("softmax", model="STM"),)
SOFT = ("distill.match=soft", "distill.foreign=2000")

EXPERIMENT = Experiment(
    name="controls",
    title="Controls: what gives a student's gain without what the student has",
    teachers=(Teacher("softmax"),),
    averages=(Average("STMs averaged", model="STM"), Average("MTMs averaged")),
    students=(
        Student("label smoothing", alpha=1.0, beta=0.0, assignments=("train.label_smoothing=0.1",)),
        Student("born again", alpha=0.5, beta=0.5, teachers=ITSELF, assignments=("distill.match=soft",)),
        Student("self-training", alpha=0.5, beta=0.5, foreign=True, teachers=ITSELF, assignments=SOFT),
        Student("teacher's words", alpha=1.0, beta=0.0, start="words"),
        Student("fine-tuned MTM", alpha=1.0, beta=0.0, start="parameters"),
        Student(
            "hard labels",
            alpha=0.5,
            beta=0.5,
            foreign=True,
            assignments=("distill.match=hard", "distill.foreign=2000"),
        ),
        Student("soft labels", alpha=0.5, beta=0.5, foreign=True, assignments=SOFT),
    ),
)
