"""`lib.runtime` picks a device and a size, and never fails for want of a GPU."""

import functools
import json
import math
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType

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
    """A course whose `lib` reaches one of its modules in every way, and one in none."""
    lib = tmp_path / "lib"
    for folder in (lib, lib / "part", lib / "data"):
        folder.mkdir()
    files = {
        "noun": "from lib.part import lesson\n",
        "part/lesson": "def make():\n    import lib.deep as deep\n",
        "deep": "from .part.beside import RATE\n",
        "part/beside": "from . import last\n",
        "part/last": "DATA = 'numbers.csv'\n",
        "plain": "class Size:\n    pass\n",
        "other": "from lib import noun\n",
        "runtime": "",
    }
    for name, text in files.items():
        (lib / f"{name}.py").write_text(text)
    for name in ("numbers", "others"):
        (lib / "data" / f"{name}.csv").write_text("1\n")
    monkeypatch.setattr(runtime, "ROOT", tmp_path)
    monkeypatch.setattr(runtime, "TRAINED", tmp_path / "_build" / "trained")
    monkeypatch.setattr(runtime, "BEGUN", math.inf)  # nobody edits what was imported
    monkeypatch.setitem(sys.modules, "lib.noun", ModuleType("lib.noun"))
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    return tmp_path


def noun(function):
    """`function` as if the module `lib.noun` held it."""
    function.__module__, function.__qualname__ = "lib.noun", function.__name__
    setattr(sys.modules["lib.noun"], function.__name__, function)
    return function


@pytest.fixture
def counted(course):
    """A function of `lib.noun`, and what it was called with."""
    calls = []

    @noun
    def make(*args):
        calls.append(args)
        weight = torch.nn.Parameter(torch.tensor([1.5, len(calls)]))
        return {"weight": weight, "losses": torch.zeros(3, dtype=torch.float64)}

    return make, calls


@dataclass(frozen=True)
class Size:
    """An argument with code of its own, in a module that `make` does not import."""

    steps: int
    note: object = None


Size.__module__ = "lib.plain"


def test_a_model_is_trained_once_for_all_who_ask(counted):
    make, calls = counted
    first = runtime.trained("part/model", make, 3, "small")
    again = runtime.trained("part/model", make, 3, "small")
    assert calls == [(3, "small")]
    assert first.keys() == again.keys()
    for key, value in first.items():
        assert torch.equal(value, again[key])
        assert again[key].dtype == value.dtype
        assert not value.requires_grad


@pytest.mark.parametrize(
    "file",
    [
        "lib/noun.py",
        "lib/part/lesson.py",
        "lib/deep.py",  # imported in a function
        "lib/part/beside.py",  # relatively
        "lib/part/last.py",
        "lib/data/numbers.csv",
        "lib/plain.py",  # by the class of an argument alone
        "lib/runtime.py",
        "requirements.lock",
    ],
)
def test_a_model_is_trained_anew_when_a_file_that_made_it_changed(
    course, counted, file
):
    make, calls = counted
    runtime.trained("part/model", make, Size(3))
    with (course / file).open("a") as text:
        text.write("# edited\n")
    again = runtime.trained("part/model", make, Size(3))
    assert len(calls) == 2
    assert again["weight"][1] == 2


@pytest.mark.parametrize("file", ["lib/other.py", "lib/new.py", "lib/data/others.csv"])
def test_a_file_that_did_not_make_a_model_leaves_it(course, counted, file):
    make, calls = counted
    runtime.trained("part/model", make, Size(3))
    with (course / file).open("a") as text:
        text.write("# edited\n")
    runtime.trained("part/model", make, Size(3))
    assert len(calls) == 1


@pytest.mark.parametrize("other", [Size(4), (Size(3),), Size(3, "slow"), 3, "3"])
def test_other_arguments_make_another_model(counted, other):
    make, calls = counted
    runtime.trained("part/model", make, Size(3))
    runtime.trained("part/model", make, other)
    assert calls == [(Size(3),), (other,)]


@pytest.mark.parametrize(
    "change",
    [(torch, "__version__", "99.0"), (runtime, "device", lambda: torch.device("meta"))],
    ids=["torch", "device"],
)
def test_another_torch_or_device_makes_another_model(counted, monkeypatch, change):
    make, calls = counted
    runtime.trained("part/model", make)
    monkeypatch.setattr(*change)
    runtime.trained("part/model", make)
    assert len(calls) == 2


def test_another_function_of_the_module_makes_another_model(counted):
    make, _ = counted

    @noun
    def other():
        return {"weight": torch.ones(1)}

    runtime.trained("part/model", make)
    assert runtime.trained("part/model", other)["weight"] == 1


@pytest.mark.parametrize("when", ["before it trains", "while it trains"])
def test_an_edit_since_the_import_keeps_nothing(course, counted, monkeypatch, when):
    """The code that runs is the old one: under the new key it would never be mended."""
    make, calls = counted
    monkeypatch.setattr(runtime, "BEGUN", time.time() + 60)
    later = time.time() + 120

    @noun
    def edited():
        os.utime(course / "lib" / "deep.py", (later, later))
        return make()

    if when == "before it trains":
        os.utime(course / "lib" / "part" / "last.py", (later, later))
    runtime.trained("part/model", edited)
    runtime.trained("part/model", edited)
    assert len(calls) == 2


def test_who_asks_meanwhile_waits_for_the_one_who_trains(counted):
    make, calls = counted
    begun = threading.Event()

    @noun
    def slowly(*args):
        begun.set()
        return make(*args)

    lock = FileLock(runtime.TRAINED / "part" / "model.lock")
    with lock, ThreadPoolExecutor() as pool:
        asked = [pool.submit(runtime.trained, "part/model", slowly) for _ in range(2)]
        assert not begun.wait(0.2)
        lock.release()
        results = [one.result() for one in asked]
    assert len(calls) == 1
    assert torch.equal(results[0]["weight"], results[1]["weight"])


def test_training_that_fails_keeps_nothing(counted):
    make, calls = counted

    @noun
    def fails():
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        runtime.trained("part/model", fails)
    runtime.trained("part/model", make)
    assert len(calls) == 1


def of_a_notebook():
    return {}


def closure():
    def make():
        return {}

    return make


@pytest.mark.parametrize(
    "make",
    [lambda: {}, closure(), functools.partial(runtime.describe), of_a_notebook],
    ids=["lambda", "closure", "partial", "notebook"],
)
def test_what_no_module_of_lib_holds_is_refused(course, make):
    """A notebook's own function is not in the key: its change would go unseen."""
    with pytest.raises(ValueError, match=r"make must be a function.*of lib"):
        runtime.trained("part/model", make)


def test_a_function_that_only_looks_like_one_of_lib_is_refused(counted):
    """As `functools.wraps` makes it, or an old one after a module was loaded anew."""
    make, _ = counted
    like = functools.wraps(make)(lambda: {})
    with pytest.raises(ValueError, match="under its name there"):
        runtime.trained("part/model", like)


class OfANotebook(Size):
    pass


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (torch.zeros(2), "Tensor"),
        ([1], "list"),
        ((1, object()), "object"),
        (Size(3, object()), "object"),
        (OfANotebook(3), "OfANotebook"),
    ],
)
def test_an_argument_must_be_told_from_others_by_its_repr(counted, value, named):
    make, calls = counted
    with pytest.raises(ValueError, match=f"got a {named}"):
        runtime.trained("part/model", make, value)
    assert not calls
