"""The paper's comparison on all corpora that can be had, with the columns that tell where a student's gain comes from.

Students of one teacher's logits as in table 1, of three teachers' as in table 2, the recommended student
(experiments/recommended.py), and the single-task model that starts at its teacher's word vectors: what a student has of
its teacher without distillation.
The ensemble is of the teachers of seeds 1, 2 and 3 whatever seeds are run, so that seed 1 of every column can be
finished first. The design, and what was found: docs/reproduction.md.

Source: tables 1 and 2.
Run:    python -m kd_jax.main --experiment=reproduction --data_dir=DIR --seeds=3
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="reproduction",
    title="Multi-task teachers and their students on every corpus",
    teachers=(Teacher("softmax"),),
    pairs=(
        ("SM a=0.5", "STM"),
        ("SM ensemble a=0.5", "STM"),
        ("SM recommended", "STM"),
        ("STM", "MTM"),
        ("SM ensemble a=0.5", "SM a=0.5"),
    ),
    students=(
        Student("SM a=0", alpha=0.0, beta=1.0),
        Student("SM a=0.5", alpha=0.5, beta=0.5),
        Student("SM ensemble a=0.5", alpha=0.5, beta=0.5, teachers=(Teacher("softmax", seeds=(1, 2, 3)),)),
        Student("STM, teacher's words", alpha=1.0, beta=0.0, start="words"),
        Student(
            "SM recommended",
            alpha=0.5,
            beta=0.5,
            foreign=True,
            assignments=("distill.match=soft", "distill.foreign=2000"),
        ),
    ),
)
