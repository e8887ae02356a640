"""The process that compiles for one device that is not here; `kd_jax.cost.ahead` starts it.

python -m kd_jax.bench.compile_for '{"device": "v5e", "lanes": [15], ...}'
"""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from kd_jax import cli
from kd_jax.cost.ahead import CompileRequest
from kd_jax.cost.compiled import CompiledCost, Traced, compile_program
from kd_jax.cost.targets import target_named


def compile_one(text: str) -> None:
    """Compile for one device and print each program's cost as a line of JSON."""
    from jax.errors import JaxRuntimeError  # noqa: PLC0415 - JAX reads the environment

    from kd_jax.bench.programs import programs  # noqa: PLC0415

    asked = json.loads(text)
    dump = Path(asked.pop("dump"))
    dump.mkdir()
    request = CompileRequest(**asked)
    keep = Path(request.hlo) if request.hlo else None
    seen: set[tuple[str, int]] = set()
    for program in programs(request):
        if request.programs and program.name not in request.programs:
            continue
        # Knowledge is read by one lane, whatever the lanes of the others.
        if (program.name, program.lanes) in seen:
            continue
        seen.add((program.name, program.lanes))
        # Programs are named after themselves and the device, so those of other lanes would take their place.
        folder = keep / f"lanes-{program.lanes}" if keep and len(request.lanes) > 1 else keep
        try:
            one = compile_program(target_named(request.device), program, dump, folder).as_dict()
        except JaxRuntimeError as fault:
            if "RESOURCE_EXHAUSTED" not in str(fault):
                raise
            one = without_cost(program, request.device) | {"fault": too_large(str(fault))}
        print(json.dumps(one), flush=True)


def without_cost(program: Traced, device: str) -> dict[str, Any]:
    """What is known of a program that the device has no memory for; None for all that a compiler would have said."""
    known = {"device": device, "program": program.name, "lanes": program.lanes}
    sizes = {"device_bytes": target_named(device).bytes, "predicted_bytes": program.predicted}
    return dict.fromkeys(part.name for part in fields(CompiledCost)) | known | sizes


def too_large(text: str) -> str:
    """What a compiler that is out of the device's memory says, in short: how much is needed and how much there is."""
    needed = re.search(r"\(?([\d.]+[KMGT]i?B?)\)? exceeds available \w+ \(?([\d.]+[KMGT]i?B?)\)?", text)
    return "does not fit" + (f": needs {needed[1]} of {needed[2]}" if needed else "")


if __name__ == "__main__":
    cli.leave(lambda: compile_one(sys.argv[1]))
