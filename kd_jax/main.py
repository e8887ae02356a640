"""Train teachers, single-task models and students, and show the table they make.

kd-jax train --experiment=logits --seeds=5
kd-jax train --data_dir=DIR --datasets=NCBI,ExPTM --workdir=W --dry_run
kd-jax train --experiment=logits --grid=alpha=0,0.25,0.5,1 --grid=learning_rate=0.004,0.008
kd-jax train --experiment=list        the experiments, a line each
kd-jax train --set=help               every setting with its type, its default and what it does
"""

from typing import Any

from kd_jax import cli


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.text("experiment", "recommended", "Name of an experiment, a file of your own, or list for a list.", "NAME")
    flags.text("seeds", "5", "How many seeds (5 means 1,2,3,4,5), or a list of seeds such as 3,5,8.", "N|N,N,...")
    flags.words("datasets", [], "Corpora, by the paper's names or their folders' names; default: all in --data_dir.")
    flags.words("targets", [], "Corpora that get single-task models and students; default: all. MTMs learn from all.")
    flags.path("data_dir", "Folder of corpora, one folder each; default: the bundled sample, small sizes.")
    flags.path("text", "Text without labels for students with foreign=True: a file, or a folder of them.", "any")
    flags.path("workdir", "Where models and results go; finished models there are not trained again.")
    flags.whole("epochs", None, "Passes over the training text, of teachers too; an upper bound for tuning runs.")
    flags.choice(
        "protocol",
        "train+devel",
        ("train+devel", "train", "train+devel+clean", "train+clean"),
        "Train on train and devel, or on train and keep the epoch best on devel; clean drops training sentences that"
        " occur in test.",
    )
    cli.define_notation(flags)
    flags.repeated("set", "A setting; may be repeated: --set=learning_rate=0.004. --set=help lists all.", "KEY=VALUE")
    of_grid = "Students at every point of a grid of loss weights, tau, learning_rate, or sentences: text, foreign."
    flags.repeated("grid", of_grid, "NAME=V,V,...")
    flags.text("cluster", "", "Run on Ray: auto, an address, or local:N (N units here). Extra: cluster.", "WHERE")
    flags.yes("dry_run", "Show the plan and stop.")
    elsewhere = "With --dry_run: whether the plan fits devices that are not here (v5e,h100), by their own compilers."
    flags.words("compile_for", [], f"{elsewhere} Extras: aot-tpu, aot-cuda.", "DEVICE")
    flags.yes("tensorboard", "Also write curves for tensorboard --logdir=W/tensorboard. Extra: tensorboard.")


def train(given: Any, _: list[str]) -> None:
    """Run the experiment that the flags describe."""
    from kd_jax.settings import SMALL, Settings  # noqa: PLC0415 - `--help` needs no JAX, and neither do the lists
    from kd_jax.sweep.explain import catalogue, explain  # noqa: PLC0415

    if given.experiment == "list":
        print("\n".join(catalogue()))
        return
    if "help" in given.set:
        print("\n".join(explain(Settings(), {"bundled sample": SMALL})))
        return
    from kd_jax.runtime.display import standard_console  # noqa: PLC0415
    from kd_jax.sweep.request import Request, execute  # noqa: PLC0415
    from kd_jax.training.checkpoints import silence_writer  # noqa: PLC0415
    from kd_jax.training.saved_model import silence_tensorstore_threads  # noqa: PLC0415

    silence_writer()
    silence_tensorstore_threads()
    request = Request(
        **{name: given[name].value for name in Request.__dataclass_fields__ if name not in ("assignments", "grid")},
        assignments=tuple(given.set),
        grid=tuple(given.grid),
    )
    execute(request, standard_console())


COMMAND = cli.Command(
    __doc__ or "",
    define,
    train,
    interrupted="interrupted at once; the same command goes on from the last checkpoint",
)

if __name__ == "__main__":
    cli.run(COMMAND)
