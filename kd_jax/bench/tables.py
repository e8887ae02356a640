"""What a bench measured, for people."""

from collections.abc import Iterator
from typing import Any

from rich.table import Table


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """Speed, what it takes, the floor and, with the peer, the comparison.

    Args:
        found: as `kd_jax.bench.measure.measure` gives it.
    """
    yield _ours(found)
    yield _taken(found)
    yield _floor(found)
    if "peer" in found:
        yield _compared(found)


def _ours(found: dict[str, Any]) -> Table:
    rates = ", ".join(f"{dtype} {rate / 1e9:,.0f}" for dtype, rate in found["matmul_flops_per_s"].items())
    table = Table(
        title=f"{', '.join(found['corpora'])} on {found['device']}",
        caption=f"real tokens/s of all lanes together and of a lane; measured matmul GFLOP/s: {rates}",
    )
    for column in ("lanes", "dtype", "train", "a lane", "tag", "real", "MFLOP a token", "of the matmul rate"):
        table.add_column(column, justify="right")
    for run in found["runs"]:
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


def _taken(found: dict[str, Any]) -> Table:
    starts = ""
    if "start_cold_s" in found:
        starts = (
            f"; a fresh process has its first steps after {found['start_cold_s']:.1f} s, "
            f"after {found['start_warm_s']:.1f} s with programs compiled before"
        )
    table = Table(
        title="What it takes",
        caption=f"MB of arrays: predicted from shapes, as compiled, and as a fresh process grew{starts}",
    )
    for column in ("lanes", "dtype", "compiling", "predicted", "compiled", "measured"):
        table.add_column(column, justify="right")
    for run in found["runs"]:
        table.add_row(
            str(run["lanes"]),
            run["dtype"],
            f"{run['compile_s']:.1f} s",
            f"{run['predicted_bytes'] / 1e6:,.0f}",
            f"{run['program_bytes'] / 1e6:,.0f}",
            f"{run['peak_bytes'] / 1e6:,.0f}" if "peak_bytes" in run else "",
        )
    return table


def _floor(found: dict[str, Any]) -> Table:
    table = Table(
        title=f"The floor of one lane's train step, {found['runs'][0]['dtype']}",
        caption="Adam's traffic included in the weights'",
    )
    for column in ("layer", "MFLOP", "MB activations", "MB weights", "MB recurrent weights, read every time step"):
        table.add_column(column, justify="left" if column == "layer" else "right")
    for layer in found["layers"]:
        sizes = (layer[name] / 1e6 for name in ("operations", "activations", "weights", "recurrent"))
        table.add_row(layer["name"], *(f"{size:,.1f}" for size in sizes))
    return table


def _compared(found: dict[str, Any]) -> Table:
    table = Table(
        title="Beside PyTorch, in turn",
        caption="ratios of medians; several lanes beside as many of its runs in turn",
    )
    for column in ("lanes", "dtype", "ours", "PyTorch", "ratio", "its best batch", "ratio at the best", "tagging"):
        table.add_column(column, justify="right")
    for run in found["runs"]:
        theirs = found["peer"][run["dtype"]]
        asked = theirs["best"]["settings"]
        table.add_row(
            str(run["lanes"]),
            run["dtype"],
            f"{run['lane_tokens_per_s']:,.0f}",
            f"{theirs['usual']['tokens_per_s']:,.0f}",
            f"{run['ratio_to_peer']:.2f}",
            f"{theirs['best']['tokens_per_s']:,.0f} ({asked['layout']}, {asked['tokens_per_step']})",
            f"{run['ratio_to_peer_best']:.2f}",
            f"{run['tag_ratio_to_peer']:.2f}",
        )
    return table
