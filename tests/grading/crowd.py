"""A class, and the programs that grade it, watched from outside."""

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from room import PART, Room

from course.grading import verdicts

LESSON = f"{PART}/first"
RIGHT = "def double(x):\n    return x + x"
TRIPLE = "def triple(x):\n    return 3 * x"
# Answers to the first task, with the points of its tests and the status.
ANSWERS = {
    "right": (RIGHT, (2, 1), "passed"),
    "wrong": ("def double(x):\n    return x * x * x + x", (0, 0), "wrong"),
    "raises": ("def double(x):\n    return x / 0", (0, 0), "wrong"),
    "ends": ("import os\n\ndef double(x):\n    os._exit(3)", (0, 0), "crashed"),
    "untouched": (None, (0, 0), "not attempted"),
}
TESTS = ("double", "double_twice", "triple")
COMMAND = [sys.executable, "-P", "-m", "course.cli"]


def hand_in(room: Room, learners: int) -> dict[str, str]:
    """A class's notebooks; the kind of each learner's answers."""
    kinds = {}
    for number in range(learners):
        kind = list(ANSWERS)[number % len(ANSWERS)]
        answers = {"triple": TRIPLE if number % 3 else None}
        answers["double"] = ANSWERS[kind][0]
        student = f"learner{number:04}"
        room.submit(student, **{k: v for k, v in answers.items() if v})
        kinds[student] = kind
    return kinds


def pure(room: Room) -> dict[str, bytes]:
    """The part of each verdict that must not depend on the run."""
    base = room.state / "verdicts"
    return {
        path.relative_to(base).as_posix(): verdicts.dumps(
            json.loads(path.read_bytes())["verdict"]
        )
        for path in base.rglob("*.json")
    }


def started(room: Room, command: list, log: Path) -> subprocess.Popen:
    """A program in the course, whose words go to `log`."""
    with open(log, "w") as file:
        return subprocess.Popen(
            command,
            cwd=room.folder,
            env=os.environ | {"COURSE_STATE": str(room.state)},
            stdout=file,
            stderr=file,
        )


class Grader:
    """`course grade` as a program, watched from outside."""

    def __init__(self, room: Room, *options: str):
        self.verdicts = room.state / "verdicts"
        self.log = room.folder / "grading/log"
        command = [*COMMAND, "grade", PART, *(options or ("--jobs", "2"))]
        self.process = started(room, command, self.log)

    def judged(self) -> int:
        """How many verdicts there are."""
        return sum(1 for _ in self.verdicts.glob(f"*/{LESSON}.json"))

    def standing(self) -> int:
        """How many verdicts stand: a first time-out or a judge that failed does not."""
        runs = (
            json.loads(path.read_bytes())["run"]
            for path in self.verdicts.glob(f"*/{LESSON}.json")
        )
        return sum(set(run["settled"]) == set(run["keys"]) for run in runs)

    def until(self, count: int) -> None:
        """Wait for a number of verdicts."""
        while self.judged() < count:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def family(self) -> dict[int, str]:
        """The program and all processes that came of it, each with its beginning."""
        return family(self.process.pid)


def family(pid: int) -> dict[int, str]:
    """A process and all that came of it, each with its beginning."""
    found, waiting = {}, [pid]
    while waiting:
        pid = waiting.pop()
        begun = beginning(pid)
        if begun is not None:
            found[pid] = begun
            for path in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    waiting += map(int, path.read_text().split())
                except OSError:  # it has just ended
                    continue
    return found


def beginning(pid: int) -> str | None:
    """When a process began, in ticks; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def peak(pid: int) -> int | None:
    """The most memory that a process has had so far, in bytes."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return found and int(found[1]) * 1024


def grew(samples: list[tuple[int, int]], stretches: list[int]) -> int | None:
    """By how much a process's memory grew in the middle one of three stretches between
    counts of verdicts, in order of growth; None if it was not there through all.

    What leaks grows in each. A step that is made once, as when a second worker comes to
    its first submission late because the machine is busy, grows in one only.
    """
    if samples[0][0] > stretches[0] or samples[-1][0] < stretches[-1]:
        return None
    most = [max(peak for count, peak in samples if count <= end) for end in stretches]
    return sorted(after - before for before, after in itertools.pairwise(most))[1]


def gone(family: dict[int, str]) -> None:
    """Wait until nothing of it is left."""
    deadline = time.monotonic() + 60
    while left := [pid for pid, begun in family.items() if beginning(pid) == begun]:
        assert time.monotonic() < deadline, f"processes {left} outlived the grader"
        time.sleep(0.05)


class Farm:
    """A Dask scheduler and workers of one process each, as programs on this machine."""

    def __init__(self, room: Room, workers: int):
        self.room = room
        self.file = room.folder / "grading/scheduler.json"
        place = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        program = [sys.executable, "-P", "-m", "distributed.cli.dask_scheduler"]
        command = [*program, *place, "--scheduler-file", str(self.file)]
        self.programs = [started(room, command, room.folder / "grading/scheduler.log")]
        self.address = wait_for(self._address)
        for number in range(workers):
            log = room.folder / f"grading/worker{number}.log"
            command = [*COMMAND, "worker", self.address, "--jobs", "1"]
            self.programs.append(started(room, command, log))

    def _address(self):
        try:
            return json.loads(self.file.read_text())["address"]
        except (FileNotFoundError, ValueError):
            return None

    def ready(self, workers: int) -> None:
        """Wait for workers that may judge."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=120)

    def kill(self, number: int) -> None:
        """End a worker as a power cut would, with all its processes."""
        end(self.programs.pop(1 + number))

    def close(self):
        """End all; nothing of it stays."""
        for program in reversed(self.programs):
            end(program)


def end(program: subprocess.Popen) -> None:
    """Kill a program with all that came of it, and see that nothing is left."""
    members = family(program.pid)
    for pid in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    program.wait()
    gone(members)


def wait_for(what, seconds: float = 60):
    """What a function returns as soon as it returns something."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found
