"""`course progress`: what is done, from the last `course check` of each lesson."""

import json
import os
from dataclasses import asdict, dataclass, fields, replace
from itertools import groupby
from pathlib import Path

import click

from course.exercises import canonical
from course.exercises.start import release_path, work_path, writing
from course.paths import released

BAR = 20
# Of a verdict: there is no answer of the learner's own behind these.
NO_ATTEMPT = ("not attempted", "grader error")


@dataclass(frozen=True)
class Record:
    """What is kept of a lesson's checks.

    statuses: of the last check, by task.
    passed: the tests that passed in it.
    attempted: tasks of which some check judged an answer of the learner's own.
    unaided: tasks that some check found passed while they were not revealed.
    revealed: tasks whose reference answer was shown.
    """

    statuses: dict[str, str]
    passed: list[str]
    attempted: list[str]
    unaided: list[str]
    revealed: list[str]

    def said(self, task: str) -> str:
        """What became of a task, in words."""
        status = self.statuses.get(task, "not attempted")
        return f"{status} after reveal" if self.helped(task) else status

    def helped(self, task: str) -> bool:
        """Whether a task passed, and never did before its answer was shown."""
        passed = self.statuses.get(task) == "passed"
        return passed and task in self.revealed and task not in self.unaided


def store(lesson: str) -> Path:
    """Where the result of the last check of a lesson is kept."""
    return work_path(lesson).with_name(f".{Path(lesson).name}.json")


def record(lesson: str, statuses: dict[str, str], passed: list[str]) -> None:
    """Keep a check's result: a status a task, and the tests that passed."""
    before = recorded(lesson) or Record({}, [], [], [], [])
    tried = [task for task, status in statuses.items() if status not in NO_ATTEMPT]
    unaided = [
        task
        for task, status in statuses.items()
        if status == "passed" and task not in before.revealed
    ]
    _keep(
        lesson,
        Record(
            statuses,
            passed,
            sorted({*before.attempted, *tried}),
            sorted({*before.unaided, *unaided}),
            before.revealed,
        ),
    )


def record_reveal(lesson: str, task: str) -> None:
    """Keep that a task's reference answer was shown; there is a record already."""
    before = recorded(lesson)
    _keep(lesson, replace(before, revealed=sorted({*before.revealed, task})))


def _keep(lesson: str, result: Record) -> None:
    path = store(lesson)
    half = path.with_suffix(f".{os.getpid()}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(json.dumps(asdict(result), indent=1), encoding="utf-8")
        half.replace(path)


def recorded(lesson: str) -> Record | None:
    """What is kept of a lesson; None where there is nothing that can be read."""
    try:
        found = json.loads(store(lesson).read_text(encoding="utf-8"))
        statuses = dict(found["statuses"])
        tried = [task for task, status in statuses.items() if status not in NO_ATTEMPT]
        done = [task for task, status in statuses.items() if status == "passed"]
        # Earlier versions kept the last check only.
        known = {"attempted": tried, "unaided": done, "revealed": []} | found
        lists = {
            field.name: list(known[field.name])
            for field in fields(Record)
            if field.name != "statuses"
        }
        return Record(statuses, **lists)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # what a hand wrote: a check writes it anew


@click.command("progress")
def progress_command():
    """Show what is done, in points of the visible tests."""
    rows = [_row(lesson) for lesson in released()]
    for part, group in groupby(rows, key=lambda row: row.lesson.split("/")[0]):
        group = list(group)
        earned, points = sum(r.earned for r in group), sum(r.points for r in group)
        click.secho(f"{part:<47}{earned:g} of {points:g} points", bold=True)
        for row in group:
            full = round(BAR * row.earned / row.points) if row.points else 0
            bar = "█" * full + "·" * (BAR - full)
            name = row.lesson.split("/")[1]
            score = f"{row.earned:g}/{row.points:g}"
            click.echo(f"  {name:<23.23} {bar} {score}  {row.said}")
    earned, points = sum(r.earned for r in rows), sum(r.points for r in rows)
    helped = sum(row.helped for row in rows)
    after = f", {helped:g} of them after reveal" if helped else ""
    click.echo(
        f"\n{earned:g} of {points:g} points in visible tests, as last checked{after}."
    )
    following = _next(rows)
    if following:
        click.echo(f"next: {following}")


@dataclass(frozen=True)
class _Row:
    """A lesson's line; `helped` are the points earned after a reveal."""

    lesson: str
    points: float
    earned: float = 0.0
    helped: float = 0.0
    said: str = "not started"
    begun: bool = False


def _row(lesson: str) -> _Row:
    tasks = canonical.tasks(canonical.load(release_path(lesson)))
    points = sum(task.points for task in tasks)
    result = recorded(lesson)
    if result is None:
        if work_path(lesson).exists():
            return _Row(lesson, points, said="not checked yet", begun=True)
        return _Row(lesson, points)
    earned = {
        task.name: sum(
            worth for test, worth in task.tests.items() if test in result.passed
        )
        for task in tasks
    }
    words = [result.said(task.name) for task in tasks]
    counts = {said: words.count(said) for said in dict.fromkeys(words)}
    said = ", ".join(f"{n} {each}" for each, n in counts.items())
    shown = [task.name for task in tasks if task.name in result.revealed]
    return _Row(
        lesson,
        points,
        sum(earned.values()),
        sum(worth for name, worth in earned.items() if result.helped(name)),
        said + (f" (revealed: {', '.join(shown)})" if shown else ""),
        begun=True,
    )


def _next(rows: list[_Row]) -> str:
    """The command to go on with: for a lesson that is begun, else for a new one."""
    for row in rows:
        if row.begun and row.earned < row.points:
            return f"course check {row.lesson}"
    new = [row.lesson for row in rows if not row.begun]
    return f"course start {new[0]}" if new else ""
