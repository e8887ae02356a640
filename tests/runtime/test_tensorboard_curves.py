"""Curves for TensorBoard."""

import sys

import pytest

from kd_jax.errors import InputError
from kd_jax.runtime.curves import OPEN, Curves

POINT = {"experiment": "logits", "cell": "students on Gene", "label": "SM a=0.5", "seed": 3, "step": 7}


def test_a_lane_is_a_run_and_an_epoch_a_point(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = Curves(tmp_path)
    for step, loss in ((7, 0.5), (14, 0.25)):
        curves.add(POINT | {"step": step, "loss": loss, "devel_f1": None, "lane_tokens_per_s": 100})
    curves.close()
    (folder,) = {path.parent for path in tmp_path.rglob("events.*")}
    assert folder == tmp_path / "logits/students-on-Gene/SM-a=0.5-seed3"
    found = EventAccumulator(str(folder))
    found.Reload()
    assert set(found.Tags()["tensors"]) == {"loss", "lane_tokens_per_s"}
    points = [(e.step, e.tensor_proto.float_val[0]) for e in found.Tensors("loss")]
    assert points == [(7, 0.5), (14, 0.25)]


def test_not_all_files_are_open_at_once(tmp_path, monkeypatch):
    class Writer:
        now, all_ = set(), []

        def __init__(self, folder):
            self.now.add(folder)
            self.all_.append(folder)
            self.folder = folder

        def add_scalar(self, *_):
            assert len(self.now) <= OPEN

        def flush(self):
            pass

        def close(self):
            self.now.remove(self.folder)

    monkeypatch.setitem(sys.modules, "tensorboard", type(sys)("tensorboard"))
    summary = type(sys)("tensorboard.summary")
    summary.Writer = Writer
    monkeypatch.setitem(sys.modules, "tensorboard.summary", summary)
    curves = Curves(tmp_path)
    for seed in range(2 * OPEN):
        curves.add(POINT | {"seed": seed, "loss": 1.0})
    assert len(Writer.now) == OPEN
    curves.close()
    assert (len(Writer.now), len(Writer.all_)) == (0, 2 * OPEN)


def test_without_the_extra_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setitem(sys.modules, "tensorboard.summary", None)
    with pytest.raises(InputError, match=r"pip install -e '.\[tensorboard\]'"):
        Curves(tmp_path)
