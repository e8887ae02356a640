"""From what a user asked for to an experiment that runs: everything is checked before anything is trained."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from rich.console import Console

from kd_jax import cli
from kd_jax.corpora.registry import corpus_hash, find, load
from kd_jax.cost.ahead import compile_table
from kd_jax.cost.targets import target_named
from kd_jax.data.vectors import load_vectors
from kd_jax.data.vocab import words_of
from kd_jax.errors import InputError
from kd_jax.evaluation.score_tables import ScoreTables
from kd_jax.experiment import Experiment, check_experiment, check_own, load_experiment, sample_corpora
from kd_jax.report.build import write_report
from kd_jax.report.tables import experiment_table
from kd_jax.runtime.curves import Curves
from kd_jax.runtime.device import devices, enable_compilation_cache
from kd_jax.runtime.files import clear_partial, digest, digest_file, locked
from kd_jax.runtime.interrupt import Interrupt
from kd_jax.runtime.progress import ProgressMeter
from kd_jax.settings import SMALL, Settings, WordConfig, override
from kd_jax.structs import Corpus
from kd_jax.sweep.checks import check_assignments, check_decoding, check_plan
from kd_jax.sweep.disk import add_rows, disk, short_of
from kd_jax.sweep.externals import external_ids
from kd_jax.sweep.fits import compile_largest, fit_table, fits
from kd_jax.sweep.forecast import CostModel, alone, half_taught, plan_table
from kd_jax.sweep.foreign import refuse_foreign
from kd_jax.sweep.grid import parse_grid, with_grid
from kd_jax.sweep.group import RunContext
from kd_jax.sweep.job import SweepData
from kd_jax.sweep.material import check_material
from kd_jax.sweep.plan import Plan
from kd_jax.sweep.runner import Engine, InProcess, Sweep, open_workdir
from kd_jax.sweep.status import Status
from kd_jax.sweep.texts import read_texts
from kd_jax.sweep.totals import shares, totals_table
from kd_jax.training.mesh import use_all_cores

MOST_SEEDS = 1000  # of a count; more was meant as a seed


@dataclass(frozen=True)
class Request:
    """What a user asked for, unchecked; fields as the flags of kd_jax.main."""

    experiment: str | Experiment = "recommended"
    seeds: str = "5"
    datasets: Sequence[str] = ()
    targets: Sequence[str] = ()
    data_dir: Path | None = None
    workdir: Path | None = None
    epochs: int | None = None
    protocol: str = "train+devel"
    scheme: str | None = None
    entity_type: str | None = None
    assignments: Sequence[str] = ()
    grid: Sequence[str] = ()
    dry_run: bool = False
    tensorboard: bool = False
    cluster: str = ""
    text: Path | None = None
    compile_for: Sequence[str] = ()

    @property
    def place(self) -> Path:
        """The work folder."""
        return self.workdir or Path("runs") / (self.data_dir or sample_corpora()).resolve().name

    @property
    def command(self) -> str:
        """The command that asks for it: the experiment, the seeds, and whatever else is not the default."""
        words = [f"--experiment={getattr(self.experiment, 'name', self.experiment)}", f"--seeds={self.seeds}"]
        for f in fields(self)[2:]:
            value = getattr(self, f.name)
            if f.name in {"dry_run", "compile_for"}:
                continue
            if f.name == "assignments":
                words += [f"--set={assignment}" for assignment in value]
            elif f.name == "grid":
                words += [f"--grid={axis}" for axis in value]
            elif value is True:
                words.append(f"--{f.name}")
            elif value not in (None, f.default, [], ()):
                words.append(f"--{f.name}={','.join(value) if isinstance(value, tuple | list) else value}")
        return shlex.join(["kd-jax", "train", *words])


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds from a count or a list.

    Args:
        text: "5" for 1, 2, 3, 4, 5; "3,5,8" or "3," for these.

    Raises:
        InputError: for anything else, no seeds, or a seed twice.

    >>> parse_seeds("3"), parse_seeds("3,5,8"), parse_seeds("3,")
    ((1, 2, 3), (3, 5, 8), (3,))
    """
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if len(numbers) == 1 and "," not in text and numbers[0] > MOST_SEEDS:
        raise InputError(f"--seeds={text}: counts {numbers[0]:,} seeds; for one of that number write --seeds={text},")
    seeds = tuple(range(1, numbers[0] + 1)) if len(numbers) == 1 and "," not in text else numbers
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds) or max(seeds) >= 2**31:
        raise InputError(
            f"--seeds={text}: give a count of at least 1 (--seeds=5), or different seeds below 2^31 (--seeds=3,5,8)"
        )
    return seeds


def prepare(request: Request) -> tuple[list[Plan], SweepData]:
    """The plans of a request.

    Returns:
        A plan for every experiment that is asked for, and what they work on; the work folder is not touched yet.

    Raises:
        InputError: for whatever is wrong with the request or the corpora.
    """
    requested = request.experiment
    if isinstance(requested, Experiment):
        check_own(requested)
    else:
        requested = load_experiment(requested)
    if request.grid:
        requested = with_grid(requested, parse_grid(request.grid))
        check_experiment(requested, "--grid")
    if request.text is None and any(name == "text" for name, _ in requested.grid):
        raise InputError("--grid=text: there is no text; give a file or a folder of it with --text")
    experiments = [load_experiment(part) for part in requested.parts] or [requested]
    seeds = parse_seeds(request.seeds)
    data_dir = request.data_dir or sample_corpora()
    base = SMALL if request.data_dir is None else Settings()
    epochs = _epochs(request.epochs, base)
    settings = [override(base, [*e.assignments, *epochs, *request.assignments]) for e in experiments]
    check_assignments(experiments, request.assignments)
    if any(name == "tau" for name, _ in requested.grid):
        match = override(settings[0], requested.students[0].assignments).distill.match
        if match in ("mse", "hard"):  # then all points of an axis would be one model
            raise InputError(f"--grid=tau: distill.match={match} has no temperature; add --set=distill.match=soft")
    corpora = load(data_dir, request.datasets or None, request.scheme, request.entity_type)
    targets = _targets(request.targets, data_dir, [corpus.name for corpus in corpora])
    hashes = {corpus.name: corpus_hash(corpus) for corpus in corpora}
    vectors, of_vectors = _read_vectors(settings[0].model.words, corpora)
    by_name = {corpus.name: corpus for corpus in corpora}
    text = read_texts(request.text, experiments, settings, [by_name[name] for name in targets]) if request.text else {}
    plans = [
        Plan(
            experiment, of_experiment, hashes, seeds, request.protocol, request.place, targets, of_vectors,
            external_ids(experiment, of_experiment, by_name, hashes, targets, request.protocol, request.place, text),
            digest([[style, of_style.content] for style, of_style in text.items()]) if text else "",
        )
        for experiment, of_experiment in zip(experiments, settings, strict=True)
    ]  # fmt: skip
    for plan in plans:
        check_plan(plan)
    check_material(plans, corpora)
    if "devel" not in request.protocol or any(plan.tuning for plan in plans):
        for corpus in corpora:
            needed = "devel" not in request.protocol or corpus.name in targets
            if needed and "devel" not in corpus.splits:
                why = "weights are chosen" if "devel" in request.protocol else "--protocol=train chooses the best epoch"
                raise InputError(f"{corpus.name}: has no devel split, on which {why}; add devel.tsv, or leave it out")
    return plans, SweepData(by_name, hashes, vectors, text)


def _targets(names: Sequence[str], data_dir: Path, corpora: Sequence[str]) -> tuple[str, ...]:
    """Names of the corpora that get students, in the corpora's order; all where none is asked for."""
    wanted = find(data_dir, names) if names else corpora
    if missing := [name for name in wanted if name not in corpora]:
        raise InputError(f"--targets={missing[0]}: is not among --datasets ({', '.join(corpora)}); add it there")
    return tuple(name for name in corpora if name in wanted)


def _epochs(epochs: int | None, base: Settings) -> list[str]:
    """What --epochs assigns: passes of every model, and no more for the runs that choose weights."""
    if epochs is None:
        return []
    tuning = min(base.train.tuning_epochs, epochs)
    return [
        "train.updates=0",
        "teacher_updates=0",
        f"train.epochs={epochs}",
        f"teacher_epochs={epochs}",
        f"tuning_epochs={tuning}",
    ]


def _read_vectors(words: WordConfig, corpora: Sequence[Corpus]) -> tuple[dict[str, np.ndarray], str]:
    """Pretrained vectors of the corpora's words, by key, and the file's hash; nothing where none are asked for."""
    if not words.vectors:
        return {}, ""
    path = cli.path(words.vectors, "file", "--set=words.vectors=")
    keys = sorted(words_of(corpora, words))
    table, has_vector, report = load_vectors(path, keys, words.dim, least_coverage=words.least_coverage)
    for line in (*report.warnings, report):
        print(line, file=sys.stderr)
    return {key: row for key, row, has in zip(keys, table, has_vector, strict=True) if has}, digest_file(path)


def execute(request: Request, console: Console) -> None:
    """Run a request to its end and show its tables.

    Args:
        request: what was asked for.
        console: where the plan, the progress and the tables go.

    Raises:
        InputError: for whatever is wrong with the request, the corpora or the disk.
        InterruptedRunError: where a signal asked for the end; everything is saved.
    """
    if request.compile_for and not request.dry_run:
        raise InputError("--compile_for: tells whether a plan fits; add --dry_run")
    use_all_cores()
    enable_compilation_cache()
    curves = Curves(request.place / "tensorboard") if request.tensorboard else None
    if request.cluster:
        _execute_on_cluster(request, console, curves)
        return
    plans, sweep_data = prepare(request)
    cost_model, workdir, status = CostModel(sweep_data), request.place, Status()
    check_decoding(plans, status)
    _show_plans(plans, cost_model, status, console)
    on_disk = disk(plans, shares(plans, cost_model, status), cost_model)
    if short := short_of(on_disk, workdir):
        print(short, file=sys.stderr)
    if request.dry_run:
        table = totals_table(plans, cost_model, status)
        add_rows(table, on_disk)
        console.print(table)
        for target in [target_named(name) for name in request.compile_for]:
            rows = fits(plans, cost_model, status, target)
            compiled = compile_largest(rows, request.data_dir or sample_corpora(), request.scheme, target)
            console.print(fit_table(rows, target, compiled), compile_table(compiled))
        return
    refuse_foreign(workdir)
    open_workdir(workdir)
    total = _lane_tokens(plans, cost_model, status)
    with locked(workdir), Interrupt() as stop, ProgressMeter(total, _metrics(workdir), console, curves) as meter:
        # What is there is looked up again: another run may have finished models until it let go of the folder.
        context = RunContext(workdir, meter, stop, Status(), devices(), command=request.command)
        tables = _carry_out(plans, sweep_data, context, InProcess(sweep_data, context))
    _show_tables(plans, tables, console)


def _execute_on_cluster(request: Request, console: Console, curves: Curves | None) -> None:
    from kd_jax.sweep.cluster import Cluster  # noqa: PLC0415 - a run on one machine does without
    from kd_jax.sweep.needs import parse  # noqa: PLC0415

    parse(request.cluster)
    if request.dry_run:
        raise InputError("--dry_run: tells what this machine would take; leave out --cluster")
    plans, sweep_data = prepare(request)
    workdir, status = request.place, Status()
    check_decoding(plans, status)
    refuse_foreign(workdir)
    open_workdir(workdir)
    with locked(workdir), Cluster(request.cluster, workdir, console.print) as cluster, Interrupt() as stop:
        cost_model = CostModel(sweep_data, lambda: cluster.device.memory)
        _show_plans(plans, cost_model, status, console)
        total = _lane_tokens(plans, cost_model, status)
        with ProgressMeter(total, _metrics(workdir), console, curves) as meter:
            context = RunContext(workdir, meter, stop, status, cluster.device.name, command=request.command)
            tables = _carry_out(plans, sweep_data, context, cluster.engine(sweep_data, context))
    _show_tables(plans, tables, console)


def _metrics(workdir: Path) -> Path:
    return workdir / "metrics.jsonl"


def _show_plans(plans: Sequence[Plan], cost_model: CostModel, status: Status, console: Console) -> None:
    for plan in plans:
        console.print(plan_table(plan, cost_model, status))
        for told in filter(None, (half_taught(plan, cost_model, status), alone(plan, status))):
            print(told, file=sys.stderr)


def _lane_tokens(plans: Sequence[Plan], cost_model: CostModel, status: Status) -> int:
    """Of all models that are missing, each once."""
    missing = {m.folder: group for plan in plans for group in status.groups_of(plan) for m in status.missing(group)}
    return sum(cost_model.run_tokens(group) for group in missing.values())


def _carry_out(plans: Sequence[Plan], sweep_data: SweepData, context: RunContext, engine: Engine) -> ScoreTables:
    tables = ScoreTables(context.workdir)
    clear_partial(context.workdir)
    if not any(context.status.missing(group) for plan in plans for group in context.status.groups_of(plan)):
        context.meter.log("every model already exists: nothing to train")
    for plan in plans:
        Sweep(plan, sweep_data, context, tables, engine).run()
    return tables


def _show_tables(plans: Sequence[Plan], tables: ScoreTables, console: Console) -> None:
    for plan in plans:
        mine = [row for row in tables.rows if row.experiment == plan.experiment.name and row.protocol == plan.protocol]
        console.print(experiment_table(mine, plan.experiment.table, console.width))
    workdir = plans[0].workdir
    console.print(f"scores: {workdir / 'results.csv'}   report: {write_report(workdir)}", highlight=False)
    console.print(f"cards: {workdir / 'students' / 'CORPUS' / 'NAME' / 'card.md'}", highlight=False)
    words = ["kd-jax", "tag", f"--model={workdir}", f"--corpus={plans[0].targets[0]}", "--best", "--text=..."]
    console.print(f"tag: {shlex.join(words)}", highlight=False, soft_wrap=True)
