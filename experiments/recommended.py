"""What this program recommends for a small tagger of one corpus, beside the models that it has to beat.

The student starts at the word vectors of its multi-task teacher and learns, beside its own labels, the teacher's soft
labels of its own sentences and of 2,000 sentences of the other corpora.

Its form was first tried on the sample with the test split in view, so the sample only shows it. What the candidates of
experiments/recommended_search.py give on devel of real corpora, and whether its parts are worth it: docs/students.md.

Source: Liu et al. 2019 (students of multi-task teachers).
Run:    python -m kd_jax.main --experiment=recommended --seeds=5
Expect: on the sample, 5 seeds: STM 87.8, MTM 86.7, SM recommended 89.7 on the average; SampleMix 81.7, 81.9, 86.7.
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
            start="words",
            assignments=("distill.match=soft", "distill.foreign=2000"),
        ),
    ),
)
