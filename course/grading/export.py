"""`course export`: the gradebook's points as a table that a spreadsheet may open.

What Moodle and Canvas import is in `marks`.

Trusts the gradebook's numbers. Trusts no text in it: names and ids came from learners,
and a spreadsheet takes a cell that begins with `=` for a program.

The table has nbgrader's own columns and one more: the name under which the learner
handed in. `plugin.CsvExport` writes it for `nbgrader export` too.
"""

import csv
import datetime
import io
from pathlib import Path

import click

from course.grading import verdicts
from course.grading.collection import submitted_as
from course.grading.shown import visible
from course.paths import CourseError, database, lessons, root

COLUMNS = (
    *("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name"),
    *("email", "raw_score", "late_submission_penalty", "score", "max_score"),
    "submitted_as",
)
# Also as they are written in East Asian width, which some programs take for the same.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell(value) -> str:
    """A value as a spreadsheet's text; a number as it is."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    return f"'{visible(text)}" if is_formula(text) else visible(text)


def is_formula(text: str) -> bool:
    """Whether a spreadsheet may take a text for a program."""
    return text.startswith(FORMULA)


def rows(gradebook, assignments=(), students=()) -> list[dict]:
    """A row for each part and learner of the gradebook; no name means all."""
    names = submitted_as()
    found = []
    for assignment in gradebook.assignments:
        if assignments and assignment.name not in assignments:
            continue
        for student in gradebook.students:
            if students and student.id not in students:
                continue
            row = {
                "assignment": assignment.name,
                "duedate": assignment.duedate,
                "student_id": student.id,
                "last_name": student.last_name,
                "first_name": student.first_name,
                "email": student.email,
                "max_score": float(assignment.max_score),
                "submitted_as": names.get(student.id, student.id),
            }
            row |= _scores(gradebook, assignment.name, student.id)
            found.append(row)
    return found


def _scores(gradebook, assignment, student) -> dict:
    from nbgrader.api import MissingEntry  # who reads the help has no nbgrader

    try:
        submission = gradebook.find_submission(assignment, student)
    except MissingEntry:  # nothing handed in
        return {"timestamp": "", **dict.fromkeys(COLUMNS[7:10], 0.0)}
    raw, penalty = float(submission.score), submission.late_submission_penalty
    return {
        "timestamp": submission.timestamp,
        "raw_score": raw,
        "late_submission_penalty": penalty,
        "score": max(0.0, raw - (penalty or 0)),
    }


def table(found: list[dict]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows([cell(row[name]) for name in COLUMNS] for row in found)
    return out.getvalue()


def write(path: Path, text: str):
    """Write the table whole or not at all, for its owner to read."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise CourseError(f"there is no folder {folder}")
    verdicts.write(path, text.encode())


@click.command("export")
@click.argument("part", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "moodle", "canvas"]),
    default="csv",
    show_default=True,
    help="For a spreadsheet, or as Moodle's or Canvas's gradebook imports it.",
)
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False))
def export_command(part, form, to):
    """Write the points of PART, or of all parts, as a table (grades.csv).

    Exits with 1 if the table lacks a learner, or the mark of what was handed in.
    """
    from nbgrader.api import Gradebook

    url = database()
    if url.startswith("sqlite:///") and not Path(url[len("sqlite:///") :]).exists():
        raise CourseError("there is no gradebook yet: grade first")
    parts = sorted({lesson.split("/")[0] for lesson in lessons()})
    if part and part not in parts:
        raise CourseError(f"there is no part {part!r}; there is {', '.join(parts)}")
    to = to or root() / ("grades.csv" if form == "csv" else f"grades-{form}.csv")
    with Gradebook(url) as gradebook:
        if form == "csv":
            found = rows(gradebook, [part] if part else ())
            write(to, table(found))
            click.echo(f"{len(found)} rows in {to}")
            return
        from course.grading import marks

        there = [each.name for each in gradebook.assignments]
        if part and part not in there:
            raise CourseError(f"{part} is not in the gradebook: grade it first")
        now = datetime.datetime.now(datetime.UTC)
        made = marks.sheet(gradebook, [part] if part else there, form, now)
    write(to, made.text)
    for note in made.notes:
        click.echo(f"note     {visible(note)}")
    for line in made.missing:
        click.secho(f"missing  {visible(line)}", fg="yellow")
    click.echo(f"{made.learners} learners in {to}, {len(made.missing)} marks missing")
    if made.missing:
        raise SystemExit(1)
