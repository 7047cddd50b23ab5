"""Where a chapter runs, at which size, and what was measured or trained elsewhere."""

import dataclasses
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from filelock import FileLock
from torch import Tensor

from lib import reach

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[1]
MEASURED = ROOT / "book" / "_measured"
TRAINED = ROOT / "_build" / "trained"
BEGUN = time.time()  # what `lib` imported before this line is seconds older


def device() -> torch.device:
    """The GPU if this machine has one that torch can use, else the CPU.

    The environment variable `COURSE_DEVICE` (`cpu`, `cuda`, `cuda:1`, `mps`) overrides
    the choice. Asking for a device that is not there gives the CPU and says so: a
    chapter never fails for want of a GPU.

    Raises:
        ValueError: `COURSE_DEVICE` is not the name of a device.
    """
    wanted = os.environ.get("COURSE_DEVICE")
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(wanted)
    except RuntimeError:
        raise ValueError(
            f"COURSE_DEVICE must be a torch device such as cpu or cuda, got {wanted!r}"
        ) from None
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if present.get(chosen.type, False):
        return chosen
    print(f"No {chosen.type} device here: this page runs on the CPU at its size.")
    return torch.device("cpu")


def pick(*, cpu: T, gpu: T) -> T:
    """`gpu` where `device()` is an accelerator, else `cpu`: the size of an experiment.

    Both are given as data, so that a test can build the branch that nobody runs.
    """
    return cpu if device().type == "cpu" else gpu


def _name(chosen: torch.device) -> str | None:
    """What an accelerator is called; None for the CPU."""
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    return None if chosen.type == "cpu" else chosen.type


def describe() -> str:
    """The machine in words, for the foot of a page: device, threads, versions."""
    threads = torch.get_num_threads()
    plural = "" if threads == 1 else "s"
    name = _name(device()) or f"{platform.machine()} CPU, {threads} thread{plural}"
    return f"{name}, Python {platform.python_version()}, torch {torch.__version__}"


def recorded(lesson: str) -> dict | None:
    """What was measured for '<part>/<lesson>' on a GPU, or None.

    The file `book/_measured/<part>/<lesson>.json` holds `device`, `date`, `versions`
    and `values`, as `record` wrote them.

    Raises:
        ValueError: the file lacks one of these.
    """
    path = MEASURED / f"{lesson}.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    for key in ("device", "date", "versions", "values"):
        if key not in record:
            raise ValueError(f"{path.name} of {lesson} has no {key!r}")
    return record


def record(lesson: str, values: dict[str, float]) -> None:
    """Keep what a run on a GPU measured, for the pages built on machines without.

    Does nothing on a CPU, or where `COURSE_RECORD` is not 1: the file is committed,
    and only a run made for the purpose may change it.
    """
    chosen = device()
    if chosen.type == "cpu" or os.environ.get("COURSE_RECORD") != "1":
        return
    path = MEASURED / f"{lesson}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    measured = {
        "device": _name(chosen),
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "values": values,
    }
    path.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


def _modules(value: object) -> set[str]:
    """The modules whose dataclasses make up an argument.

    Raises:
        ValueError: it holds what its repr may not tell from others, or what no module
            of `lib` defines.
    """
    parts, modules = value, set()
    if dataclasses.is_dataclass(value) and type(value).__module__.startswith("lib."):
        modules = {type(value).__module__}
        parts = tuple(getattr(value, each.name) for each in dataclasses.fields(value))
    if isinstance(parts, tuple):
        return modules.union(*(_modules(part) for part in parts))
    if parts is None or isinstance(parts, int | float | str):
        return modules
    raise ValueError(
        "args must be numbers, strings, tuples or dataclasses of lib, made of the "
        f"same, which their repr tells apart, got a {type(value).__name__}"
    )


def _depends(make: Callable, args: tuple) -> set[Path]:
    """The files that the result of `make(*args)` depends on.

    Raises:
        ValueError: `make` is not a function that a module of `lib` holds by its name,
            or an argument is not plain.
    """
    module, name = (str(getattr(make, f"__{a}__", None)) for a in ("module", "name"))
    held = getattr(sys.modules.get(module), name, None)
    if not module.startswith("lib.") or held is not make:
        raise ValueError(
            "make must be a function of a module of lib, under its name there: its "
            f"code is part of the key, got {make!r}"
        )
    modules = {__name__, module}.union(*(_modules(value) for value in args))
    imports = "\n".join(f"import {each}" for each in modules)
    return reach.reached(imports, ROOT) | set(ROOT.glob("requirements.lock"))


def trained(
    name: str, make: Callable[..., dict[str, Tensor]], *args: object
) -> dict[str, Tensor]:
    """What `make(*args)` returns, made once for all chapters that ask for it.

    `make` is a function of a `lib` module that trains a model from fixed seeds and
    returns its weights, curves and the like. The result is kept under the build
    directory as '<part>/<noun>', and made anew when `args`, the device, torch, the
    lock file or a file of `lib` has changed that `make` or `args` reach by imports. Of
    two chapters that ask at the same time one makes it and the other waits. Tensors
    come back on the CPU.

    A function of a notebook, a lambda or a closure is refused: what it depends on
    cannot be read from imports. A file that was edited since this process began may
    not be the one that was imported: then the result is returned and not kept.

    Raises:
        ValueError: `make` is not a function that a module of `lib` holds by its name,
            or an argument has no repr that would tell it from others.
    """
    files = _depends(make, args)
    what = (make.__module__, make.__name__, args, str(device()), torch.__version__)
    version = reach.key(repr(what), files, ROOT)
    path = TRAINED / f"{name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            kept = torch.load(path, weights_only=True)
            if kept["version"] == version:
                return kept["made"]
        made = {key: value.detach().cpu() for key, value in make(*args).items()}
        if all(file.stat().st_mtime < BEGUN for file in files):
            part = path.with_suffix(".part")
            torch.save({"version": version, "made": made}, part)
            part.replace(path)
    return made
