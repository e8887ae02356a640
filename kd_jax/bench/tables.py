"""What a bench measured, for people."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table


def tables(measured: dict[str, Any]) -> Iterator[Table]:
    """Speed, what it takes, the floor and, with the peer, the comparison.

    Args:
        measured: as `kd_jax.bench.measure.measure` gives it.
    """
    yield _ours(measured)
    yield _taken(measured)
    yield _floor(measured)
    if "peer" in measured:
        yield _compared(measured)


def _ours(measured: dict[str, Any]) -> Table:
    rates = ", ".join(f"{dtype} {rate / 1e9:,.0f}" for dtype, rate in measured["matmul_flops_per_s"].items())
    table = Table(
        title=f"{', '.join(measured['corpora'])} on {measured['device']}",
        caption=f"real tokens/s of all lanes together and of a lane; measured matmul GFLOP/s: {rates}",
    )
    for column in ("lanes", "dtype", "train", "a lane", "tag", "real", "MFLOP a token", "of the matmul rate"):
        table.add_column(column, justify="right")
    for run in measured["runs"]:
        table.add_row(
            str(run["lanes"]),
            run["dtype"],
            f"{run['lane_tokens_per_s']:,.0f}",
            f"{run['tokens_per_s']:,.0f}",
            f"{run['tag_lane_tokens_per_s']:,.0f}",
            f"{run['real_share']:.1%}",
            f"{run['flops_a_token'] / 1e6:.1f}",
            f"{run['share_of_matmul_rate']:.0%}",
        )
    return table


def _taken(measured: dict[str, Any]) -> Table:
    starts = ""
    if "start_cold_s" in measured:
        starts = (
            f"; a fresh process has its first steps after {measured['start_cold_s']:.1f} s, "
            f"after {measured['start_warm_s']:.1f} s with programs compiled before"
        )
    table = Table(
        title="What it takes",
        caption=f"MB of arrays: predicted from shapes, as compiled, and as a fresh process grew{starts}",
    )
    for column in ("lanes", "dtype", "compiling", "predicted", "compiled", "measured"):
        table.add_column(column, justify="right")
    for run in measured["runs"]:
        table.add_row(
            str(run["lanes"]),
            run["dtype"],
            f"{run['compile_s']:.1f} s",
            f"{run['predicted_bytes'] / 1e6:,.0f}",
            f"{run['program_bytes'] / 1e6:,.0f}",
            f"{run['peak_bytes'] / 1e6:,.0f}" if "peak_bytes" in run else "",
        )
    return table


def _floor(measured: dict[str, Any]) -> Table:
    table = Table(
        title=f"The floor of one lane's train step, {measured['runs'][0]['dtype']}",
        caption="Adam's traffic included in the weights'",
    )
    for column in ("layer", "MFLOP", "MB activations", "MB weights", "MB recurrent weights, read every time step"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for layer in measured["layers"]:
        sizes = (layer[name] / 1e6 for name in ("operations", "activations", "weights", "recurrent"))
        table.add_row(layer["name"], *(f"{size:,.1f}" for size in sizes))
    return table


def _compared(measured: dict[str, Any]) -> Table:
    table = Table(
        title="Beside PyTorch, in turn",
        caption="ratios of medians; several lanes beside as many of its runs in turn",
    )
    for column in ("lanes", "dtype", "ours", "PyTorch", "ratio", "its best batch", "ratio at the best", "tagging"):
        table.add_column(column, justify="right")
    for run in measured["runs"]:
        theirs = measured["peer"][run["dtype"]]
        best_settings = theirs["best"]["settings"]
        table.add_row(
            str(run["lanes"]),
            run["dtype"],
            f"{run['lane_tokens_per_s']:,.0f}",
            f"{theirs['usual']['tokens_per_s']:,.0f}",
            f"{run['ratio_to_peer']:.2f}",
            f"{theirs['best']['tokens_per_s']:,.0f} ({best_settings['layout']}, {best_settings['tokens_per_step']})",
            f"{run['ratio_to_peer_best']:.2f}",
            f"{run['tag_ratio_to_peer']:.2f}",
        )
    return table
