"""`lib.runtime` picks a device and a size, and never fails for want of a GPU."""

import json

import pytest
import torch

from lib import runtime


@pytest.fixture
def on(monkeypatch):
    return lambda name: monkeypatch.setenv("COURSE_DEVICE", name)


def test_a_missing_device_gives_the_cpu_and_a_sentence(on, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on("cuda")
    assert runtime.device() == torch.device("cpu")
    assert "runs on the CPU" in capsys.readouterr().out


def test_a_gpu_is_used_where_there_is_one(monkeypatch):
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.device().type == "cuda"
    assert runtime.pick(cpu=1, gpu=2) == 2


def test_pick_gives_the_cpu_size_on_a_cpu(on):
    on("cpu")
    assert runtime.pick(cpu="small", gpu="large") == "small"


def test_a_device_that_is_no_device_is_named(on):
    on("toaster")
    with pytest.raises(ValueError, match="'toaster'"):
        runtime.device()


def test_the_machine_is_described_with_its_versions(on):
    on("cpu")
    assert f"torch {torch.__version__}" in runtime.describe()
    assert "thread" in runtime.describe()


def test_recorded_numbers_are_read_whole_or_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "MEASURED", tmp_path)
    assert runtime.recorded("part/lesson") is None
    path = tmp_path / "part" / "lesson.json"
    path.parent.mkdir()
    record = {"device": "GPU", "date": "2026-01-01", "versions": {}, "values": {"a": 1}}
    path.write_text(json.dumps(record))
    assert runtime.recorded("part/lesson") == record
    del record["values"]
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="'values'"):
        runtime.recorded("part/lesson")


def test_only_a_run_on_a_gpu_made_for_it_is_recorded(tmp_path, monkeypatch, on):
    monkeypatch.setattr(runtime, "MEASURED", tmp_path)
    on("cpu")
    monkeypatch.setenv("COURSE_RECORD", "1")
    runtime.record("part/lesson", {"loss": 1.5})
    assert runtime.recorded("part/lesson") is None
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setenv("COURSE_RECORD", "0")
    runtime.record("part/lesson", {"loss": 1.5})
    assert runtime.recorded("part/lesson") is None
    monkeypatch.setenv("COURSE_RECORD", "1")
    runtime.record("part/lesson", {"loss": 1.5})
    measured = runtime.recorded("part/lesson")
    assert measured["device"] == "a GPU"
    assert measured["values"] == {"loss": 1.5}


def test_shapes_in_signatures_are_checked_while_testing(tmp_path):
    """The import hook of conftest.py is on: without it no shape would be checked."""
    assert hasattr(runtime.describe, "__wrapped__")
