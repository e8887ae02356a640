"""Knowledge distillation from multi-task teachers for biomedical named entity recognition."""
