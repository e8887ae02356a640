"""The candidates from which `recommended` was chosen, written down before a test split was looked at.

Each is a column of its own, trained on train and scored on devel with `--protocol=train`; `recommended` is
one of them. All start at the teacher's word vectors and see 2,000 sentences of other corpora.

Run:    python -m kd_jax.main --experiment=recommended_search --protocol=train --seeds=2
Expect: F1 on devel in each model's model.json; on the sample, 2 seeds, means over corpora: STM 88.9, soft a=0.5 92.1,
        soft a=0 92.3, logits a=0.5 91.2, soft a=0.5 ensemble 92.9.
"""

from kd_jax.experiment import Experiment, Student, Teacher

SOFT, LOGITS = (("distill.foreign=2000", f"distill.match={match}") for match in ("soft", "mse"))

EXPERIMENT = Experiment(
    name="recommended_search",
    title="Candidates for the recommended student",
    teachers=(Teacher("softmax"),),
    students=(
        Student("soft a=0.5", alpha=0.5, beta=0.5, foreign=True, start="words", assignments=SOFT),
        Student("soft a=0", alpha=0.0, beta=1.0, foreign=True, start="words", assignments=SOFT),
        Student("logits a=0.5", alpha=0.5, beta=0.5, foreign=True, start="words", assignments=LOGITS),
        Student(
            "soft a=0.5 ensemble",
            alpha=0.5,
            beta=0.5,
            foreign=True,
            start="words",
            teachers=(Teacher("softmax", seeds="every"),),
            assignments=SOFT,
        ),
    ),
)
