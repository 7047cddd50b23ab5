"""A whole class by the judge itself: killed, resumed, repeated; memory stays flat."""

import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from room import PART, Room

from course.grading import grade, pool, sandbox, verdicts

LEARNERS = 200
KILLED = (60, 130)  # verdicts after which the grader is killed
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
# What comes out otherwise each time, unless chance, hashes and order are settled.
CHANCE = """
import random
import numpy as np
import torch

def double(x):
    draws = [random.random(), np.random.rand(), torch.rand(1).item()]
    names = {"some", "words", "in", "a", "set"}
    if draws[0] < 0.5:
        raise ValueError(f"{draws} {names} {hash('text')}")
    return 2 * x
"""
# Of 45 submissions more: 0.1 MiB was measured, at most. What stays of one is a line of
# the report; the allocator takes 1 MiB at a time.
MOST_GROWTH = 3 * 2**19
STRETCHES = (50, 95, 140, 185)  # between these counts of verdicts growth is measured


@pytest.fixture(scope="module", autouse=True)
def sandboxed():
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")


@pytest.fixture
def course(classroom):
    (classroom.folder / "lib").mkdir()
    return classroom


def hand_in(room: Room) -> dict[str, str]:
    """A class's notebooks; the kind of each learner's answers."""
    kinds = {}
    for number in range(LEARNERS):
        kind = list(ANSWERS)[number % len(ANSWERS)]
        answers = {"triple": TRIPLE if number % 3 else None}
        answers["double"] = ANSWERS[kind][0]
        student = f"learner{number:03}"
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


class Grader:
    """`course grade` as a program, watched from outside."""

    def __init__(self, room: Room):
        self.verdicts = room.state / "verdicts"
        command = [sys.executable, "-P", "-m", "course.cli", "grade", PART]
        self.log = room.folder / "grading/log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [*command, "--jobs", "2"],
                cwd=room.folder,
                env=os.environ | {"COURSE_STATE": str(room.state)},
                stdout=log,
                stderr=log,
            )

    def judged(self) -> int:
        """How many verdicts there are."""
        return sum(1 for _ in self.verdicts.glob(f"*/{LESSON}.json"))

    def until(self, count: int) -> None:
        """Wait for a number of verdicts."""
        while self.judged() < count:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)

    def family(self) -> dict[int, str]:
        """The program and all processes that came of it, each with its beginning."""
        found, waiting = {}, [self.process.pid]
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


def grew(samples: list[tuple[int, int]]) -> int | None:
    """By how much a process's memory grew in the middle one of three stretches, in
    order of growth; None if it was not there through all of them.

    What leaks grows in each. A step that is made once, as when a second worker comes to
    its first submission late because the machine is busy, grows in one only.
    """
    if samples[0][0] > STRETCHES[0] or samples[-1][0] < STRETCHES[-1]:
        return None
    most = [max(peak for count, peak in samples if count <= end) for end in STRETCHES]
    return sorted(after - before for before, after in itertools.pairwise(most))[1]


def gone(family: dict[int, str]) -> None:
    """Wait until nothing of it is left."""
    deadline = time.monotonic() + 60
    while left := [pid for pid, begun in family.items() if beginning(pid) == begun]:
        assert time.monotonic() < deadline, f"processes {left} outlived the grader"
        time.sleep(0.05)


def test_a_class_whose_grader_is_killed_ends_as_one_that_is_not(course, tmp_path):
    twin = Room(tmp_path / "twin/course", tmp_path / "twin/state")
    shutil.copytree(course.folder, twin.folder)
    shutil.copytree(course.state, twin.state)
    kinds = hand_in(course)
    hand_in(twin)

    # The twin goes through at one go; meanwhile its processes are looked at.
    whole, family, history = Grader(twin), {}, {}
    while whole.process.poll() is None:
        count = whole.judged()
        now = whole.family()
        family |= now
        for pid in now:
            history.setdefault(pid, []).append((count, peak(pid) or 0))
        time.sleep(0.1)
    assert whole.process.returncode == 0, whole.log.read_text()
    assert whole.judged() == LEARNERS
    gone(family)
    growths = [grew(samples) for samples in history.values()]
    growth = [grown for grown in growths if grown is not None]
    print("growth in MiB:", sorted(round(each / 2**20, 1) for each in growth))
    # At least the grader, and of one worker itself, the tests' process and the zygote.
    assert len(growth) >= 4
    assert max(growth) < MOST_GROWTH

    # The same key, and so the same seeds.
    shutil.copy(twin.state / "key", course.state / "key")
    for count in KILLED:
        grader = Grader(course)
        grader.until(count)
        family = grader.family()
        grader.process.kill()
        grader.process.wait()
        assert grader.judged() < LEARNERS
        gone(family)
    last = Grader(course)
    assert last.process.wait() == 0, last.log.read_text()
    # Nothing was judged twice but what was under way when the grader was killed.
    known = re.search(r"(\d+) notebooks judged, (\d+) known", last.log.read_text())
    assert int(known[2]) >= KILLED[-1]
    assert int(known[1]) + int(known[2]) == LEARNERS

    found = pure(course)
    assert found == pure(twin)
    assert course.rows() == twin.rows()
    assert course.files() == twin.files()
    rows = course.rows()
    for number, (student, kind) in enumerate(kinds.items()):
        triple = 2 if number % 3 else 0
        points = [rows[student]["first", f"test_{n}"][0] for n in TESTS]
        assert points == [*ANSWERS[kind][1], triple], student
        said = json.loads(found[f"{student}/{LESSON}.json"])["exercises"]
        assert said["double"]["status"] == ANSWERS[kind][2], student


def test_twenty_runs_of_a_batch_give_the_same_bytes(course):
    for kind, (text, _, _) in ANSWERS.items():
        course.submit(kind, **({"double": text} if text else {}), triple=TRIPLE)
    course.submit("chance", double=CHANCE, triple=TRIPLE)
    course.submit("own", double=RIGHT, triple="import os\nos._exit(1)")
    course.hand_in("cut", "first.ipynb", '{"cells": [')
    seen = set()
    with pool.Judges(2) as judges:
        for _ in range(20):
            shutil.rmtree(course.state / "verdicts", ignore_errors=True)
            report = grade.run(PART, [], judges, "base")
            assert report.judged == len(ANSWERS) + 2
            seen.add(json.dumps({k: v.decode() for k, v in pure(course).items()}))
    assert len(seen) == 1
    chance = json.loads(pure(course)[f"chance/{LESSON}.json"])["exercises"]["double"]
    assert chance["status"] in ("passed", "wrong")
