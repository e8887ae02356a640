"""What a compiled program's text says of one step: kernels, bytes and cycles, with loops multiplied by their trips.

The text is XLA's own, of the program after all its passes. A step is a pass of the loop over a chunk's batches.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

FREE = frozenset(
    ["get-tuple-element", "tuple", "parameter", "constant", "bitcast", "while", "conditional", "call", "after-all"]
)
"""Operations that launch nothing themselves."""
_LINE = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*)$")
_START = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")
_WIDTH = {"pred": 1, "s4": 1, "u4": 1, "bf16": 2, "f16": 2, "f64": 8, "s64": 8, "u64": 8, "c64": 8}
ON_CHIP = re.compile(r"S\([1-9]\d*\)")  # a layout's memory space: 0, the device's memory, is not written


@dataclass(frozen=True)
class Op:
    """One line of a computation.

    Attributes:
        name: of the operation, unique in the program.
        shape: of its result, as text.
        kind: such as fusion, copy or gather.
        operands: names.
        text: the rest of the line, from its operands on.
    """

    name: str
    shape: str
    kind: str
    operands: tuple[str, ...]
    text: str

    def attribute(self, name: str) -> str:
        """The computation that an attribute such as "body" names; "" where there is none."""
        found = re.search(rf"\b{name}=%?([\w.\-]+)", self.text)
        return found[1] if found else ""

    def numbers(self, name: str) -> tuple[int, ...]:
        """What an attribute such as "slice_sizes" lists; nothing where there is none."""
        found = re.search(rf"\b{name}={{([\d,]*)}}", self.text)
        return tuple(int(number) for number in found[1].split(",") if number) if found else ()

    @property
    def estimate(self) -> int | None:
        """The compiler's own estimate of its cycles."""
        found = re.findall(r'"estimated_cycles":"(\d+)"', self.text)
        return sum(map(int, found)) if found else None

    @property
    def source(self) -> str:
        """What the operation comes from, as JAX names it."""
        found = re.search(r'op_name="([^"]*)"', self.text)
        return found[1] if found else ""


class Counted(NamedTuple):
    """An operation and how often a step runs it.

    Attributes:
        op: the operation.
        times: a step, loops multiplied.
        computation: that it is in.
        bytes: that one run moves between it and the device's memory.
    """

    op: Op
    times: int
    computation: str
    bytes: int


@dataclass
class Program:
    """A compiled program's text, read.

    Attributes:
        computations: the operations of each, in order; the first to run is under "ENTRY".
        frames: file and line of each stack frame id.
    """

    computations: dict[str, list[Op]]
    frames: dict[str, str] = field(default_factory=dict)


def unbroken(text: str) -> str:
    """A program's text with every operation on one line, where XLA breaks those that have metadata of their own."""
    return re.sub(r"kernel_metadata=\{[^}]*\}", lambda found: found[0].replace("\n", ""), text)


def read(text: str) -> Program:
    """A program from what `compiled.as_text()` gives, `unbroken`."""
    found: dict[str, list[Op]] = {}
    current: list[Op] | None = None
    for line in re.sub(r"/\*index=\d+\*/", "", text).splitlines():
        if start := _START.match(line):
            current = found[start[2]] = []
            if start[1]:
                found["ENTRY"] = current
        elif line.startswith("}"):
            current = None
        elif current is not None and (op := _LINE.match(line)):
            inside = op[4].split(")", 1)[0]
            current.append(Op(op[1], op[2], op[3], tuple(re.findall(r"%([\w.\-]+)", inside)), op[4]))
    return Program(found, _frames(text))


def _frames(text: str) -> dict[str, str]:
    """File:line of every stack frame, from the tables at the text's head."""
    names = dict(re.findall(r'^(\d+) "([^"]+\.py)"$', text, re.M))
    places = {
        number: f"{names.get(file, '?')}:{line}"
        for number, file, line in re.findall(r"^(\d+) \{file_name_id=(\d+) .*?\bline=(\d+) ", text, re.M)
    }
    frames = re.findall(r"^(\d+) \{file_location_id=(\d+)", text, re.M)
    return {number: places.get(place, "") for number, place in frames}


def dimensions(shape: str) -> tuple[int, ...]:
    """Sizes of an array; of a tuple those of its first."""
    found = re.search(r"\[([\d,]*)\]", shape)
    return tuple(int(size) for size in found[1].split(",") if size) if found else ()


def array_bytes(shape: str) -> int:
    """Bytes of an array's or tuple's shape."""
    return _bytes(shape, everywhere=True)


def memory_bytes(shape: str) -> int:
    """Bytes of the arrays of a shape that its layout places in the device's memory rather than on the chip."""
    return _bytes(shape, everywhere=False)


def _bytes(shape: str, *, everywhere: bool) -> int:
    total = 0
    for kind, sizes, layout in _ARRAY.findall(shape):
        if kind in {"token", "opaque"} or (not everywhere and ON_CHIP.search(layout)):
            continue
        number = 1
        for size in filter(None, sizes.split(",")):
            number *= int(size)
        total += number * _WIDTH.get(kind, 1 if kind.startswith("f8") or kind in {"s8", "u8"} else _of_bits(kind))
    return total


def _of_bits(kind: str) -> int:
    bits = re.search(r"\d+", kind)
    return int(bits[0]) // 8 if bits else 0


def trips(program: Program, loop: Op) -> int:
    """How often a loop runs: as its text says or, where it does not, the constant that its counter is compared with."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.text)
    if known:
        return int(known[1])
    condition = program.computations.get(loop.attribute("condition"), [])
    compared = [op for op in condition if op.kind in {"compare", "fusion"}]
    names = {name for op in compared for name in op.operands}
    # A scan's loop counts from 0 up to a constant, so of constants that are compared the largest is that.
    constants = [op for op in condition if op.kind == "constant" and op.name in names]
    values = [int(found[1]) for op in constants if (found := re.match(r"(\d+)\)", op.text))]
    return max(values, default=1)


def step_of(program: Program) -> str:
    """The body of the outermost loop that does most: one step of a chunk. ENTRY where there is no loop."""
    loops = [op for op in program.computations["ENTRY"] if op.kind == "while"]
    if not loops:
        return "ENTRY"
    return max((op.attribute("body") for op in loops), key=lambda body: sum(1 for _ in walk(program, body)))


def around_steps(program: Program) -> Program:
    """What a call does once: the program without the loop over its steps; nothing where it has none."""
    step = step_of(program)
    entry = [op for op in program.computations["ENTRY"] if op.attribute("body") != step]
    return Program(program.computations | {"ENTRY": [] if step == "ENTRY" else entry}, program.frames)


def walk(program: Program, name: str, times: int = 1) -> Iterator[Counted]:
    """What one run of a computation launches, in loops and calls too."""
    ops = program.computations[name]
    shapes = {op.name: op for op in ops}
    for op in ops:
        if op.kind == "while":
            yield from walk(program, op.attribute("body"), times * trips(program, op))
        elif op.kind == "conditional":
            branches = re.search(r"branch_computations=\{([^}]*)\}", op.text)
            named = (
                re.findall(r"%?([\w.\-]+)", branches[1])
                if branches
                else [op.attribute("true_computation"), op.attribute("false_computation")]
            )
            # Which branch a run takes is not known: the one that launches most is a bound.
            longest = max((list(walk(program, branch, times)) for branch in named), key=len)
            yield from longest
        elif op.kind == "call":
            yield from walk(program, op.attribute("to_apply"), times)
        elif op.kind not in FREE:
            yield Counted(op, times, name, moved(program, op, shapes))


def moved(program: Program, op: Op, beside: dict[str, Op]) -> int:
    """Bytes that an operation moves to and from the device's memory.

    A slice of a large array counts as the slice, an array that is updated in place as the update; what is on the chip
    already, as nothing.
    """
    # An asynchronous copy is two operations, and counted where it starts; the custom calls only reserve or name memory.
    if op.kind.endswith("-done") or (op.kind == "custom-call" and re.search("AllocateBuffer|ConcatBitcast", op.text)):
        return 0
    if op.kind.endswith("-start"):  # source, what arrives, and a context: a slice arrives smaller than its source
        sizes = [array_bytes(found[0]) for found in _ARRAY.finditer(op.shape)]
        return min((size for size in sizes if size > 8), default=0)
    if op.kind == "custom-call" and (told := re.search(r'"bytes":"(\d+)"', op.text)):  # of large arrays a few rows
        return int(told[1])
    inside = program.computations.get(op.attribute("calls"), []) if op.kind == "fusion" else []
    whole = [beside[name] for name in op.operands if name in beside]
    if not inside:
        # What is taken is read and written; the rest of the operand is not touched.
        if op.kind in {"gather", "dynamic-slice", "slice"}:
            return 2 * memory_bytes(op.shape)
        return memory_bytes(op.shape) + sum(memory_bytes(x.shape) for x in whole)
    users: dict[str, list[Op]] = defaultdict(list)
    for inner in inside:
        for name in inner.operands:
            users[name].append(inner)
    # A fusion's operand is moved as far as its parameter is used inside: by slices only, as these slices; as the target
    # of updates in place, as the updates, and the result is then no new array either.
    total, in_place = 0, 0
    parameters = {op.text.split(")")[0]: op for op in inside if op.kind == "parameter"}
    for number, operand in enumerate(whole):
        size = memory_bytes(operand.shape)
        own = parameters.get(str(number))
        uses = _through(own.name, users) if own else []
        if size and uses and all(use.kind in {"dynamic-slice", "gather", "slice"} for use in uses):
            size = min(size, sum(array_bytes(use.shape) for use in uses))
        elif (
            size
            and own
            and uses
            and all(use.kind in {"dynamic-update-slice", "scatter"} and array_bytes(use.shape) == size for use in uses)
        ):
            updates = {x.name: x for x in inside}
            # Operands: dynamic-update-slice(target, update, indices...), scatter(target, indices, updates).
            size = sum(array_bytes(updates[use.operands[-1 if use.kind == "scatter" else 1]].shape) for use in uses)
            in_place += memory_bytes(operand.shape) - size
        total += size
    return total + max(0, memory_bytes(op.shape) - in_place)


def _through(name: str, users: dict[str, list[Op]]) -> list[Op]:
    """Uses of a value, seen through what only renames it."""
    found = []
    for use in users[name]:
        found += _through(use.name, users) if use.kind == "bitcast" else [use]
    return found
