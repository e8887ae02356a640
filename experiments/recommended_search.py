"""Candidates for the recommended student, to be judged on devel before a test split is looked at.

Each is a column of its own, trained on train and scored on devel with `--protocol=train`; `recommended` is the first.
All see 2,000 sentences of other corpora, and all but one start at the teacher's word vectors. STM and MTM had as many
candidates, four learning rates (docs/students.md).

Run:    python -m kd_jax.main --experiment=recommended_search --protocol=train --seeds=2
Expect: F1 on devel in each model's model.json and in metrics.jsonl; docs/students.md has those of real corpora.
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
        Student("soft a=0.5 own words", alpha=0.5, beta=0.5, foreign=True, assignments=SOFT),
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
