"""`lib.runtime` picks a device and a size, and never fails for want of a GPU."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from filelock import FileLock

from lib import runtime


@pytest.fixture
def on(monkeypatch):
    return lambda name: monkeypatch.setenv("COURSE_DEVICE", name)


def test_a_missing_device_gives_the_cpu_and_a_sentence(on, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on("cuda")
    assert runtime.device() == torch.device("cpu")
    assert "runs on the CPU" in capsys.readouterr().out


def test_a_device_of_another_kind_gives_the_cpu_and_a_sentence(on, capsys):
    on("meta")
    assert runtime.device() == torch.device("cpu")
    assert "No meta device here" in capsys.readouterr().out


def test_the_cpu_that_was_asked_for_needs_no_sentence(on, capsys):
    on("cpu")
    assert runtime.device() == torch.device("cpu")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("count", "said"), [(1, "1 thread,"), (2, "2 threads,")])
def test_one_thread_is_not_threads(on, monkeypatch, count, said):
    on("cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: count)
    assert said in runtime.describe()


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
    monkeypatch.setattr(runtime, "MEASURED", tmp_path / "book" / "_measured")
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


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one `lib` module, whose function counts how often it was called."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "noun.py").write_text("LEARNING_RATE = 0.1\n")
    monkeypatch.setattr(runtime, "ROOT", tmp_path)
    monkeypatch.setattr(runtime, "TRAINED", tmp_path / "_build" / "trained")
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    return tmp_path


def counted(monkeypatch):
    calls = []

    def make(*args):
        calls.append(args)
        weight = torch.nn.Parameter(torch.tensor([1.5, len(calls)]))
        return {"weight": weight, "losses": torch.zeros(3, dtype=torch.float64)}

    make.__module__, make.__qualname__ = "lib.noun", "make"
    return make, calls


def test_a_model_is_trained_once_for_all_who_ask(course, monkeypatch):
    make, calls = counted(monkeypatch)
    first = runtime.trained("part/model", make, 3, "small")
    again = runtime.trained("part/model", make, 3, "small")
    assert calls == [(3, "small")]
    assert first.keys() == again.keys()
    for key, value in first.items():
        assert torch.equal(value, again[key])
        assert again[key].dtype == value.dtype
        assert not value.requires_grad


@pytest.mark.parametrize("change", ["code", "argument", "lock", "name of a file"])
def test_a_model_is_trained_anew_when_what_made_it_changed(course, monkeypatch, change):
    make, calls = counted(monkeypatch)
    runtime.trained("part/model", make, 3)
    if change == "code":
        (course / "lib" / "noun.py").write_text("LEARNING_RATE = 0.2\n")
    elif change == "name of a file":
        (course / "lib" / "noun.py").rename(course / "lib" / "verb.py")
    elif change == "lock":
        (course / "requirements.lock").write_text("torch==0\n")
    again = runtime.trained("part/model", make, 4 if change == "argument" else 3)
    assert len(calls) == 2
    assert again["weight"][1] == 2


def test_who_asks_meanwhile_waits_for_the_one_who_trains(course, monkeypatch):
    make, calls = counted(monkeypatch)
    begun = threading.Event()

    def slowly(*args):
        begun.set()
        return make(*args)

    slowly.__module__, slowly.__qualname__ = "lib.noun", "slowly"
    lock = FileLock(runtime.TRAINED / "part" / "model.lock")
    with lock, ThreadPoolExecutor() as pool:
        asked = [pool.submit(runtime.trained, "part/model", slowly) for _ in range(2)]
        assert not begun.wait(0.2)
        lock.release()
        results = [one.result() for one in asked]
    assert len(calls) == 1
    assert torch.equal(results[0]["weight"], results[1]["weight"])


def test_training_that_fails_keeps_nothing(course, monkeypatch):
    def make():
        raise RuntimeError("diverged")

    make.__module__, make.__qualname__ = "lib.noun", "make"
    with pytest.raises(RuntimeError, match="diverged"):
        runtime.trained("part/model", make)
    make, calls = counted(monkeypatch)
    runtime.trained("part/model", make)
    assert len(calls) == 1


def seconds():
    return {}


def test_code_outside_lib_is_refused(course):
    """A notebook's own function is not in the key: its change would go unseen."""
    with pytest.raises(ValueError, match=r"make must be a function.*of lib"):
        runtime.trained("part/model", lambda: {})
    with pytest.raises(ValueError, match=r"make must be a function.*of lib"):
        runtime.trained("part/model", seconds)


@pytest.mark.parametrize("value", [torch.zeros(2), [1], (1, object())])
def test_an_argument_must_be_told_from_others_by_its_repr(course, monkeypatch, value):
    make, calls = counted(monkeypatch)
    with pytest.raises(ValueError, match=f"got a {type(value).__name__}"):
        runtime.trained("part/model", make, value)
    assert not calls
