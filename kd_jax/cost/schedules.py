"""Cycles of a TPU's kernels from their schedules, which its compiler writes instruction bundle by instruction bundle.

A bundle is one cycle. Loops are marked by depth and not by trips, so a kernel says how often each of its loops runs, in
the metadata of its call.
"""

import re
from collections import Counter
from pathlib import Path

_BUNDLE = re.compile(r"^\s*(?:0x)?[0-9a-f]+\s*(?:(?:LH|LB|LE|PB|PF|CT)\s*)*:\s*(>*)\s*\{", re.M)
_TRIPS = re.compile(r'"trips":"([\d,]+)"')


def find_schedules(dump: Path) -> dict[str, Path]:
    """The final schedule of every kernel in a folder that the compiler wrote, by the operation's name."""
    found = {}
    for path in sorted(dump.glob("*-final_bundles.txt")):
        named = re.match(r"\d+-(.+)-\d+-final_bundles\.txt$", path.name)
        if named and "schedule-analysis" not in path.name:
            found[named[1]] = path
    return found


def bundles(text: str) -> Counter[int]:
    """Bundles of a schedule at each depth of loops."""
    return Counter(len(depth) for depth in _BUNDLE.findall(text))


def kernel_trips(call: str) -> tuple[int, ...]:
    """How often a kernel's loops run, outermost first, from its call's text; () where it does not say."""
    found = _TRIPS.search(call)
    return tuple(int(trip) for trip in found[1].split(",")) if found else ()


def kernel_cycles(counted: Counter[int], trips: tuple[int, ...]) -> int:
    """Cycles of a kernel: bundles at each depth times the trips of the loops around them."""
    total, times = counted[0], 1
    for depth in range(1, max(counted, default=0) + 1):
        times *= trips[depth - 1] if depth <= len(trips) else 1
        total += times * counted[depth]
    return total


def row_bound(counted: Counter[int], rows: int) -> int:
    """Cycles that an operation row by row takes at most: every row a whole pass through all of its loops."""
    return counted[0] + rows * sum(number for depth, number in counted.items() if depth)
