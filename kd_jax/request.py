"""From what a user asked for to an experiment that runs: everything is checked before anything is trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from kd_jax.catalogue import load_experiment, sample_corpora
from kd_jax.cells import Material
from kd_jax.data.registry import load
from kd_jax.errors import InputError
from kd_jax.evaluation import results
from kd_jax.evaluation.tables import experiment_table
from kd_jax.plan import Plan, make_plan
from kd_jax.report import write_report
from kd_jax.run import describe_plan, hashes_of, open_workdir, run, training_tokens, unfinished
from kd_jax.settings import SMALL, Settings, override
from kd_jax.training.mesh import use_all_cores
from kd_jax.training.progress import Meter


@dataclass(frozen=True)
class Request:
    """What a user asked for, unchecked; fields as the flags of kd_jax.main."""

    experiment: str = "logits"
    seeds: str = "5"
    datasets: Sequence[str] = ()
    data_dir: Path | None = None
    workdir: Path | None = None
    epochs: int | None = None
    protocol: str = "train+devel"
    assignments: Sequence[str] = ()
    dry_run: bool = False


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from a count or a list.

    Args:
        text: "5" for 1, 2, 3, 4, 5; "3,5,8" or "3," for these.

    Raises:
        InputError: for anything else, no seeds, or a seed twice.
    """
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    seeds = tuple(range(1, numbers[0] + 1)) if len(numbers) == 1 and "," not in text else numbers
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds) or max(seeds) >= 2**31:
        raise InputError(f"--seeds={text}: give a count of at least 1 (--seeds=5) or different seeds (--seeds=3,5,8)")
    return seeds


def prepare(request: Request) -> tuple[Plan, Material, Path]:
    """The plan of a request.

    Returns:
        The plan, what it works on, and its work folder, which is not touched yet.

    Raises:
        InputError: for whatever is wrong with the request or the corpora.
    """
    experiment = load_experiment(request.experiment)
    seeds = parse_seeds(request.seeds)
    epochs = [] if request.epochs is None else [f"train.epochs={request.epochs}", f"teacher_epochs={request.epochs}"]
    settings = override(SMALL if request.data_dir is None else Settings(), [*epochs, *request.assignments])
    data_dir = request.data_dir or sample_corpora()
    corpora = load(data_dir, request.datasets or None)
    workdir = request.workdir or Path("runs") / data_dir.resolve().name
    hashes = hashes_of(corpora)
    plan = make_plan(experiment, settings, corpora, hashes, seeds, request.protocol, workdir)
    material = Material(experiment.name, settings, request.protocol, {c.name: c for c in corpora}, hashes)
    if request.protocol == "train":
        for corpus in corpora:
            if "devel" not in corpus.splits:
                raise InputError(
                    f"--protocol=train chooses the best epoch on devel, which {data_dir / corpus.name} lacks;"
                    " add devel.tsv or use --protocol=train+devel"
                )
    return plan, material, workdir


def execute(request: Request, console: Console) -> None:
    """Run a request to its end and show its table.

    Args:
        request: what was asked for.
        console: where the plan, the progress and the table go.

    Raises:
        InputError: for whatever is wrong with the request, the corpora or the disk.
    """
    use_all_cores()
    plan, material, workdir = prepare(request)
    console.print(plan_table(plan, material))
    if request.dry_run:
        return
    open_workdir(workdir)
    total = sum(len(unfinished(cell)) * cell.epochs * training_tokens(material, cell) for cell in plan.cells)
    with Meter(total, workdir / "metrics.jsonl", console) as meter:
        if not total:
            meter.say("every model is there already: nothing to train")
        run(plan, material, workdir, meter)
    mine = [row for row in results.read(workdir / "results.csv") if row.experiment == plan.experiment.name]
    console.print(experiment_table(mine, plan.experiment.table, console.width))
    console.print(f"scores: {workdir / 'results.csv'}   report: {write_report(workdir)}", highlight=False)


def plan_table(plan: Plan, material: Material) -> Table:
    """The plan for people: a row a cell."""
    names = ", ".join(material.corpora)
    table = Table(
        title=f"{plan.experiment.name}: {plan.experiment.title}",
        caption=f"corpora {names}; protocol {plan.protocol}; seeds {', '.join(map(str, plan.seeds))}",
    )
    for column in ("cell", "lanes to train", "there already", "epochs", "steps", "lane-tokens", "memory, MB"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for line in describe_plan(plan, material):
        table.add_row(*line)
    return table
