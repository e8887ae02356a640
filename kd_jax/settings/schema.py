"""Everything that can be set, as frozen dataclasses."""

from dataclasses import dataclass
from typing import Literal

Head = Literal["softmax", "crf"]
Compute = Literal["float32", "bfloat16"]
Divergence = Literal["kl", "reverse-kl", "jensen-shannon"]


@dataclass(frozen=True)
class WordConfig:
    """How word forms become vectors.

    Attributes:
        dim: size of a word vector, D.
        vectors: path of pretrained vectors, or "" for random ones.
        update: "trained" (rows of the words in a batch are updated) or "frozen".
        train_after: epochs that the vectors stay as they are before they are trained; 0 trains them from the start.
        unseen: words that training did not have: "unknown" (one vector for all of them) or "ngrams" (what their
            characters' n-grams say, fitted to the trained words' vectors at the end of training).
        least_coverage: share of the corpora's different words, 0 to 1, that pretrained vectors must cover; does
            not affect the model.
        lowercase: look words up in lower case; characters keep the original form.
        zero_digits: look words up with every digit read as 0.
    """

    dim: int = 200
    vectors: str = ""
    update: Literal["trained", "frozen"] = "trained"
    train_after: int = 0
    unseen: Literal["unknown", "ngrams"] = "unknown"
    least_coverage: float = 0.0
    lowercase: bool = True
    zero_digits: bool = True


@dataclass(frozen=True)
class CharConfig:
    """How a word's characters become a vector.

    Attributes:
        encoder: "cnn" (filters with max pooling) or "bilstm" (last states of both directions).
        dim: size of a character vector.
        units: size of a word's character vector: CNN filters, or LSTM units of both directions together.
        width: width of a filter in characters, odd.
        longest: characters read of one word; of a longer one, its first and last halves.
    """

    encoder: Literal["cnn", "bilstm"] = "cnn"
    dim: int = 30
    units: int = 50
    width: int = 3
    longest: int = 24


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the tagger; LSTM units are for one direction.

    Attributes:
        words: the word vectors.
        chars: the character encoder.
        shared_units: units a direction of the shared BiLSTM.
        task_units: units a direction of the task-specific BiLSTM.
        hidden_units: units of the hidden layer before the logits.
        dropout: rate before each BiLSTM and before the hidden layer, in steps of 1/256.
        constrained: whether tag sequences that IOB2 forbids are ruled out in decoding; affects no
            model but through the epoch that devel chooses under protocol train.
        compute: what factors of matrix products are rounded to. Sums, parameters, states, softmax, CRF and losses are
            float32.
    """

    words: WordConfig = WordConfig()
    chars: CharConfig = CharConfig()
    shared_units: int = 200
    task_units: int = 200
    hidden_units: int = 200
    dropout: float = 0.5
    constrained: bool = True
    compute: Compute = "float32"


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation and batches.

    Attributes:
        updates: steps of the optimiser of every model, so that all columns of a table have the same number; 0 to count
            in epochs.
        teacher_updates: steps of the multi-task teacher; 0 means as many as updates.
        epochs: passes over the training sentences of an STM or a student; given without updates, in their place.
        teacher_epochs: passes over all corpora of the multi-task teacher; 0 means as many as epochs.
        tuning_epochs: passes of the short runs that choose weights on devel; 0 means as many as epochs.
        tuning_updates: steps of those runs where steps are counted; 0 means as many as updates.
        rows: rows of one batch, R.
        row_length: tokens of one row, T; longer sentences get rows of their own.
        own_share: share of a batch's rows that hold the student's own sentences where it is shown others too, 0 to 1.
        learning_rate: Adam's step size at its highest.
        teacher_learning_rate: that of the multi-task teacher; 0 means learning_rate.
        schedule: "constant", "linear" (to 0) or "cosine" (to 0) over the whole run.
        label_smoothing: share of a gold label's weight that is spread over all labels, 0 to 1.
        clip_norm: the global norm that gradients are clipped to.
        unknown_rate: rate at which a word seen once in training is read as unknown.
        sampling: how often the teacher visits a corpus of n batches: "proportional" to n, to its "sqrt", or "uniform".
    """

    updates: int = 1500
    teacher_updates: int = 0
    epochs: int = 20
    teacher_epochs: int = 0
    tuning_epochs: int = 0
    tuning_updates: int = 0
    rows: int = 7
    row_length: int = 128
    own_share: float = 0.5
    learning_rate: float = 8e-3
    teacher_learning_rate: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    label_smoothing: float = 0.0
    clip_norm: float = 5.0
    unknown_rate: float = 0.5
    sampling: Literal["proportional", "sqrt", "uniform"] = "proportional"


@dataclass(frozen=True)
class DistillConfig:
    """How knowledge is stored and matched.

    Attributes:
        dtype: in which the teacher's outputs are stored.
        equations: "standardised" measures errors in the teacher's own variance and multiplies soft labels by tau^2;
            "printed" is equations (2) to (5) to the letter. Either way a term is a mean over its own tokens.
        match: beta's term: "mse" of the logits (equation 2), "soft" labels (5), the "hard" label that the teacher
            finds likeliest, a chain's "posteriors" as soft labels, or "structure", the divergence of whole labellings.
        divergence: of all but mse: "kl" (its gradient is that of the cross-entropy with the teacher's labels),
            "reverse-kl" or, not of structure, "jensen-shannon".
        teacher: "first" teaches students of every seed by the teachers of the first seed, "own" by those of their own.
        ensemble: teachers' logits are averaged with "uniform" weights or weights by their F1 on "devel".
        foreign: sentences of other corpora that students with foreign=True are shown beside their own: how many, or
            "all".
        text: sentences of --text that they are shown as well, at most: a random sample, of which memory and stored
            outputs are, however long the text is.
    """

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    equations: Literal["standardised", "printed"] = "standardised"
    match: Literal["mse", "soft", "hard", "posteriors", "structure"] = "mse"
    divergence: Divergence = "kl"
    teacher: Literal["first", "own"] = "own"
    ensemble: Literal["uniform", "devel"] = "uniform"
    foreign: int | Literal["all"] = "all"
    text: int = 20_000


@dataclass(frozen=True)
class SavingConfig:
    """What is kept on disk; it does not affect the model.

    Attributes:
        minutes: between two checkpoints; 0 for one after every chunk of steps.
        every_epochs: after every so many epochs there is one too; 0 for by time alone.
        keep: checkpoints to keep.
        knowledge_gb: gigabytes of teachers' outputs that stay in a work folder; 0 for no bound. Those that were not
            read for longest are removed first, and computed again where they are needed.
    """

    minutes: float = 5.0
    every_epochs: int = 0
    keep: int = 2
    knowledge_gb: float = 0.0


@dataclass(frozen=True)
class LaneConfig:
    """Lanes of one program; they do not affect the model.

    Attributes:
        at_once: lanes of a lane group that train at the same time; 0 for what memory and measurement say.
    """

    at_once: int = 0


@dataclass(frozen=True)
class RuntimeConfig:
    """How programs compute what the model says; they do not affect the model.

    Attributes:
        recurrence: of the BiLSTMs: "nn.scan" (a linen cell under flax's nn.scan), "scan" (over time, with a backward
            pass of its own), "fused" (kernels for TPUs and NVIDIA GPUs, all time steps in one launch), or "auto": the
            fastest that gives the scan's values and gradients on the device, and on a CPU the scan.
    """

    recurrence: Literal["auto", "nn.scan", "scan", "fused"] = "auto"


@dataclass(frozen=True)
class Settings:
    """Everything that can be set with --set, as dotted names: --set train.epochs=30."""

    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    distill: DistillConfig = DistillConfig()
    saving: SavingConfig = SavingConfig()
    lanes: LaneConfig = LaneConfig()
    runtime: RuntimeConfig = RuntimeConfig()


SMALL = Settings(
    model=ModelConfig(
        words=WordConfig(dim=50),
        chars=CharConfig(dim=16, units=24, longest=20),
        shared_units=48,
        task_units=48,
        hidden_units=48,
        dropout=0.25,
    ),
    train=TrainConfig(updates=900, epochs=14, tuning_epochs=8, tuning_updates=200, rows=6, row_length=32),
)
"""The preset for the bundled sample; Settings() is the one for real corpora."""
