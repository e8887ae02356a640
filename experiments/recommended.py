"""What this program recommends for a small tagger of one corpus, beside the models that it has to beat.

The student starts at the word vectors of its multi-task teacher and learns, beside its own labels, the teacher's soft
labels of its own sentences and of 2,000 sentences of the other corpora.

Source: Liu et al. 2019 (students of multi-task teachers); chosen by experiments/recommended_search.py on devel.
Run:    python -m kd_jax.main --experiment=recommended --seeds=5
Expect: EXPECTED
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
