"""What a plan will take, by its shapes: steps, lane-tokens, memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from kd_jax.cost import flops as floor
from kd_jax.cost.memory import Extent, room
from kd_jax.cost.timing import taken
from kd_jax.data.pipeline import CHUNK
from kd_jax.data.vocab import build_vocabulary, words_of
from kd_jax.runtime.device import memory_at_hand
from kd_jax.structs import Sentence
from kd_jax.sweep.job import Material, foreign_sentences, training_sentences
from kd_jax.sweep.lanes import fitting
from kd_jax.sweep.plan import Cell, Plan
from kd_jax.sweep.runner import cells_of, unfinished

ROOM = 1.2  # what a shape holds, beside what a usual batch has


class Survey:
    """How large cells are, by their shapes; what cells have in common is counted once.

    Args:
        material: the corpora that they work on.
    """

    def __init__(self, material: Material) -> None:
        self.material = material
        self._extents: dict[Any, Extent] = {}
        self._tokens: dict[Any, int] = {}

    def tokens(self, cell: Cell) -> int:
        """Tokens of one epoch."""
        key = _text_of(cell)
        if key not in self._tokens:
            self._tokens[key] = training_tokens(self.material, cell)
        return self._tokens[key]

    def memory(self, cell: Cell, lanes: int) -> int:
        """Bytes that a cell's arrays take while it trains, on all local devices together.

        Args:
            cell: what is trained.
            lanes: of it at a time.
        """
        return taken(cell.settings, self.extent(cell), cell.head, lanes)

    def at_once(self, cell: Cell, lanes: int) -> int:
        """How many of some lanes of a cell train at the same time, as far as the settings and memory say."""
        asked = cell.settings.lanes.at_once
        return min(lanes, asked) if asked else fitting(lanes, lambda n: self.memory(cell, n), memory_at_hand())

    def extent(self, cell: Cell) -> Extent:
        """How large the things are that a cell's program works on."""
        train = cell.settings.train
        key = (*_text_of(cell), cell.settings.model.words, train.rows, train.row_length)
        if key not in self._extents:
            self._extents[key] = _extent(self.material, cell)
        labels = len(self.material.corpora[cell.corpora[0]].labels)
        size = 4 if cell.settings.distill.dtype == "float32" else 2
        return self._extents[key]._replace(known=self.tokens(cell) * known_width(cell, labels) * size)

    def operations_a_token(self, cell: Cell) -> float:
        """Floating-point operations of the matmuls of a train step, for each real token."""
        train, size = cell.settings.train, self.extent(cell)
        tokens = train.rows * train.row_length
        distinct = round(size.batch_forms / ROOM)
        at = floor.Places(tokens, train.row_length, distinct, distinct, size.labels)
        return floor.operations(cell.settings.model, size.alphabet, at) / tokens


def _text_of(cell: Cell) -> tuple[Any, ...]:
    """What decides the sentences that a cell works on."""
    return cell.corpora, cell.protocol, cell.foreign, cell.settings.distill.foreign


def plan_table(plan: Plan, survey: Survey) -> Table:
    """The plan for people: a row a cell."""
    table = Table(
        title=f"{plan.experiment.name}: {plan.experiment.title}",
        caption=f"corpora {', '.join(survey.material.corpora)}; protocol {plan.protocol}; "
        f"seeds {', '.join(map(str, plan.seeds))}; lane-tokens in millions, memory in MB",
    )
    for column in ("cell", "to train", "done", "epochs", "steps", "lane-tokens", "at once", "memory"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for cell in cells_of(plan):
        missing = len(unfinished(cell))
        lanes = survey.at_once(cell, max(missing, 1))
        tokens = survey.tokens(cell) * cell.epochs
        batch = plan.settings.train.rows * plan.settings.train.row_length
        table.add_row(
            cell.title,
            str(missing),
            str(len(cell.members) - missing),
            str(cell.epochs),
            f"{-(-tokens // batch):,}",
            f"{missing * tokens / 1e6:,.2f}",
            str(lanes),
            f"{survey.memory(cell, lanes) / 1e6:,.0f}",
        )
    return table


def training_tokens(material: Material, cell: Cell) -> int:
    """Tokens of one epoch."""
    own = sum(
        len(material.corpora[name].splits[split][i].tokens)
        for name in cell.corpora
        for split, chosen in training_sentences(material, cell, name).items()
        for i in chosen
    )
    return own + (foreign_tokens(material, cell) if cell.foreign else 0)


def foreign_tokens(material: Material, cell: Cell) -> int:
    """Tokens of other corpora that a student of the cell is shown."""
    return chosen_tokens(material, foreign_sentences(material, cell))


def chosen_tokens(material: Material, chosen: Mapping[tuple[str, str], np.ndarray]) -> int:
    """Tokens of sentences, given as indices within each (corpus, split)."""
    return sum(
        len(material.corpora[name].splits[split][i].tokens)
        for (name, split), indices in chosen.items()
        for i in indices
    )


def _extent(material: Material, cell: Cell) -> Extent:
    model = cell.settings.model
    corpora = [material.corpora[name] for name in cell.corpora]
    foreign = foreign_sentences(material, cell) if cell.foreign else {}
    own = [
        corpus.splits[split][i]
        for corpus in corpora
        for split, chosen in training_sentences(material, cell, corpus.name).items()
        for i in chosen
    ]
    seen = own + [material.corpora[name].splits[split][i] for (name, split), chosen in foreign.items() for i in chosen]
    vocabulary = build_vocabulary(seen, model.words)
    pretrained = material.vectors.keys() & words_of(corpora, model.words) if material.vectors else set()
    forms = {t for corpus in corpora for split in corpus.splits.values() for s in split for t in s.tokens}
    forms |= {token for sentence in seen for token in sentence.tokens}
    train = cell.settings.train
    trained = sum(len(sentence.tokens) for sentence in seen)
    of_batch = distinct_in_batch(seen, train.rows * train.row_length)
    steps = -(-trained // (train.rows * train.row_length))
    return Extent(
        tokens=sum(len(s.tokens) for c in corpora for split in c.splits.values() for s in split)
        + chosen_tokens(material, foreign),
        forms=len(forms),
        word_rows=1 + len(pretrained | set(vocabulary.words)),
        alphabet=len(vocabulary.chars) + 2,
        labels=max(len(corpus.labels) for corpus in corpora),
        tasks=len(corpora),
        batch_forms=room(of_batch),
        batch_words=room(of_batch),
        steps=-(-steps // -(-steps // CHUNK)),
    )


def known_width(cell: Cell, labels: int) -> int:
    """Numbers that a token's knowledge has, of those that some lane of the cell reads."""
    model = cell.settings.model
    widths = {"beta": labels, "gamma": 2 * model.task_units, "kappa": 2 * model.shared_units}
    return sum(
        width
        for weight, width in widths.items()
        if cell.teachers and any(getattr(member.weights, weight) for member in cell.members)
    )


def distinct_in_batch(sentences: Sequence[Sentence], tokens: int, samples: int = 32) -> int:
    """The most distinct forms that some batches of shuffled sentences hold."""
    rng = np.random.default_rng(0)
    most = 0
    for _ in range(samples):
        forms: set[str] = set()
        left = tokens
        for i in rng.integers(len(sentences), size=tokens):
            left -= len(sentences[i].tokens)
            if left < 0:
                break
            forms.update(sentences[i].tokens)
        most = max(most, len(forms))
    return most
