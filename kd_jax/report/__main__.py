"""Tables, tests and pictures from a work folder, from two of them, or from the paper's own figures.

kd-jax report runs/sample
kd-jax report BEFORE AFTER      two runs side by side
kd-jax report --paper           the paper's seven tables and its claims
kd-jax report W --frontier      students by size: F1 against parameters, bytes and speed
"""

from typing import Any

from kd_jax import cli


def define(flags: cli.Flags) -> None:
    """The command's flags."""
    flags.paths(
        "workdir", "Work folder of a run, as a word without a flag is too; of two, they are compared.", several="repeat"
    )
    flags.yes("paper", "Tables, tests and pictures of the paper's own seven tables, and its claims.")
    flags.yes("frontier", "F1 against parameters and speed, of a run of --experiment=frontier.")
    flags.path("output", "Folder of the report; default: report/ in the work folder, or paper_report/.")
    flags.choice(
        "posthoc", "nemenyi", ("nemenyi", "conover", "conover-holm"), "Post hoc test over all pairs of models."
    )
    flags.number("alpha", 0.05, "Level of the tests.", 0.0001, 0.5)


def report(given: Any, words: list[str]) -> None:
    """Report as the flags say."""
    from kd_jax.report.command import report as write  # noqa: PLC0415
    from kd_jax.runtime.display import standard_console  # noqa: PLC0415

    write(
        [*given.workdir, *(cli.path(word, "folder") for word in words)],
        of_paper=given.paper,
        of_frontier=given.frontier,
        output=given.output,
        alpha=given.alpha,
        method=given.posthoc,
        console=standard_console(),
    )


COMMAND = cli.Command(__doc__ or "", define, report, words="[FOLDER [FOLDER]]")

if __name__ == "__main__":
    cli.run(COMMAND)
