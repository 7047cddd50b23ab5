"""`course progress`: what is done, from the last `course check` of each lesson."""

import json
import os
from itertools import groupby
from pathlib import Path

import click

from course.exercises import canonical
from course.exercises.start import release_path, released, work_path

BAR = 20


def store(lesson: str) -> Path:
    """Where the result of the last check of a lesson is kept."""
    return work_path(lesson).with_name(f".{Path(lesson).name}.json")


def record(lesson: str, statuses: dict[str, str], passed: list[str]) -> None:
    """Keep a check's result: a status a task, and the tests that passed."""
    path = store(lesson)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(f".{os.getpid()}")
    result = {"statuses": statuses, "passed": passed}
    half.write_text(json.dumps(result, indent=1), encoding="utf-8")
    half.replace(path)


def recorded(lesson: str) -> dict | None:
    """The result that `record` kept; None where there is none that can be read."""
    try:
        result = json.loads(store(lesson).read_text(encoding="utf-8"))
        return {"statuses": dict(result["statuses"]), "passed": list(result["passed"])}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # what another version, or a hand, wrote: a check writes it anew


@click.command("progress")
def progress_command():
    """Show what is done, in points of the visible tests."""
    done = total = 0.0
    for part, lessons in groupby(released(), key=lambda lesson: lesson.split("/")[0]):
        rows = [_row(lesson) for lesson in lessons]
        earned, points = sum(row[1] for row in rows), sum(row[2] for row in rows)
        click.secho(f"{part:<47}{earned:g} of {points:g} points", bold=True)
        for name, got, worth, said in rows:
            full = round(BAR * got / worth) if worth else 0
            bar = "█" * full + "·" * (BAR - full)
            click.echo(f"  {name:<23.23} {bar} {got:g}/{worth:g}  {said}")
        done, total = done + earned, total + points
    click.echo(f"\n{done:g} of {total:g} points in visible tests, as last checked.")


def _row(lesson: str) -> tuple[str, float, float, str]:
    tasks = canonical.tasks(canonical.load(release_path(lesson)))
    points = sum(task.points for task in tasks)
    result = recorded(lesson)
    name = lesson.split("/")[1]
    if result is None:
        started = work_path(lesson).exists()
        return name, 0.0, points, "not checked yet" if started else "not started"
    earned = sum(
        worth
        for task in tasks
        for test, worth in task.tests.items()
        if test in result["passed"]
    )
    statuses = [result["statuses"].get(task.name, "not attempted") for task in tasks]
    counts = {status: statuses.count(status) for status in dict.fromkeys(statuses)}
    return name, earned, points, ", ".join(f"{n} {s}" for s, n in counts.items())
