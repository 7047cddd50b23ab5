"""What the measurements share: rows of the one table, commands, and taking turns."""

import contextlib
import ctypes
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "_build/benchmarks"
BIN = Path(sys.executable).parent
CLOSE = 5e-4  # what float32 leaves of an angle of a thousand radians


class Row(NamedTuple):
    """A line of the table. Less is better, whatever the unit."""

    what: str
    against: str
    ours: float
    peer: float
    unit: str

    @property
    def ratio(self) -> float:
        """Ours as a multiple of the peer's."""
        return self.ours / self.peer


def report(name: str, rows: Callable[[], list[Row]], needs: tuple[str, ...] = ()):
    """Measure, print, and keep; nothing to measure where a peer is not installed."""
    absent = [package for package in needs if importlib.util.find_spec(package) is None]
    if absent:
        print(
            f"left out, since {' and '.join(absent)} is not installed: "
            "python -m pip install -c requirements.lock -e '.[oracle]'"
        )
        found = []
    else:
        torch.set_num_threads(1)
        found = rows()
    print(shown(found))
    keep(name, found)


def keep(name: str, rows: list[Row], **details: Any) -> None:
    """Write `_build/benchmarks/<name>.json`: rows for the table, and what else."""
    OUT.mkdir(parents=True, exist_ok=True)
    kept = details | {"rows": [row._asdict() for row in rows]}
    path = OUT / f"{name}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def shown(rows: Iterable[Row]) -> str:
    """Rows as text, for the terminal."""
    return "\n".join(
        f"{row.what}: {digits(row.ours)} {row.unit}; {row.against}: "
        f"{digits(row.peer)} {row.unit}; ratio {digits(row.ratio)}"
        for row in rows
    )


def digits(number: float) -> str:
    """Two digits that count: 1,500 and 0.031, never 1.5e+03."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:#.2g}"


# In this process


def timed(side: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its seconds of the processor: other processes on a busy
    machine do not count."""
    began = time.process_time()
    return side(), time.process_time() - began


def turns(sides: list[Callable[[], Any]], repeat: int) -> list[float]:
    """The median seconds of each side. They take turns, so that whatever slows the
    machine slows all of them; call each once before, or the first pays for that."""
    taken = [[timed(side)[1] for side in sides] for _ in range(repeat)]
    return [statistics.median(own) for own in zip(*taken)]


def compared(
    what: str,
    against: str,
    ours: Callable[[], Any],
    peer: Callable[[], Any],
    *,
    steps: int = 1,
    repeat: int = 15,
) -> Row:
    """A row, in milliseconds a step, of two functions that give the same tensors.

    Raises:
        AssertionError: they do not, to within `CLOSE`, relative and absolute.
    """
    torch.testing.assert_close(ours(), peer(), rtol=CLOSE, atol=CLOSE)
    mine, theirs = (1000 * s / steps for s in turns([ours, peer], repeat))
    return Row(what, against, mine, theirs, "ms")


# Commands


class Seconds(NamedTuple):
    """Of the clock on the wall, and of processors, all processes together."""

    wall: float
    cpu: float

    @classmethod
    def now(cls):
        """Read both; of the processors, what processes took that have ended."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # orphans, which come to us
                pass
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(time.perf_counter(), used.ru_utime + used.ru_stime)

    def __sub__(self, other):
        return Seconds(self.wall - other.wall, self.cpu - other.cpu)

    def __truediv__(self, number):
        return Seconds(self.wall / number, self.cpu / number)


def adopt_orphans() -> None:
    """What commands leave behind comes to this process, so that it is counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def command(folder: Path, env: dict[str, str], program: str, *arguments: str | Path):
    """Run an installed program; the seconds that it took.

    Raises:
        RuntimeError: it failed; the text is what it printed.
    """
    before = Seconds.now()
    ran = subprocess.run(
        [BIN / program, *arguments],
        cwd=folder,
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    seconds = Seconds.now() - before
    if ran.returncode:
        words = " ".join(map(str, arguments))
        raise RuntimeError(f"{program} {words}:\n{ran.stdout}")
    return seconds
