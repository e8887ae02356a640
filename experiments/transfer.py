"""Beyond the paper: students that also read other corpora's sentences, for which they have only the teacher's word.

The teacher's branch for a corpus can label any sentence. A student takes the cross-entropy on its own corpus and the
matching terms on its own and on the others' training sentences, so that it meets words its own corpus never shows it.
No sentence that occurs in its own test split is among them.
Run:    python -m kd_jax.main --experiment=transfer --seeds=5
"""

from kd_jax.experiment import Experiment, Student, Teacher

EXPERIMENT = Experiment(
    name="transfer",
    title="Students that learn from the teacher's logits on their own and on other corpora's sentences",
    teachers=(Teacher("softmax"),),
    students=(
        Student("SM a=0.5", alpha=0.5, beta=0.5),
        Student("SM transfer a=0", alpha=0.0, beta=1.0, foreign=True),
        Student("SM transfer a=0.5", alpha=0.5, beta=0.5, foreign=True),
    ),
)
