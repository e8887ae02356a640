"""What some experiments take together, a model that several of them need counted once; and for how long, at a rate."""

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
from rich.table import Table

from kd_jax.cost.timing import StepTimer, shortened
from kd_jax.runtime import device
from kd_jax.runtime.files import digest, read_json
from kd_jax.runtime.progress import clock
from kd_jax.settings import Head, to_dict
from kd_jax.sweep.forecast import CostModel, chosen_tokens
from kd_jax.sweep.identity import matches
from kd_jax.sweep.job import SweepData, make_job, out_of_corpus_sentences
from kd_jax.sweep.lane_group import LaneGroup, ModelSpec
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.status import Status

MEASURED_STEPS = 4
LINES_READ = 200  # of metrics.jsonl, from its end
FASTEST = 1e15  # lane-tokens a second: more is no rate


class PendingGroup(NamedTuple):
    """A lane group's models that are trained for its plan and no earlier one."""

    plan: Plan
    group: LaneGroup
    specs: tuple[ModelSpec, ...]
    lane_tokens: int


class Totals(NamedTuple):
    """What there is to do.

    Attributes:
        models: to train.
        lane_tokens: real tokens of all epochs of all of them, by output layer.
        operations: floating-point operations of the matmuls of that.
        knowledge: bytes on disk of all teacher outputs, whether they already exist or not.
        memory: bytes of the largest lane group's arrays.
        largest: that lane group, for people; "" where nothing is to train.
    """

    models: int
    lane_tokens: dict[Head, int]
    operations: float
    knowledge: int
    memory: int
    largest: str


class Rate(NamedTuple):
    """Lane-tokens a second by output layer, and where that is from."""

    of_head: dict[Head, float]
    source: str


def shares(plans: Sequence[Plan], cost_model: CostModel, status: Status) -> list[PendingGroup]:
    """What is still to train, lane group by lane group."""
    taken: set[Path] = set()
    pending = []
    for plan in plans:
        for group in status.groups_of(plan):
            mine = tuple(spec for spec in status.missing(group) if spec.folder not in taken)
            taken |= {spec.folder for spec in mine}
            if mine:
                pending.append(PendingGroup(plan, group, mine, len(mine) * cost_model.run_tokens(group)))
    return pending


def totals(plans: Sequence[Plan], cost_model: CostModel, status: Status) -> Totals:
    """What some plans take together."""
    lane_tokens: dict[Head, int] = {}
    operations, largest, most = 0.0, "", 0
    open_shares = shares(plans, cost_model, status)
    for share in open_shares:
        group = share.group
        lane_tokens[group.head] = lane_tokens.get(group.head, 0) + share.lane_tokens
        operations += share.lane_tokens * cost_model.operations_a_token(group)
        lanes = cost_model.at_once(group, len(share.specs))
        takes = cost_model.memory(group, lanes)
        if takes > most:
            largest, most = f"{group.title}, {lanes} lanes", takes
    knowledge = sum(dict(stored for plan in plans for stored in knowledge_bytes(plan, cost_model.sweep_data)).values())
    return Totals(sum(len(share.specs) for share in open_shares), lane_tokens, operations, knowledge, most, largest)


def knowledge_bytes(plan: Plan, sweep_data: SweepData) -> Iterator[tuple[tuple[str, ...], int]]:
    """Every piece of knowledge that a plan's students ask for: what names it, and its bytes on disk."""
    model, distill = plan.settings.model, plan.settings.distill
    size = 4 if distill.dtype == "float32" else 2
    for group in (*plan.tuning, *plan.students(None)):
        if not group.teachers or not any(matches(spec.weights) for spec in group.specs):
            continue
        own = sweep_data.corpora[group.corpora[0]]
        width = len(own.labels) + 2 * model.task_units + 2 * model.shared_units
        tokens_of = {
            (own.name, split, ""): sum(len(sentence.tokens) for sentence in own.splits[split])
            for split in group.splits
            if split in own.splits
        }
        if group.foreign:
            foreign = out_of_corpus_sentences(sweep_data, group)
            tokens_of |= {
                (*place, digest(indices.tolist())): chosen_tokens(sweep_data, {place: indices})
                for place, indices in foreign.items()
            }
        for teacher in (spec for spec in group.teachers if spec.kind != "external"):
            for asked, tokens in tokens_of.items():
                yield (teacher.model_id, own.name, *asked), tokens * width * size


def recorded_rate(plans: Sequence[Plan]) -> Rate | None:
    """The rate that a work folder's latest epochs had; None where they were of another device or other sizes."""
    plan = plans[0]
    try:
        settings = read_json(plan.workdir / "settings.json")
        lines = (plan.workdir / "metrics.jsonl").read_text(encoding="utf-8-sig").splitlines()[-LINES_READ:]
        ran, train = settings["settings"], plan.settings.train
        same = settings["device"] == device.devices() and ran["model"] == to_dict(plan.settings.model)
        same &= (ran["train"]["rows"], ran["train"]["row_length"]) == (train.rows, train.row_length)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    rates = [rate for line in lines if (rate := _rate_of(line)) is not None]
    if not same or not rates:
        return None
    rate = statistics.median(rates)
    return Rate({"softmax": rate, "crf": rate}, f"as {plan.workdir / 'metrics.jsonl'} tells of the latest epochs")


def _rate_of(line: str) -> float | None:
    """The rate that a line of metrics.jsonl tells; None where it is cut off or tells none."""
    try:
        rate = json.loads(line)["lane_tokens_per_s"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return float(rate) if type(rate) in {int, float} and 0 < rate < FASTEST else None


def measured_rate(open_shares: Sequence[PendingGroup], sweep_data: SweepData) -> Rate:
    """The rate of a few real steps of the largest lane group of one corpus for each output layer."""
    rates: dict[Head, float] = {}
    for head in dict.fromkeys(share.group.head for share in open_shares):
        of_head = [share for share in open_shares if share.group.head == head]
        share = max(of_head, key=lambda s: (len(s.group.corpora) == 1, s.lane_tokens))
        lanes = share.specs
        if jax.default_backend() == "cpu":
            lanes = lanes[: jax.local_device_count()]
        plain = replace(share.group, teachers=(), foreign=False, start="random")
        timing = StepTimer(shortened(make_job(sweep_data, plain, lanes)[0], MEASURED_STEPS))
        timing.epoch()
        rates[head] = timing.epoch()
        timing.close()
    return Rate(rates, f"as {MEASURED_STEPS} steps were measured on this device just now")


def totals_table(plans: Sequence[Plan], cost_model: CostModel, status: Status) -> Table:
    """The totals for people, with a time at this device's rate."""
    total = totals(plans, cost_model, status)
    table = Table(title="All together", show_header=False, min_width=60)
    table.add_column("what")
    table.add_column("how much", justify="right")
    table.add_row("models to train, each once", f"{total.models:,}")
    table.add_row("lane-tokens", f"{sum(total.lane_tokens.values()) / 1e6:,.2f} million")
    table.add_row("operations", f"{total.operations / 1e12:,.1f} TFLOP")
    table.add_row("knowledge on disk", f"{total.knowledge / 1e6:,.0f} MB")
    if not total.models:
        return table
    table.add_row(f"memory at most ({total.largest})", f"{total.memory / 1e6:,.0f} MB")
    rate = recorded_rate(plans) or measured_rate(shares(plans, cost_model, status), cost_model.sweep_data)
    seconds = sum(tokens / rate.of_head[head] for head, tokens in total.lane_tokens.items())
    rates = ", ".join(f"{head} {rate.of_head[head]:,.0f}" for head in total.lane_tokens)
    table.add_row(f"training, on {device.devices()}", clock(seconds))
    table.caption = f"at {rates} lane-tokens/s, {rate.source}; scoring and knowledge are not in it"
    return table
