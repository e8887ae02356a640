"""Settings of earlier versions, and the message for each that is still given."""

_ERRORS = "a part of distill.equations now: standardised (the default) or printed"
_FORMER = {
    "distill.logits_error": _ERRORS,
    "distill.hidden_error": _ERRORS,
    "distill.tau_squared": "a part of distill.equations now: standardised multiplies by tau^2, printed does not",
}
_FORMER_VALUES = {
    "distill.divergence=cross-entropy": "its gradient is that of kl, which trains the same model: use"
    " distill.divergence=kl, or distill.equations=printed for the paper's own term",
}


def answer(key: str, value: str) -> str | None:
    """What became of a setting or of one of its values; None where there never was one.

    Args:
        key: dotted name, or the end of one.
        value: as text.
    """
    for former, message in (_FORMER | _FORMER_VALUES).items():
        name, _, of_value = former.partition("=")
        if (name == key or name.endswith("." + key)) and of_value in {"", value}:
            return message
    return None
