"""What a plan will take, by its shapes: steps, lane-tokens, memory."""

import jax
from rich.table import Table

from kd_jax.data.vocab import words_of
from kd_jax.material import Material, foreign_sentences, training_sentences
from kd_jax.plan import Cell, Plan
from kd_jax.run import unfinished


def plan_table(plan: Plan, material: Material) -> Table:
    """The plan for people: a row a cell."""
    table = Table(
        title=f"{plan.experiment.name}: {plan.experiment.title}",
        caption=f"corpora {', '.join(material.corpora)}; protocol {plan.protocol}; "
        f"seeds {', '.join(map(str, plan.seeds))}; lane-tokens in millions, memory in MB",
    )
    for column in ("cell", "to train", "done", "epochs", "steps", "lane-tokens", "memory"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for cell in plan.cells:
        missing = len(unfinished(cell))
        tokens = training_tokens(material, cell) * cell.epochs
        batch = plan.settings.train.rows * plan.settings.train.row_length
        table.add_row(
            cell.title,
            str(missing),
            str(len(cell.members) - missing),
            str(cell.epochs),
            f"{-(-tokens // batch):,}",
            f"{missing * tokens / 1e6:,.2f}",
            f"{memory(plan, material, cell, max(missing, 1)) / 1e6:,.0f}",
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
    return sum(
        len(material.corpora[name].splits[split][i].tokens)
        for (name, split), indices in foreign_sentences(material, cell).items()
        for i in indices
    )


def memory(plan: Plan, material: Material, cell: Cell, lanes: int) -> int:
    """Bytes that a cell's arrays take while it trains, by their shapes.

    Parameters with Adam's two moments for every lane, the activations of one batch on every device, the knowledge, and
    the flat tokens.
    """
    model, train = plan.settings.model, plan.settings.train
    seen = words_of([material.corpora[name] for name in cell.corpora], model.words)
    inner = model.words.dim + model.chars.units
    shared, task = 2 * model.shared_units, 2 * model.task_units
    branch = 4 * task * (shared + model.task_units) + task * model.hidden_units
    params = len(seen) * model.words.dim + 4 * shared * (inner + model.shared_units) + branch * len(cell.corpora)
    batch = train.rows * train.row_length
    activations = batch * (20 * (shared + task) + 8 * (inner + model.hidden_units + model.chars.longest * 30))
    tokens = training_tokens(material, cell)
    per_token = 8 + sum(
        width
        for weight, width in (("beta", 8), ("gamma", task), ("kappa", shared))
        if cell.teachers and any(getattr(member.weights, weight) for member in cell.members)
    )
    devices = min(lanes, jax.local_device_count())
    return 4 * (lanes * 3 * params + devices * (activations + tokens * per_token))
