"""What a plan will take, by its shapes: steps, lane-tokens, memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from kd_jax.cost import flops as floor
from kd_jax.cost.memory import ProblemSize
from kd_jax.cost.timing import taken
from kd_jax.data.pipeline import Length, chunk_steps, room
from kd_jax.data.vocab import build_vocabulary
from kd_jax.runtime.device import available_memory
from kd_jax.structs import Sentence
from kd_jax.sweep.job import SweepData, out_of_corpus_sentences, training_sentences, untrained_words
from kd_jax.sweep.lane_group import LaneGroup
from kd_jax.sweep.lanes import fitting
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.status import Status

ROOM = 1.2  # what a shape holds, beside what a usual batch has


FULL = 0.97  # share of real tokens in packed batches


class CostModel:
    """How large lane groups are, by their shapes; what lane groups have in common is counted once.

    Args:
        sweep_data: the corpora that they work on.
        available: tells bytes of memory for a lane group at a time; None where that is unknown.
    """

    def __init__(self, sweep_data: SweepData, available: Callable[[], int | None] = available_memory) -> None:
        self.sweep_data, self._available = sweep_data, available
        self._extents: dict[Any, ProblemSize] = {}
        self._tokens: dict[Any, int] = {}

    def tokens(self, group: LaneGroup) -> int:
        """Tokens of one epoch."""
        key = _text_of(group)
        if key not in self._tokens:
            self._tokens[key] = training_tokens(self.sweep_data, group)
        return self._tokens[key]

    def run_tokens(self, group: LaneGroup) -> int:
        """Real tokens that one lane is trained on; of a budget of updates about so many."""
        if group.length.updates:
            train = group.settings.train
            return round(FULL * group.length.updates * train.rows * train.row_length)
        return group.length.epochs * self.tokens(group)

    def memory(self, group: LaneGroup, lanes: int) -> int:
        """Bytes that a lane group's arrays take while it trains, on all local devices together.

        Args:
            group: what is trained.
            lanes: of it at a time.
        """
        return taken(group.settings, self.extent(group), group.head, lanes)

    def at_once(self, group: LaneGroup, lanes: int) -> int:
        """How many of some lanes of a lane group train at the same time, as far as the settings and memory say."""
        wanted = group.settings.lanes.at_once
        return min(lanes, wanted) if wanted else fitting(lanes, lambda n: self.memory(group, n), self._available())

    def extent(self, group: LaneGroup) -> ProblemSize:
        """How large the things are that a lane group's program works on."""
        train = group.settings.train
        key = (*_text_of(group), group.settings.model.words, train.rows, train.row_length)
        if key not in self._extents:
            self._extents[key] = _extent(self.sweep_data, group)
        labels = len(self.sweep_data.corpora[group.corpora[0]].labels)
        size = 4 if group.settings.distill.dtype == "float32" else 2
        return self._extents[key]._replace(known=self.tokens(group) * known_width(group, labels) * size)

    def operations_a_token(self, group: LaneGroup) -> float:
        """Floating-point operations of the matmuls of a train step, for each real token."""
        train, size = group.settings.train, self.extent(group)
        tokens = train.rows * train.row_length
        distinct = round(size.batch_forms / ROOM)
        at = floor.BatchSize(tokens, train.row_length, distinct, distinct, size.labels)
        return floor.operations(group.settings.model, size.alphabet, at) / tokens


def _text_of(group: LaneGroup) -> tuple[Any, ...]:
    """What decides the sentences that a lane group works on."""
    distill = group.settings.distill
    return group.corpora, group.protocol, group.foreign, distill.foreign, distill.text


def plan_table(plan: Plan, cost_model: CostModel, status: Status) -> Table:
    """The plan for people: a row for the lane groups of one title, such as all seeds of a corpus's students."""
    table = Table(
        title=f"{plan.experiment.name}: {plan.experiment.title}",
        caption=f"corpora {', '.join(cost_model.sweep_data.corpora)}; protocol {plan.protocol}; "
        f"seeds {', '.join(map(str, plan.seeds))}; lane-tokens in millions, memory in MB",
    )
    for column in ("what", "to train", "done", "length", "lane-tokens", "at once", "memory"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows: dict[tuple[str, Length], list[LaneGroup]] = {}
    for group in status.groups_of(plan):
        rows.setdefault((group.title, group.length), []).append(group)
    for (title, length), groups in rows.items():
        missing = [len(status.missing(group)) for group in groups]
        lanes = [cost_model.at_once(group, max(n, 1)) for group, n in zip(groups, missing, strict=True)]
        tokens = sum(n * cost_model.run_tokens(group) for group, n in zip(groups, missing, strict=True))
        memory = max(cost_model.memory(group, n) for group, n in zip(groups, lanes, strict=True))
        table.add_row(
            title,
            str(sum(missing)),
            str(sum(len(group.specs) for group in groups) - sum(missing)),
            f"{length.updates:,} updates" if length.updates else f"{length.epochs} epochs",
            f"{tokens / 1e6:,.2f}",
            str(max(lanes)),
            f"{memory / 1e6:,.0f}",
        )
    return table


def half_taught(plan: Plan, cost_model: CostModel, status: Status) -> str:
    """One line for people about a teacher that is to see less than its text once; "" where it sees all of it.

    Of 14 corpora such a teacher was 8.5 F1 below the single-task models of as many updates (docs/notes/first-run.md).
    """
    for group in status.groups_of(plan):
        whole, some = cost_model.tokens(group), cost_model.run_tokens(group)
        if group.kind == "MTM" and group.length.updates and some < whole and status.missing(group):
            once = -(-group.length.updates * whole // some)
            return (
                f"{group.title}: {group.length.updates:,} updates see {some / whole:.0%} of its text, which makes a "
                f"poor teacher; --set=train.teacher_updates={once} sees all of it once"
            )
    return ""


def alone(plan: Plan, status: Status) -> str:
    """One line for people about students that would see other sentences, had the run any; "" where it has."""
    for group in status.groups_of(plan):
        if group.foreign and len(plan.corpora) == 1 and not plan.text and status.missing(group):
            return (
                f"{group.title}: {group.specs[0].label} would learn from other corpora's sentences too, and there are"
                " none; name more corpora in --datasets (--targets says which get students), or give text with --text"
            )
    return ""


def training_tokens(sweep_data: SweepData, group: LaneGroup) -> int:
    """Tokens of one epoch."""
    labelled = sum(
        len(sweep_data.corpora[name].splits[split][i].tokens)
        for name in group.corpora
        for split, chosen in training_sentences(sweep_data, group, name).items()
        for i in chosen
    )
    return labelled + (foreign_tokens(sweep_data, group) if group.foreign else 0)


def foreign_tokens(sweep_data: SweepData, group: LaneGroup) -> int:
    """Tokens of other corpora that a student of the lane group is shown."""
    return chosen_tokens(sweep_data, out_of_corpus_sentences(sweep_data, group))


def chosen_tokens(sweep_data: SweepData, chosen: Mapping[tuple[str, str], np.ndarray]) -> int:
    """Tokens of sentences, given as indices within each (corpus, split)."""
    return sum(
        len(sweep_data.sentences(name, split)[i].tokens) for (name, split), indices in chosen.items() for i in indices
    )


def _extent(sweep_data: SweepData, group: LaneGroup) -> ProblemSize:
    model = group.settings.model
    corpora = [sweep_data.corpora[name] for name in group.corpora]
    foreign = out_of_corpus_sentences(sweep_data, group) if group.foreign else {}
    labelled = [
        corpus.splits[split][i]
        for corpus in corpora
        for split, chosen in training_sentences(sweep_data, group, corpus.name).items()
        for i in chosen
    ]
    seen = labelled + [
        sweep_data.sentences(name, split)[i] for (name, split), chosen in foreign.items() for i in chosen
    ]
    vocabulary = build_vocabulary(seen, model.words)
    pretrained = untrained_words(sweep_data, corpora, model.words)
    forms = {t for corpus in corpora for split in corpus.splits.values() for s in split for t in s.tokens}
    forms |= {token for sentence in seen for token in sentence.tokens}
    train = group.settings.train
    trained = sum(len(sentence.tokens) for sentence in seen)
    of_batch = distinct_in_batch(seen, train.rows * train.row_length)
    steps = -(-trained // (train.rows * train.row_length))
    return ProblemSize(
        tokens=sum(len(s.tokens) for c in corpora for split in c.splits.values() for s in split)
        + chosen_tokens(sweep_data, foreign),
        forms=len(forms),
        word_rows=1 + len(pretrained | set(vocabulary.words)),
        alphabet=vocabulary.alphabet,
        labels=max(len(corpus.labels) for corpus in corpora),
        tasks=len(corpora),
        batch_forms=room(of_batch),
        batch_words=room(of_batch),
        steps=chunk_steps(steps),
    )


def known_width(group: LaneGroup, labels: int) -> int:
    """Numbers that a token's knowledge has, of those that some lane of the lane group reads."""
    model = group.teacher_model or group.settings.model
    widths = {"beta": labels, "gamma": 2 * model.task_units, "kappa": 2 * model.shared_units}
    return sum(
        width
        for weight, width in widths.items()
        if group.teachers and any(getattr(spec.weights, weight) for spec in group.specs)
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
