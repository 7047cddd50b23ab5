"""Marks as Moodle and Canvas import them: `course export --format moodle|canvas`.

Trusts the gradebook's numbers and the roster. What the systems go by (their sources,
read in 2026): Moodle's import of grades (grade/import/csv) finds a learner by one
column that the instructor chooses, ID number or address, letter for letter; an empty
cell is no grade. Canvas's (lib/gradebook_importer.rb) wants Student, ID and Section
first, finds a learner by ID, an assignment by the number in brackets, and reads a row
of points.

What finds a learner is written as it is or not at all, for with an apostrophe before it
it would find nobody. Names are for people to read, and hold no formula.
"""

import csv
import datetime
import io
import re
from dataclasses import dataclass, field

from nbgrader.api import Gradebook, MissingEntry

from course.grading import dates, roster
from course.grading.collection import unclaimed
from course.grading.dates import Dates
from course.grading.export import cell, is_formula
from course.grading.roster import Learner, Roster
from course.paths import CourseError, root


@dataclass
class Sheet:
    """A table for a system, and what the instructor should know of it."""

    text: str = ""
    learners: int = 0
    missing: list[str] = field(default_factory=list)  # who, or what mark, is not in it
    notes: list[str] = field(default_factory=list)


def sheet(gradebook: Gradebook, parts: list[str], system: str, now) -> Sheet:
    """The marks of all learners in some parts.

    Args:
        now: before which a part must be due for nothing handed in to be no points.

    Raises:
        CourseError: nobody has said who the learners are.
    """
    known = roster.load()
    if known is None:
        raise CourseError(
            f"{system.capitalize()} must be told whose marks they are: run `course "
            "roster FILE` with the CSV that the gradebook there exports"
        )
    made = Sheet()
    marks = _Marks(gradebook, dates.load() or Dates(), now, made)
    made.notes += [
        f"{each} was handed in and belongs to nobody yet: its learner is absent here"
        for each in unclaimed()
    ]
    strangers = sorted({each.id for each in gradebook.students} - known.ids.keys())
    made.missing += [f"{each}: is not on the roster" for each in strangers]
    rows = {"moodle": _moodle, "canvas": _canvas}[system](known, parts, marks, made)
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    made.text = out.getvalue()
    return made


class _Marks:
    """Marks as text, "" where there is none yet."""

    def __init__(self, gradebook, given: Dates, now: datetime.datetime, made: Sheet):
        self.gradebook, self.given, self.now, self.made = gradebook, given, now, made

    def most(self, part: str) -> str:
        """What a part is worth."""
        return f"{float(self.gradebook.find_assignment(part).max_score):.2f}"

    def of(self, part: str, student: str) -> str:
        """A learner's mark."""
        try:
            found = self.gradebook.find_submission(part, student)
        except MissingEntry:
            if (root() / "grading" / "submitted" / student / part).is_dir():
                return self._open(part, student, "was handed in and is not graded")
            due = self.given.part(part).due_for(student)
            return "0.00" if due is None or due < self.now else ""
        if found.needs_manual_grade:
            return self._open(part, student, "needs a person to grade it")
        return f"{max(0.0, float(found.score) - found.late_submission_penalty):.2f}"

    def _open(self, part, student, why) -> str:
        self.made.missing.append(f"{student}: {part} {why}")
        return ""


def _moodle(known: Roster, parts, marks: _Marks, made: Sheet):
    """By ID number or by address, whichever finds more learners."""
    keys = {"ID number": "number", "Email address": "email"}
    found = {
        name: [each for each in known if _plain(getattr(each, key))]
        for name, key in keys.items()
    }
    by = max(found, key=lambda name: len(found[name]))
    other = next(name for name in found if name != by)
    made.learners = len(found[by])
    made.missing += [
        f"{each.id}: has no {by} that Moodle could find"
        for each in known
        if each not in found[by]
    ]
    made.notes.append(f"import it by {by}: Grades, Import, CSV file, Map from {by}")
    yield [by, other, "First name", "Last name", *parts]
    for each in found[by]:
        second = getattr(each, keys[other])
        yield [
            getattr(each, keys[by]),
            second if _plain(second) else "",
            cell(each.first_name),
            cell(each.last_name),
            *(marks.of(part, each.id) for part in parts),
        ]


def _canvas(known: Roster, parts, marks: _Marks, made: Sheet):
    titles = [_title(known, part, marks, made) for part in parts]
    yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles]
    # The spaces are Canvas's own.
    yield ["    Points Possible", *[""] * 4, *(marks.most(part) for part in parts)]
    for each in known:
        if each.canvas is None:
            made.missing.append(f"{each.id}: has no id of Canvas's on the roster")
            continue
        made.learners += 1
        yield [
            cell(_sortable(each)),
            each.canvas,
            *(value if _plain(value) else "" for value in (each.sis, each.login)),
            cell(each.section),
            *(marks.of(part, each.id) for part in parts),
        ]


def _title(known: Roster, part: str, marks: _Marks, made: Sheet) -> str:
    """What Canvas calls a part: as the instructor says, else a column whose title is
    the part's name."""
    title = marks.given.part(part).canvas
    if title is None:
        alike = [each for each in known.columns if _like(each) == _like(part)]
        if len(alike) != 1:
            made.notes.append(
                f"no one column of Canvas's is called {part}, and it will offer to "
                f'make one: else write canvas = "Title (123)" below [parts.{part}] '
                f"in {dates.path()}"
            )
            return part
        [title] = alike
    points, most = known.columns.get(title), marks.most(part)
    if points and float(points) != float(most):
        made.notes.append(
            f"{title} has {points} points in Canvas, the part has {most}: set it to "
            f"{most} there before you import"
        )
    return title


def _like(title: str) -> str:
    return re.sub(r"[\W_]+", " ", re.sub(r"\(\d+\)$", "", title)).strip().casefold()


def _sortable(learner: Learner) -> str:
    return ", ".join(filter(None, (learner.last_name, learner.first_name)))


def _plain(key: str) -> bool:
    """Whether what finds a learner can be written as it is."""
    return bool(key) and not is_formula(key)
