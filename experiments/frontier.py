"""How small a student may be: 200, 100, 50 and 25 units, and words of few numbers, with the teacher and without.

A student hears its teacher's soft labels of its own and of other corpora's sentences; beside it stands a model of the
same sizes that has gold labels alone. The teacher keeps the run's sizes.

Source: Hinton et al. 2015, section 3; Romero et al. 2015 (FitNets) for students thinner than their teacher.
Run:    python -m kd_jax.main --experiment=frontier --seeds=2
        python -m kd_jax.report runs/sample --frontier     F1 against parameters, bytes and speed, a table and a picture
Expect: docs/frontier.md
"""

from kd_jax.experiment import Experiment, Student

UNITS = (200, 100, 50, 25)


def _pair(units: int, words: int | None = None) -> tuple[Student, Student]:
    """A student of some sizes, and a model of the same sizes without a teacher."""
    size = f"{units}" if words is None else f"{units} w{words}"
    sizes = tuple(f"{name}={units}" for name in ("shared_units", "task_units", "hidden_units"))
    sizes += () if words is None else (f"words.dim={words}",)
    taught = Student(
        f"SM {size}",
        alpha=0.5,
        beta=0.5,
        foreign=True,
        assignments=(*sizes, "distill.match=soft", "distill.foreign=2000"),
    )
    return taught, Student(f"alone {size}", alpha=1.0, beta=0.0, assignments=sizes)


EXPERIMENT = Experiment(
    name="frontier",
    title="Students of 200 to 25 units, with and without the teacher",
    students=(
        *(student for units in UNITS for student in _pair(units)),
        *_pair(50, words=25),
        *_pair(25, words=10),
    ),
)
