"""Jobs for the judge: an exercise's tests with a learner's cells, as bytes.

Trusts the exercise's source notebook (`_build/nbgrader/source`, written by
`course assign`), its release (`exercises/`) and the code of the course. A learner's
cells are text here; they are neither run nor parsed.

A job holds no key and no path: {"schema": 1, "lesson", "cells": [{"id", "kind": given |
own | answer | test, "task", "source", "stub" (answers), "points" (tests)}], "absent":
[modules that the learner's process must not import], "seeds": {task: hex}, "limits":
{"seconds": {task: s}, "cell_seconds", "memory", "output"}, "level": the least sandbox
level, "content": the hash of the learner's cells, "versions"}. A task whose tests are
left out of the cells is not asked for.
"""

import functools
import hashlib
import importlib.metadata
import json
import math
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from course.exercises import canonical
from course.exercises.regions import SOLUTION
from course.grading import key
from course.paths import CourseError, root
from course.site.keys import plain_python, reached

SCHEMA = 1
SOURCES = "_build/nbgrader/source"
RELEASES = "exercises"

# Seconds an exercise: ten times the reference's, within these.
FACTOR, LEAST, MOST = 10, 5, 60
MEMORY = 2 * 2**30
OUTPUT = 64 * 2**10

# The folder that holds the package `course` which is running.
CODE = Path(__file__).resolve().parents[2]

# What decides a verdict beside the tests: the test kit, and what runs both sides.
JUDGE = (
    *("course/check.py", "course/exercises/canonical.py", "course/exercises/runner.py"),
    *("course/grading/judge.py", "course/grading/court.py", "course/grading/wire.py"),
    *("course/grading/proxies.py", "course/grading/zygote.py"),
    *("course/grading/learner.py", "course/grading/sandbox.py"),
    *("course/grading/sandbox_calls.py", "course/grading/sandbox_kernel.py"),
    *("course/grading/sandbox_processes.py", "course/grading/sandbox_spaces.py"),
    "course/grading/sandbox_supervisor.py",
    *("course/grading/courtroom.py", "course/grading/forks.py"),
    "course/grading/words.py",
)


@dataclass(frozen=True)
class Exercise:
    """A released lesson with what only the judge may see.

    `tests` maps a test's grade id to its source with the hidden part, `answers` an
    answer cell's id to the reference's solution.
    """

    lesson: str
    release: dict
    tasks: tuple[canonical.Task, ...]
    tests: dict[str, str]
    answers: dict[str, str]
    absent: tuple[str, ...]

    @property
    def part(self) -> str:
        """nbgrader's assignment."""
        return self.lesson.partition("/")[0]

    @property
    def name(self) -> str:
        """nbgrader's notebook."""
        return self.lesson.partition("/")[2]


def part(name: str) -> list[Exercise]:
    """The exercises of a part, in order.

    Raises:
        CourseError: there are none, or one is not assigned as it stands.
    """
    paths = sorted((root() / SOURCES / name).glob("*.ipynb"))
    if not paths or "/" in name:
        known = sorted(p.name for p in (root() / SOURCES).glob("*") if p.is_dir())
        listed = ", ".join(known) or "none yet: run `course assign`"
        raise CourseError(f"there is no part {name!r} to grade; there is {listed}")
    return [exercise(f"{name}/{path.stem}") for path in paths]


def exercise(lesson: str) -> Exercise:
    """The exercise of a lesson.

    Raises:
        CourseError: source and release are not of one make.
    """
    source = canonical.load(root() / SOURCES / f"{lesson}.ipynb")
    release = canonical.load(root() / RELEASES / f"{lesson}.ipynb")
    if _shape(source) != _shape(release):
        raise CourseError(
            f"the release of {lesson} is not made from its source: run `course assign`"
        )
    tests, answers = {}, {}
    for cell in source["cells"]:
        if canonical.is_answer(cell):
            lines = cell["source"].split("\n")
            kept = [line for line in lines if line.strip() not in SOLUTION]
            answers[cell["id"]] = "\n".join(kept)
        elif canonical.is_test(cell):
            tests[canonical.grade_id(cell)] = cell["source"]
    hide = source["metadata"].get("course", {}).get("hide", [])
    return Exercise(
        lesson=lesson,
        release=release,
        tasks=canonical.tasks(release),
        tests=tests,
        answers=answers,
        absent=_absent((lesson, *hide)),
    )


def _shape(notebook: dict) -> list:
    """What a source and its release have in common."""
    return [
        (cell["id"], cell["metadata"].get("nbgrader", {}).get("points"))
        for cell in notebook["cells"]
    ]


def _absent(lessons: tuple[str, ...]) -> tuple[str, ...]:
    """The modules of `lib` that hold an answer, and whatever imports them."""
    hidden = {root() / "lib" / f"{lesson}.py" for lesson in lessons}
    found = {f"lib.{lesson.replace('/', '.')}" for lesson in lessons}
    for path in sorted((root() / "lib").rglob("*.py")):
        if not hidden.isdisjoint(reached(path.read_text(encoding="utf-8"))):
            found.add(".".join(path.relative_to(root()).with_suffix("").parts))
    return tuple(sorted(found))


def cells(exercise: Exercise, notebook: dict) -> list[dict]:
    """A canonical notebook's code cells as a job has them."""
    found = canonical.cells(exercise.release, notebook)
    for cell in found:
        if cell["kind"] == "test":
            cell["source"] = exercise.tests[cell["id"]]
    return found


def content(cells: list[dict]) -> str:
    """The hash of the learner's cells and of where they stand among the given ones."""
    mine = [
        [cell["id"], cell["source"] if cell["kind"] in ("own", "answer") else None]
        for cell in cells
        if cell["kind"] != "test"
    ]
    return _digest(mine)


def make(
    exercise: Exercise,
    notebook: dict,
    student: str,
    limits: dict[str, float],
    *,
    level: str = "base",
) -> dict:
    """The job for a canonical notebook; `limits` in seconds by task."""
    secret = key.key()
    listed = cells(exercise, notebook)
    mine = content(listed)
    return {
        "schema": SCHEMA,
        "lesson": exercise.lesson,
        "cells": listed,
        "absent": list(exercise.absent),
        "seeds": {
            task.name: key.seed(secret, student, exercise.lesson, task.name, mine)
            for task in exercise.tasks
        },
        "limits": {
            "seconds": dict(limits),
            "cell_seconds": max(limits.values(), default=LEAST),
            "memory": MEMORY,
            "output": OUTPUT,
        },
        "level": level,
        "content": mine,
        "versions": versions(exercise),
    }


def reference(exercise: Exercise) -> dict:
    """The job that judges the reference's own answers, under the longest limits."""
    solved = {
        **exercise.release,
        "cells": [
            cell | {"source": exercise.answers.get(cell["id"], cell["source"])}
            for cell in exercise.release["cells"]
        ],
    }
    most = {task.name: float(MOST) for task in exercise.tasks}
    return make(exercise, solved, "", most)


def dumps(job: dict) -> bytes:
    """A job as bytes."""
    return json.dumps(job, ensure_ascii=False, separators=(",", ":")).encode()


def only(job: dict, tasks: list[str]) -> dict:
    """The job for some of its tasks: all cells run, but other tasks are not tested."""
    chosen = set(tasks)
    limits = job["limits"]["seconds"]
    return job | {
        "cells": [
            c for c in job["cells"] if c["kind"] != "test" or c["task"] in chosen
        ],
        "seeds": {task: seed for task, seed in job["seeds"].items() if task in chosen},
        "limits": job["limits"] | {"seconds": {t: limits[t] for t in tasks}},
    }


def limit(seconds: float) -> float:
    """The limit of an exercise whose reference takes `seconds`."""
    return float(min(MOST, max(LEAST, math.ceil(FACTOR * seconds))))


def keys(job: dict) -> dict[str, str]:
    """For each task, a hash of all that its outcome depends on."""
    return {task: _key(job, task, seeded=True) for task in job["seeds"]}


def measured_keys(job: dict) -> dict[str, str]:
    """For each task, a hash of what the time of its reference depends on."""
    return {task: _key(job, task, seeded=False) for task in job["seeds"]}


def _key(job, task, seeded):
    last = max(i for i, c in enumerate(job["cells"]) if c["task"] == task)
    reach = [c for c in job["cells"][: last + 1] if c["kind"] != "test"]
    tests = [c for c in job["cells"] if c["kind"] == "test" and c["task"] == task]
    trusted = [c for c in reach if c["kind"] == "given"] + tests
    learners = "\n".join(c["source"] for c in reach if c["kind"] != "given")
    parts = [
        SCHEMA,
        reach,
        tests,
        job["absent"],
        [_reference(cell["source"]) for cell in trusted],
        # A learner's code is not parsed: what mentions `lib` may use any of it.
        _library() if re.search(r"\blib\b", learners) else None,
        [job["versions"][name] for name in ("judge", "lock", "python", "packages")],
    ]
    if seeded:
        limits = job["limits"] | {"seconds": job["limits"]["seconds"][task]}
        parts += [job["seeds"][task], limits, job["level"]]
    return _digest(parts)


# Versions


def forget() -> bool:
    """Read the course's files anew, in a process that outlives a change of them; True
    if the code of judge or course is not what it was."""
    before = (_common(), _library())
    for each in (_common, _reference, _library):
        each.cache_clear()
    return before != (_common(), _library())


def make_of_course() -> str:
    """A hash of all of the course that judges, wherever the checkout is: two machines
    with the same give the same verdicts."""
    return _digest([SCHEMA, _common(), _library()])


def versions(exercise: Exercise) -> dict:
    """What takes part in a verdict, by hash or number."""
    return {
        "tests": _digest(exercise.tests),
        "reference": _digest([_reference(text) for text in exercise.tests.values()]),
        **_common(),
    }


@functools.cache
def _common():
    judge = [CODE / name for name in JUDGE]
    lock = root() / "requirements.lock"
    names = ("numpy", "torch")
    return {
        "judge": _files(judge),
        "lock": _files([lock] if lock.is_file() else []),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in names},
    }


@functools.cache
def _reference(source: str) -> str:
    """The hash of every file of `lib` that trusted code reaches."""
    return _files(reached(plain_python(source)))


@functools.cache
def _library() -> str:
    paths = (root() / "lib").rglob("*")
    return _files(p for p in paths if p.is_file() and "__pycache__" not in p.parts)


def _files(paths) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name}\n{path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _digest(value) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
