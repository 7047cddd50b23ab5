"""`course check`: a learner's notebook, run from top to bottom in a clean process."""

import contextlib
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from tqdm import tqdm

from course.exercises import canonical, progress
from course.exercises.canonical import Note, Task
from course.exercises.plain import Plain
from course.exercises.start import known, release_path, shown, work_path
from course.grading import court, sandbox
from course.grading.courtroom import Courtroom, Lost
from course.grading.words import escaped
from course.paths import CourseError, released, root

LIMIT = 60  # seconds a cell
WIDTH = 80
COLOURS = {"passed": "green", "not attempted": "yellow"}  # the others are red
NOTES = ("cell-died", "cell-raised")  # others are for who grades
# An answer that passes where learners' code can be shut in.
TRIAL = [
    {"id": "code-1", "kind": "given", "task": None, "source": "import torch"},
    {
        "id": "slope",
        "kind": "answer",
        "task": "slope",
        "stub": "def slope(x):\n    raise NotImplementedError",
        "source": "def slope(x):\n    x = torch.tensor(x, requires_grad=True)\n"
        "    (x * x).backward()\n    return x.grad.item()",
    },
    {
        "id": "test_slope",
        "kind": "test",
        "task": "slope",
        "source": "assert slope(3.0) == 6.0",
        "points": 1,
    },
]


@dataclass(frozen=True)
class Row:
    """What became of a task: `message` says why, `passed` names the passed tests."""

    task: Task
    status: str  # of a verdict
    message: str = ""
    points: float = 0.0
    passed: tuple[str, ...] = ()


class Warm:
    """The processes that run notebooks; they keep their imports from one to the next.

    They are the judge's, or a plain one where the judge's cannot be.
    """

    def __init__(self):
        self._judge = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._judge is not None:
            self._judge.close()

    def judge(self, job: dict) -> dict:
        """The exercises and notes of the verdict on a job."""
        tasks = job["limits"]["seconds"]
        with tqdm(desc="running", total=len(tasks), leave=False, disable=None) as bar:
            if self._judge is None:
                self._judge = courtroom(job) or Plain()
            seen = set()

            def tell(task):
                seen.add(task)
                bar.update(len(seen) - bar.n)

            try:
                verdict = self._judge.judge(job, tell)
            except Lost:
                raise CourseError(
                    "the processes that run the tests ended: try again"
                ) from None
        return verdict.get("verdict", verdict)


def courtroom(job: dict) -> Courtroom | None:
    """The judge's processes, warm; None where they cannot be: no Linux, a root that
    cannot be given up, a kernel that allows too little. An answer that must pass is
    tried, under what is absent for `job`.
    """
    if sys.platform != "linux":
        return None
    trial = job | {"cells": TRIAL, "seeds": {"slope": "0"}}
    trial["limits"] = job["limits"] | {"seconds": {"slope": LIMIT}}
    with contextlib.ExitStack() as stack:
        # What it says where it does not work is no matter to a learner.
        room = stack.enter_context(Courtroom(quiet=True))
        with contextlib.suppress(Lost):
            exercises = room.judge(trial)["verdict"]["exercises"]
            if exercises["slope"]["status"] == "passed":
                stack.pop_all()
                return room
    return None


def check(
    release: dict,
    notebook: dict,
    warm: Warm,
    *,
    folder: Path,
    limit: float = LIMIT,
) -> tuple[list[Row], list[Note]]:
    """Run a rebuilt notebook: a row a task, and notes on other cells. Where the judge's
    processes cannot be, it runs in `folder`.
    """
    verdict = warm.judge(job(release, notebook, folder, limit))
    rows = [
        _row(task, verdict["exercises"][task.name]) for task in canonical.tasks(release)
    ]
    notes = [Note(**note) for note in verdict["notes"] if note["code"] in NOTES]
    return rows, notes


def job(release: dict, notebook: dict, folder: Path, limit: float) -> dict:
    """The judge's job for a rebuilt notebook, with the tests that the release shows."""
    tasks = canonical.tasks(release)
    return {
        "schema": court.SCHEMA,
        "lesson": release["metadata"]["course"]["lesson"],
        "cells": canonical.cells(release, notebook),
        "absent": _absent(release),
        "seeds": {task.name: "0" for task in tasks},  # as in plain Jupyter
        "limits": {
            "seconds": {task.name: limit for task in tasks},
            "cell_seconds": limit,
            "memory": sandbox.Policy.memory,
        },
        "level": "weak",  # it is the learner's own code
        "folder": str(folder),
    }


def _absent(release: dict) -> list[str]:
    """The modules of `lib` that hold an answer, as when the notebook is graded."""
    course = release["metadata"]["course"]
    lessons = [course["lesson"], *course.get("hide", [])]
    return ["lib." + lesson.replace("/", ".") for lesson in lessons]


def _row(task: Task, found: dict) -> Row:
    checks = found["checks"]
    silent = found["status"] in ("passed", "not attempted")
    return Row(
        task,
        found["status"],
        "" if silent else found["message"],
        sum(each["points"] for each in checks.values()),
        tuple(name for name, each in checks.items() if each["status"] == "passed"),
    )


# The command


def find(name: str) -> Path:
    """The notebook that the learner means: a path, or a lesson's work copy.

    Raises:
        CourseError: there is no such notebook; the text says what there is.
    """
    path = Path(name)
    if path.is_file():
        if path.resolve().is_relative_to(root() / "exercises"):
            raise CourseError(
                f"{name} is the original: `course start {path.parent.name}/{path.stem}`"
                " makes the copy that you fill in"
            )
        return path
    if name.endswith(".ipynb"):
        mine = sorted((root() / "work").glob("*/*.ipynb"))
        listed = "".join(f"\n  {shown(each)}" for each in mine)
        listed = listed or " none yet; `course start <lesson>` makes one"
        raise CourseError(f"there is no notebook {name}; yours are:{listed}")
    if not work_path(known(name)).exists():
        raise CourseError(f"{name} is not started: `course start {name}`")
    return work_path(name)


def check_file(path: Path, warm: Warm, *, limit: float = LIMIT) -> bool:
    """Check the notebook at `path`, print and record the result; True if all passed."""
    learner = canonical.load(path)
    lesson, notes = canonical.lesson_of(learner, path, released())
    release = canonical.load(release_path(lesson))
    notebook, more = canonical.canonical(release, learner)
    click.secho(f"{lesson}  {shown(path)}", bold=True)
    click.echo(f"run from top to bottom in a clean process, {limit:g} s a cell\n")
    rows, others = check(
        release, notebook, warm, folder=path.resolve().parent, limit=limit
    )
    for row in rows:
        _print_row(row)
    for note in notes + more + others:
        click.echo()
        _print_text(f"note: {note.text}", "")
    earned = sum(row.points for row in rows)
    points = sum(row.task.points for row in rows)
    click.echo(f"\nvisible tests passed: {earned:g} of {points:g} points")
    click.echo("Hidden tests decide when the notebook is graded.")
    click.echo(f"next: {_next(lesson, rows)}")
    progress.record(
        lesson,
        {row.task.name: row.status for row in rows},
        [name for row in rows for name in row.passed],
    )
    return all(row.status == "passed" for row in rows)


def _next(lesson: str, rows: list[Row]) -> str:
    """What to do now, in words."""
    open_ = [row for row in rows if row.status != "passed"]
    if not open_:
        return "course progress"
    tried = [row for row in open_ if row.status not in progress.NO_ATTEMPT]
    if not tried:
        return f"write {open_[0].task.name} and save the notebook"
    task = tried[0].task.name
    stuck = "the hints above the cell"
    if (root() / "solutions" / f"{lesson}.py").is_file():
        stuck += f", then course reveal {lesson} {task}"
    return f"mend {task} and save the notebook (stuck? {stuck})"


def _print_row(row: Row) -> None:
    points = f"{row.points:g}/{row.task.points:g}"
    status = click.style(f"{row.status:<13}", fg=COLOURS.get(row.status, "red"))
    click.echo(f"{status} {points:>7}  {row.task.title}")
    if row.message:
        _print_text(row.message, " " * 4)


def _print_text(text: str, indent: str) -> None:
    # Control characters are shown, not obeyed.
    for line in escaped(text, len(text)).split("\n"):
        lead = line[: len(line) - len(line.lstrip())]
        click.echo(
            textwrap.fill(
                line.strip(),
                WIDTH,
                initial_indent=indent + lead,
                subsequent_indent=indent + lead + "  ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def saves(path: Path) -> Iterator[None]:
    """Yield now, and again whenever the file at `path` has been saved."""
    seen = None
    while True:
        with contextlib.suppress(FileNotFoundError):  # it is being replaced
            status = path.stat()
            now = (status.st_mtime_ns, status.st_size, status.st_ino)
            if now != seen:
                seen = now
                yield
        time.sleep(0.05)


@click.command("check")
@click.argument("notebook")
@click.option("--watch", is_flag=True, help="Check again whenever the file is saved.")
def check_command(notebook, watch):
    """Run NOTEBOOK (a file, or <part>/<lesson>) and say what passes.

    Cells run as plain Python, from the top: %matplotlib, %config, %autoreload,
    %%time and %%capture are ignored; other magics, !commands and input() are
    refused. On Linux they run as when they are graded: no network, no other
    programs, an empty folder. Only visible tests run here; hidden tests decide at
    grading.
    """
    path = find(notebook)
    with Warm() as warm:
        if not watch:
            sys.exit(0 if check_file(path, warm) else 1)
        for _ in saves(path):
            click.clear()
            try:
                check_file(path, warm)
            except CourseError as error:
                click.secho(str(error), fg="red", err=True)
            click.echo("\nwaiting for the next save; Ctrl-C ends")
