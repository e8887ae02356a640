"""Knowledge distillation from multi-task teachers for biomedical named entity recognition."""

__version__ = "0.1.0"
