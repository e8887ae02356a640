"""What this program recommends for a small tagger of one corpus, beside the models that it has to beat.

The student learns, beside its own labels, its multi-task teacher's soft labels of its own sentences and of 2,000
sentences of the other corpora, whose labels it never sees.

It was chosen among the candidates of experiments/recommended_search.py on devel of two real corpora; what they give,
and what each part is worth: docs/students.md.

Source: Liu et al. 2019 (students of multi-task teachers).
Run:    python -m kd_jax.main --experiment=recommended --seeds=5
Expect: on the sample, 5 seeds: STM 88.0, MTM 89.2, SM recommended 90.5 on the average; SampleMix 82.6, 86.4, 88.2.
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="recommended",
    title="The recommended student, beside its teacher and the single-task model",
    teachers=(Teacher("softmax"),),
    students=(
        Student(
            "SM recommended",
            alpha=0.5,
            beta=0.5,
            foreign=True,
            assignments=("distill.match=soft", "distill.foreign=2000"),
        ),
    ),
)
