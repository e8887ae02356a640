"""Eight devices give what one gives, whether lanes divide among them or some have to be filled up."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from kd_jax.training.mesh import use_all_cores

PROGRAM = """
import sys
import jax
import numpy as np
from kd_jax.structs import GOLD_ONLY
from kd_jax.training.loop import Lane, train
from helpers.lanes import HALF, last, make_job

jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
assert len(jax.local_devices()) == int(sys.argv[1])
lanes = [Lane(seed, HALF if seed % 2 else GOLD_ONLY) for seed in range(11)]
state = last(train(make_job(lanes, knowledge=True, epochs=1))).held
np.savez(sys.argv[2], *[x[:11] for x in jax.tree.leaves(state)])
"""


def train_on(devices, target):
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), *filter(None, sys.path)])
    own = {"PYTHONPATH": path, "JAX_ENABLE_COMPILATION_CACHE": "false", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, str(devices), str(target)]
    return subprocess.Popen(command, env=os.environ | own, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_eight_devices_give_what_one_gives(tmp_path):
    running = {devices: train_on(devices, tmp_path / f"{devices}.npz") for devices in (1, 8)}
    for devices, process in running.items():
        _, told = process.communicate()
        assert process.returncode == 0, f"{devices} devices: {told}"
    with np.load(tmp_path / "1.npz") as one, np.load(tmp_path / "8.npz") as eight:
        assert len(one.files) > 10
        for name in one.files:
            np.testing.assert_allclose(one[name], eight[name], atol=2e-6)


def test_a_number_of_devices_that_was_set_stays(monkeypatch):
    before = jax.local_device_count()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(before + 3))
    use_all_cores()
    assert jax.local_device_count() == before == jax.config.jax_num_cpu_devices
