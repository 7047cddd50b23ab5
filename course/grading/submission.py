"""A learner's notebook on its way through grading: read, rebuilt, given its marks.

Both doors, `course grade` and `nbgrader autograde`, go through these functions. Trusts
the release and the verdict; of a learner's file it takes text only, and what it writes
for people to look at is cleaned.
"""

import copy
import html
import re
from dataclasses import dataclass
from pathlib import Path, PurePath

from course.exercises import canonical
from course.exercises.canonical import Note
from course.grading import intake, jobs, verdicts
from course.grading.jobs import Exercise
from course.grading.shown import plain, visible
from course.paths import CourseError

MISSING = "no notebook was handed in"
LONGEST = 4000  # characters of a message
MOST_LINES = 60


@dataclass(frozen=True)
class Reading:
    """A canonical notebook, and how it came about.

    `refusal` says why nothing could be taken from the file; `present` whether there
    was a file at all.
    """

    notebook: dict
    notes: tuple[Note, ...] = ()
    refusal: str | None = None
    present: bool = True

    @property
    def judgeable(self) -> bool:
        """Whether there is anything to judge."""
        return self.present and self.refusal is None

    def said(self) -> list[dict]:
        """The notes as a verdict has them."""
        return [{"code": note.code, "text": note.text} for note in self.notes]


def read(exercise: Exercise, path: Path | None) -> Reading:
    """Read what was handed in for an exercise; never raises for what is in the file."""
    if path is None:
        note = Note("no-file", MISSING)
        return Reading(copy.deepcopy(exercise.release), (note,), present=False)
    try:
        learner = canonical.read(intake.read(path))
        notebook, notes = canonical.canonical(exercise.release, learner)
    except CourseError as error:
        refusal = f"{path.name}: {error}"
        note = Note(getattr(error, "code", "not-gradable"), refusal)
        return Reading(copy.deepcopy(exercise.release), (note,), refusal)
    return Reading(notebook, tuple(notes))


def choose(exercises: list[Exercise], paths: list[Path]) -> dict[str, Path | None]:
    """Which of the notebooks handed in is which exercise's, by what they say they are;
    an exercise that nobody answered gets None.

    A file that says nothing counts by its name. Of several the one with the right name
    wins, else the newest.
    """
    names = {exercise.lesson: exercise.name for exercise in exercises}
    found: dict[str, list[Path]] = {lesson: [] for lesson in names}
    for path in sorted(paths):
        lesson = _lesson(path, names)
        if lesson is not None:
            found[lesson].append(path)

    def order(path):
        try:
            time = path.lstat().st_mtime_ns
        except OSError:
            time = 0
        return time, path.name

    chosen = {}
    for lesson, candidates in found.items():
        exact = [path for path in candidates if path.stem == names[lesson]]
        chosen[lesson] = max(exact or candidates, key=order, default=None)
    return chosen


def _lesson(path: Path, lessons: dict[str, str]) -> str | None:
    exact = next((each for each, name in lessons.items() if name == path.stem), None)
    if exact is not None:
        # Whatever it is: what is wrong with it is said when it is read.
        return exact
    try:
        learner = canonical.read(intake.read(path))
        lesson, _ = canonical.lesson_of(learner, PurePath(path), lessons)
    except CourseError:
        return None
    return lesson


def verdict_on(exercise: Exercise, reading: Reading) -> dict:
    """The verdict on what is not for the judge."""
    versions = jobs.versions(exercise)
    if reading.present:
        return verdicts.unread(
            exercise, "not gradable", reading.refusal, reading.said(), versions
        )
    return verdicts.unread(exercise, "not attempted", MISSING, reading.said(), versions)


def graded(exercise: Exercise, notebook: dict, verdict: dict) -> dict:
    """The canonical notebook with full tests, marks as outputs, and the notes.

    A test cell gets nothing for full points, an `error` named by the status for none,
    and one `execute_result` of a plain float between: what nbgrader's `determine_grade`
    reads as these points and nothing else. Before it, at most one stdout stream.
    """
    # Slow imports, which reading a notebook does without.
    import nbformat
    from nbgrader.utils import compute_checksum

    from course.grading import hygiene

    checks = verdicts.checks(verdict)
    given = {cell["id"] for cell in exercise.release["cells"]}
    trusted = given - exercise.answers.keys()
    shown = copy.deepcopy(notebook)
    for cell in shown["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    cells = hygiene.clean(shown, trusted)["cells"]
    for cell in cells:
        name = canonical.grade_id(cell)
        if cell["id"] in trusted and name in exercise.tests:
            cell["source"] = exercise.tests[name]
            checksum = compute_checksum(nbformat.from_dict(cell))
            cell["metadata"]["nbgrader"]["checksum"] = checksum
            cell["outputs"] = outputs(checks[name])
    # What only the instructor reads, a suspicion, stays in the verdict.
    notes = [n for n in verdict["verdict"]["notes"] if not verdicts.is_flag(n)]
    if notes:
        items = [f"<li>{_escaped(note['text'])}</li>" for note in notes]
        text = f"<div>How this notebook was read:<ul>{''.join(items)}</ul></div>"
        cells.insert(0, _text("notes", text))
    return {**shown, "cells": cells}


def _text(name, source):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": source}


def outputs(check: dict) -> list[dict]:
    """The outputs of a test cell from which nbgrader reads the check's points."""
    earned, of, message = check["points"], check["of"], _cut(check["message"])
    stream = {"output_type": "stream", "name": "stdout", "text": message}
    if earned is None or earned == 0:
        lines = (f"{check['status']}: {message}" if message else check["status"]).split(
            "\n"
        )
        error = {
            "output_type": "error",
            "ename": check["status"],
            "evalue": message,
            "traceback": lines,
        }
        return [error]
    before = [stream] if message else []
    if earned == of:
        return before
    if not (type(earned) is float and 0 < earned < of):
        raise ValueError(f"{earned!r} of {of} are no points")
    result = {
        "output_type": "execute_result",
        "execution_count": None,
        "metadata": {},
        "data": {"text/plain": repr(earned)},
    }
    return [*before, result]


def _cut(text: str) -> str:
    """Text that neither a page nor a terminal obeys, of a length one reads."""
    shown = "\n".join(plain(text).split("\n")[:MOST_LINES])
    return shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} … cut"


def _escaped(text: str) -> str:
    """Text that is neither HTML nor Markdown."""
    escaped = html.escape(visible(text)[:LONGEST])
    return re.sub(r"[\\`*_{}\[\]()#+!|$~^:-]", lambda m: f"&#{ord(m[0])};", escaped)
