"""The judge: right answers keep their marks, whatever else is handed in does not."""

import json

import pytest

from course.exercises import proof
from course.exercises.source import cleared, read
from course.grading import judge, sandbox
from course.paths import lessons

BODIES = [
    (lesson, body)
    for lesson in lessons()
    for body in (proof.implied(read(lesson)) + proof.written(read(lesson)))
]


@pytest.fixture(scope="module", autouse=True)
def sandboxed():
    if sandbox.level() not in ("base", "full"):
        pytest.skip(f"the sandbox reaches level {sandbox.level()!r} only")
    yield
    judge.close()


def job(source, answers, seconds=20.0):
    """A submission to a lesson with these answers, by task."""
    cells = []
    for cell in source.cells:
        if cell.kind == "text":
            continue
        kind = "given" if cell.kind == "code" else cell.kind
        each = {"id": cell.id, "kind": kind, "task": cell.task, "source": cell.source}
        if kind == "answer":
            each["stub"] = cleared(cell.source)
            each["source"] = answers.get(cell.task, cell.source)
        if kind == "test":
            each["points"] = cell.points
        cells.append(each)
    hidden = [source.lesson, *source.hide]
    return {
        "schema": 1,
        "lesson": source.lesson,
        "cells": cells,
        "absent": ["lib." + lesson.replace("/", ".") for lesson in hidden],
        "seeds": {task.name: f"seed of {task.name}" for task in source.tasks},
        "limits": {
            "seconds": {task.name: seconds for task in source.tasks},
            "cell_seconds": seconds,
            "memory": 2**31,
            "output": 2**16,
        },
        "level": "base",
    }


def judged(job):
    """The exercises of the verdict; nothing may have gone wrong in the judge."""
    verdict = json.loads(judge.judge_one(json.dumps(job).encode()))
    assert verdict["run"]["errors"] == {}
    return verdict["verdict"]["exercises"]


@pytest.mark.parametrize(
    ("lesson", "body"), BODIES, ids=[f"{name}-{body.name}" for name, body in BODIES]
)
def test_every_body_gets_the_marks_that_the_proof_asks_for(lesson, body):
    source = read(lesson)
    exercises = judged(job(source, body.answers))
    row = {
        test: proof.Result(
            check["points"], check["message"], check["status"] == "not attempted"
        )
        for exercise in exercises.values()
        for test, check in exercise["checks"].items()
    }
    assert proof.verdict(source, body, row) == []
