"""Candidates for the recommended student, to be judged on devel and not on test.

Each is a column of its own, trained on train and scored on devel with `--protocol=train`; `recommended` is the first.
All see 2,000 sentences of other corpora. There are four beside alpha, which is looked at for the best of them; STM and
MTM had as many, four learning rates (docs/students.md).

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
        *(
            Student(f"soft a={alpha:g}", alpha=alpha, beta=1 - alpha, foreign=True, assignments=SOFT)
            for alpha in (0.5, 0.25, 0.0)
        ),
        Student("soft a=0.5 words", alpha=0.5, beta=0.5, foreign=True, start="words", assignments=SOFT),
        Student("logits a=0.5 words", alpha=0.5, beta=0.5, foreign=True, start="words", assignments=LOGITS),
        Student(
            "soft a=0.5 words ensemble",
            alpha=0.5,
            beta=0.5,
            foreign=True,
            start="words",
            teachers=(Teacher("softmax", seeds="every"),),
            assignments=SOFT,
        ),
    ),
)
