"""What an experiment is, how it is checked, and where it is found."""

from kd_jax.experiment.bundled import experiments, sample_corpora
from kd_jax.experiment.checks import check_experiment
from kd_jax.experiment.columns import Average, Experiment, Grid, Student, Teacher, plain_label
from kd_jax.experiment.files import check_own, load_experiment

__all__ = [
    "Average",
    "Experiment",
    "Grid",
    "Student",
    "Teacher",
    "check_experiment",
    "check_own",
    "experiments",
    "load_experiment",
    "plain_label",
    "sample_corpora",
]
