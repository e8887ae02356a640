"""The floor under a train step: what its layers have to compute and to move, counted by shapes."""

from typing import NamedTuple

from kd_jax.settings import ModelConfig

BACKWARD = 2  # of y = x W: dx = dy W' and dW = x' dy, each with as many operations as y


class BatchSize(NamedTuple):
    """How much one batch holds of everything that a layer works on.

    Attributes:
        tokens: real ones, or all places R times T to count padding too.
        steps: of the recurrence, T.
        forms: distinct forms, U.
        words: distinct words, V.
        labels: K.
    """

    tokens: int
    steps: int
    forms: int
    words: int
    labels: int


class Layer(NamedTuple):
    """What a layer's train step, forward and backward, takes at least.

    Attributes:
        name: for people.
        operations: floating-point operations of its matmuls; a multiplication and an addition are two.
        activations: bytes written forward and read backward.
        weights: bytes of parameters: read twice, gradient written, and Adam's reading and writing of all three.
        recurrent: bytes of recurrent weights that every time step reads again unless the chip holds them.
        parameters: how many there are that a step touches.
    """

    name: str
    operations: int
    activations: int
    weights: int
    recurrent: int
    parameters: int


def _layer(name: str, forward: int, kept: int, parameters: int, recurrent: int = 0, width: int = 4) -> Layer:
    """Kept: numbers of `width` bytes that forward leaves for backward; parameters and moments have 4 bytes."""
    passes = 2 * width + 4 + 4 * 6  # read forward and backward, gradient, Adam: p, m, v read and written
    # Kept twice: written by forward, read by backward.
    return Layer(name, (1 + BACKWARD) * forward, 2 * width * kept, passes * parameters, width * recurrent, parameters)


def _bilstm(name: str, inputs: int, units: int, tokens: int, steps: int, width: int) -> Layer:
    # Two directions of four gates, each with weights for input and state, and a bias.
    parameters = 2 * 4 * units * (inputs + units + 1)
    forward = 2 * tokens * 2 * 4 * units * (inputs + units)
    kept = tokens * (inputs + 2 * 6 * units)  # inputs; of each direction four gates, cell and output
    reread = 2 * steps * 2 * 4 * units * units  # both directions, forward and backward
    return _layer(name, forward, kept, parameters, reread, width)


def _dense(name: str, inputs: int, outputs: int, places: int, width: int) -> Layer:
    return _layer(name, 2 * places * inputs * outputs, places * (inputs + outputs), (inputs + 1) * outputs, width=width)


def layers(model: ModelConfig, alphabet: int, at: BatchSize, width: int = 4) -> tuple[Layer, ...]:
    """Every layer of the tagger with its share of a train step of one lane.

    Args:
        model: sizes.
        alphabet: distinct characters.
        at: of the batch.
        width: bytes of a number in compute.

    Returns:
        From the words up; elementwise arithmetic, which matmuls dwarf, is not counted.
    """
    words, chars = model.words, model.chars
    if chars.encoder == "cnn":
        # A character's response to a filter is the same wherever it stands, so it is computed once for all characters
        # of the alphabet and looked up; kept are the table, and of each form its maxima.
        responses = alphabet * chars.width * chars.units  # of every filter place to every character
        kernel = chars.units * (chars.width * chars.dim + 1)
        kept = responses + at.forms * chars.units
        encoder = _layer("characters", 2 * responses * chars.dim, kept, kernel, width=width)
    else:
        encoder = _bilstm("characters", chars.dim, chars.units // 2, at.forms * chars.longest, chars.longest, width)
    shared, task = 2 * model.shared_units, 2 * model.task_units
    trained = words.update == "trained"
    return (
        # A look-up multiplies nothing, and an update touches the batch's rows of the table alone.
        _layer("words", 0, at.words * words.dim, at.words * words.dim if trained else 0, width=width),
        encoder._replace(parameters=encoder.parameters + alphabet * chars.dim),
        _bilstm("shared BiLSTM", words.dim + chars.units, model.shared_units, at.tokens, at.steps, width),
        _bilstm("task BiLSTM", shared, model.task_units, at.tokens, at.steps, width),
        _dense("hidden", task, model.hidden_units, at.tokens, width),
        _dense("logits", model.hidden_units, at.labels, at.tokens, width),
    )


def operations(model: ModelConfig, alphabet: int, at: BatchSize) -> int:
    """Floating-point operations of the matmuls of one train step of one lane."""
    return sum(layer.operations for layer in layers(model, alphabet, at))
